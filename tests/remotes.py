"""Remotes to share data by, each on this machine alone: a folder, and S3, SSH and HTTP servers on 127.0.0.1."""

import getpass
import hashlib
import os
import shutil
import socket
import socketserver
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Protocol

import pytest

HOST = "127.0.0.1"
SSHD = "/usr/sbin/sshd"  # which refuses to start by a relative path
_buckets = count()


class Store(Protocol):
    """What lies behind a remote, for tests to look at and to damage; names are relative, as files/md5/5e/9d9dc4…"""

    def names(self) -> set[str]: ...
    def read(self, name: str) -> bytes: ...
    def write(self, name: str, content: bytes) -> None: ...
    def delete(self, name: str) -> None: ...


@dataclass(frozen=True)
class Remote:
    """What `dvc remote add` and `dvc remote modify` are told."""

    url: str
    store: Store
    settings: dict[str, str] = field(default_factory=dict)  # for all, in git
    own: dict[str, str] = field(default_factory=dict)  # --local: secrets, and what differs from person to person
    writer: dict[str, str] = field(default_factory=dict)  # more of these, to push
    reader: dict[str, str] = field(default_factory=dict)  # and back
    private: tuple[str, ...] = ()  # what git must not see
    by_way_of: Callable[[int], dict[str, str]] = lambda port: {}  # own settings that lead through another port
    port: int = 0


class Folder:
    def __init__(self, folder: Path):
        self.folder = folder

    def names(self) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        path.chmod(0o444)  # as DVC leaves it; it looks into others, in a folder, without being told to

    def delete(self, name: str) -> None:
        (self.folder / name).unlink()


class Bucket:
    def __init__(self, client, bucket: str):
        self.client, self.at = client, {"Bucket": bucket}
        client.create_bucket(**self.at)

    def names(self) -> set[str]:
        return {item["Key"] for item in self.client.list_objects_v2(**self.at).get("Contents", [])}

    def read(self, name: str) -> bytes:
        return self.client.get_object(**self.at, Key=name)["Body"].read()

    def write(self, name: str, content: bytes) -> None:
        self.client.put_object(**self.at, Key=name, Body=content)

    def delete(self, name: str) -> None:
        self.client.delete_object(**self.at, Key=name)


def wrong(store: Store) -> set[str]:
    """The objects that are not what their names say."""
    return {name for name in objects(store) if name != address(store.read(name), Path(name).suffix)}


def objects(store: Store) -> set[str]:
    # Not the .….tmp that a killed transfer leaves, which DVC takes for nothing.
    return {name for name in store.names() if name.startswith("files/md5/") and not Path(name).name.startswith(".")}


def address(content: bytes, suffix: str = "") -> str:
    """The name of an object; the list of a folder's files has the suffix .dir."""
    md5 = hashlib.md5(content).hexdigest()
    return f"files/md5/{md5[:2]}/{md5[2:]}{suffix}"


def runs(store: Store) -> set[str]:
    return {name for name in store.names() if name.startswith("runs/")}


@contextmanager
def damaged(store: Store, name: str) -> Iterator[Callable[[str], None]]:
    """A way to do an object harm, until the end."""
    content = store.read(name)

    def damage(how: str) -> None:
        if how == "lost":
            store.delete(name)
        else:
            store.write(name, content[:-1] + bytes([content[-1] ^ 1]))

    try:
        yield damage
    finally:
        store.write(name, content)


@contextmanager
def folder(place: Path) -> Iterator[Remote]:
    yield Remote(str(place / "store"), Folder(place / "store"))


@contextmanager
def s3(place: Path) -> Iterator[Remote]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(HOST, 0, verbose=False)
    server.start()
    try:
        key, secret, bucket = "a-key-id", "a-secret-access-key", f"shop-{next(_buckets)}"
        _, port = server.get_host_and_port()
        endpoint = f"http://{HOST}:{port}"
        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
        )
        yield Remote(
            f"s3://{bucket}",
            Bucket(client, bucket),
            settings={"endpointurl": endpoint, "region": "us-east-1"},
            own={"access_key_id": key, "secret_access_key": secret},
            private=(key, secret),
            by_way_of=lambda port: {"endpointurl": f"http://{HOST}:{port}"},
            port=port,
        )
    finally:
        server.stop()


@contextmanager
def ssh(place: Path) -> Iterator[Remote]:
    if not Path(SSHD).exists():
        missing = f"no {SSHD}: install openssh-server (Debian: apt-get install openssh-server)"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    for key in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / key], check=True)
    shutil.copy(place / "user_key.pub", place / "authorized_keys")
    port = free_port()
    config = place / "sshd_config"
    config.write_text(
        f"ListenAddress {HOST}\nPort {port}\nHostKey {place}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {place}/authorized_keys\nStrictModes no\n"  # below /tmp, anyone's folder
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd asks for it, as root only
    log = place / "sshd.log"
    server = subprocess.Popen([SSHD, "-D", "-f", config, "-E", log])
    try:
        wait_for(port, server, log)
        yield Remote(
            f"ssh://{HOST}{place}/store",
            Folder(place / "store"),
            settings={"port": str(port)},
            own={"user": getpass.getuser(), "keyfile": str(place / "user_key")},
            private=(str(place / "user_key"), *(place / "user_key").read_text().splitlines()[1:-1]),
            by_way_of=lambda port: {"port": str(port)},
            port=port,
        )
    finally:
        server.terminate()
        server.wait()


@contextmanager
def http(place: Path) -> Iterator[Remote]:
    """For reading: a folder remote, shown by a web server."""
    (place / "store").mkdir()
    with ThreadingHTTPServer((HOST, 0), partial(Quiet, directory=str(place / "store"))) as server, serving(server):
        port = server.server_address[1]
        yield Remote(
            f"http://{HOST}:{port}",
            Folder(place / "store"),
            writer={"url": str(place / "store")},
            reader={"url": f"http://{HOST}:{port}"},
            by_way_of=lambda port: {"url": f"http://{HOST}:{port}"},
            port=port,
        )


KINDS = {"folder": folder, "s3": s3, "ssh": ssh, "http": http}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):  # of who was killed
            super().handle()


@contextmanager
def gate(port: int, limit: int) -> Iterator[tuple[int, Event]]:
    """Another way to the server at `port`, shut for good once `limit` bytes have come from it: a port, and when."""
    shut, over, lock, passed = Event(), Event(), Lock(), 0

    class Way(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            nonlocal passed
            with suppress(OSError), socket.create_connection((HOST, port)) as server:
                Thread(target=pump, args=(self.request, server), daemon=True).start()
                while data := server.recv(4096):
                    with lock:
                        passed += len(data)
                    if passed > limit:
                        shut.set()
                        over.wait()
                        return
                    self.request.sendall(data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server((HOST, 0), Way) as server, serving(server):
        yield server.server_address[1], shut
        over.set()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(4096):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = Thread(target=partial(server.serve_forever, poll_interval=0.05))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def free_port() -> int:
    with socket.socket() as some:
        some.bind((HOST, 0))
        return some.getsockname()[1]


def wait_for(port: int, server: subprocess.Popen, log: Path) -> None:
    for _ in range(100):
        assert server.poll() is None, log.read_text()
        with suppress(ConnectionRefusedError), socket.create_connection((HOST, port)):
            return
        time.sleep(0.05)
    raise AssertionError(f"no answer at port {port}: {log.read_text()}")
