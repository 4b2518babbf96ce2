"""Remotes to share data through, all on this machine: a folder, and S3, SSH and HTTP servers on 127.0.0.1."""

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
from typing import Any, Protocol

import pytest

HOST = "127.0.0.1"
SSHD = "/usr/sbin/sshd"  # which refuses to start by a relative path
_bucket_numbers = count()


class Store(Protocol):
    """The files behind a remote, to inspect and to damage; names are relative, such as files/md5/5e/9d9dc4…"""

    def names(self) -> set[str]: ...
    def read(self, name: str) -> bytes: ...
    def write(self, name: str, content: bytes) -> None: ...
    def delete(self, name: str) -> None: ...


@dataclass(frozen=True)
class Remote:
    """What `dvc remote add` and `dvc remote modify` need to know."""

    url: str
    store: Store
    settings: dict[str, str] = field(default_factory=dict)  # shared by all, in git
    local: dict[str, str] = field(default_factory=dict)  # --local: secrets, and what differs from person to person
    to_push: dict[str, str] = field(default_factory=dict)  # more local settings, while pushing
    to_pull: dict[str, str] = field(default_factory=dict)  # more local settings, while pulling
    secrets: tuple[str, ...] = ()  # what git must not see
    through_port: Callable[[int], dict[str, str]] = lambda port: {}  # local settings that connect to another port
    port: int = 0


class FolderStore:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        path.chmod(0o444)  # as DVC does; it verifies writable files in a folder even without `verify`

    def delete(self, name: str) -> None:
        (self.folder / name).unlink()


class BucketStore:
    def __init__(self, client: Any, bucket: str) -> None:
        self.client, self.bucket = client, {"Bucket": bucket}
        client.create_bucket(**self.bucket)

    def names(self) -> set[str]:
        return {item["Key"] for item in self.client.list_objects_v2(**self.bucket).get("Contents", [])}

    def read(self, name: str) -> bytes:
        return self.client.get_object(**self.bucket, Key=name)["Body"].read()

    def write(self, name: str, content: bytes) -> None:
        self.client.put_object(**self.bucket, Key=name, Body=content)

    def delete(self, name: str) -> None:
        self.client.delete_object(**self.bucket, Key=name)


def object_name(content: bytes, suffix: str = "") -> str:
    """The name under which DVC stores this content; the suffix of a folder's file list is .dir."""
    md5 = hashlib.md5(content).hexdigest()
    return f"files/md5/{md5[:2]}/{md5[2:]}{suffix}"


def objects(store: Store) -> set[str]:
    # A killed transfer leaves a hidden .….tmp file, which DVC ignores.
    return {name for name in store.names() if name.startswith("files/md5/") and not Path(name).name.startswith(".")}


def corrupt_objects(store: Store) -> set[str]:
    """The objects whose content does not match their name."""
    return {name for name in objects(store) if name != object_name(store.read(name), Path(name).suffix)}


def cached_runs(store: Store) -> set[str]:
    return {name for name in store.names() if name.startswith("runs/")}


@contextmanager
def damaged(store: Store, name: str) -> Iterator[Callable[[str], None]]:
    """Yield a function that makes the object "lost" or "changed"; it is restored at the end."""
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
def folder_remote(folder: Path) -> Iterator[Remote]:
    yield Remote(str(folder / "store"), FolderStore(folder / "store"))


@contextmanager
def s3_remote(folder: Path) -> Iterator[Remote]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(HOST, 0, verbose=False)
    server.start()
    try:
        key, secret, bucket = "a-key-id", "a-secret-access-key", f"shop-{next(_bucket_numbers)}"
        _, port = server.get_host_and_port()
        endpoint = f"http://{HOST}:{port}"
        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
        )
        yield Remote(
            f"s3://{bucket}",
            BucketStore(client, bucket),
            settings={"endpointurl": endpoint, "region": "us-east-1"},
            local={"access_key_id": key, "secret_access_key": secret},
            secrets=(key, secret),
            through_port=lambda port: {"endpointurl": f"http://{HOST}:{port}"},
            port=port,
        )
    finally:
        server.stop()


@contextmanager
def ssh_remote(folder: Path) -> Iterator[Remote]:
    if not Path(SSHD).exists():
        reason = f"no {SSHD}: install openssh-server (Debian: apt-get install openssh-server)"
        pytest.fail(reason) if "CI" in os.environ else pytest.skip(reason)
    for key in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    port = free_port()
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress {HOST}\nPort {port}\nHostKey {folder}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\n"  # below /tmp, which anyone can write to
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd needs it when it runs as root
    log = folder / "sshd.log"
    server = subprocess.Popen([SSHD, "-D", "-f", config, "-E", log])
    try:
        wait_for_port(port, server, log)
        yield Remote(
            f"ssh://{HOST}{folder}/store",
            FolderStore(folder / "store"),
            settings={"port": str(port)},
            local={"user": getpass.getuser(), "keyfile": str(folder / "user_key")},
            secrets=(str(folder / "user_key"), *(folder / "user_key").read_text().splitlines()[1:-1]),
            through_port=lambda port: {"port": str(port)},
            port=port,
        )
    finally:
        server.terminate()
        server.wait()


@contextmanager
def http_remote(folder: Path) -> Iterator[Remote]:
    """Read-only: a folder that a web server serves."""
    (folder / "store").mkdir()
    handler = partial(QuietHandler, directory=str(folder / "store"))
    with ThreadingHTTPServer((HOST, 0), handler) as server, serving(server):
        port = server.server_address[1]
        yield Remote(
            f"http://{HOST}:{port}",
            FolderStore(folder / "store"),
            to_push={"url": str(folder / "store")},
            to_pull={"url": f"http://{HOST}:{port}"},
            through_port=lambda port: {"url": f"http://{HOST}:{port}"},
            port=port,
        )


REMOTE_TYPES = {"folder": folder_remote, "s3": s3_remote, "ssh": ssh_remote, "http": http_remote}


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client may have been killed
            super().handle()


@contextmanager
def interrupted_proxy(port: int, limit: int) -> Iterator[tuple[int, Event]]:
    """A proxy of the server at `port` that sends nothing more after `limit` bytes; yields its port and an event.

    The event is set when the limit is reached.
    """
    limit_reached, finished, lock, n_bytes = Event(), Event(), Lock(), 0

    class ProxyHandler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            nonlocal n_bytes
            with suppress(OSError), socket.create_connection((HOST, port)) as server:
                Thread(target=forward, args=(self.request, server), daemon=True).start()
                while data := server.recv(4096):
                    with lock:
                        n_bytes += len(data)
                    if n_bytes > limit:
                        limit_reached.set()
                        finished.wait()
                        return
                    self.request.sendall(data)

    class ProxyServer(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with ProxyServer((HOST, 0), ProxyHandler) as proxy, serving(proxy):
        yield proxy.server_address[1], limit_reached
        finished.set()


def forward(source: socket.socket, destination: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(4096):
            destination.sendall(data)
        destination.shutdown(socket.SHUT_WR)


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
    with socket.socket() as unbound:
        unbound.bind((HOST, 0))
        return unbound.getsockname()[1]


def wait_for_port(port: int, server: subprocess.Popen, log: Path) -> None:
    for _ in range(100):
        assert server.poll() is None, log.read_text()
        with suppress(ConnectionRefusedError), socket.create_connection((HOST, port)):
            return
        time.sleep(0.05)
    raise AssertionError(f"no answer at port {port}: {log.read_text()}")
