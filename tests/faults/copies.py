"""A copy of a built checkout, to do harm to: run, recovered as `make repro` does, and compared byte by byte."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psutil
import yaml
from checkout import Checkout, make_recipe
from dvc_process import start_dvc

TIMEOUT = 900  # seconds of a command, after which it hangs
CACHE = ".dvc/cache/files/md5"
# What is not compared: DVC's and git's own files, caches, and what stages keep to go on from
OTHER = {".git", ".dvc", "__pycache__", ".prepare", ".prepare.lock", ".grid_search"}


class Copy(Checkout):
    """Shares no file with the checkout that it is a copy of, and none of DVC's state with other copies."""

    def __init__(self, origin: Checkout, folder: Path) -> None:
        self.origin, self.folder = origin, folder
        shutil.copytree(origin.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("tmp"), dirs_exist_ok=True)
        self.environment = {**os.environ, "DVC_SITE_CACHE_DIR": str(folder / ".dvc/tmp/site"), "OMP_NUM_THREADS": "1"}
        self.stages: dict[str, Any] = yaml.safe_load(self.file("dvc.lock"))["stages"]

    def launch(self, *command: str) -> "Running":
        """Start the command, which writes into a file: a process that it leaves behind can't hold a pipe open."""
        options, output = self._options(command), Path(tempfile.mkstemp()[1])
        if command[0] == "dvc":
            process = start_dvc(command[1:], options["cwd"], options["env"], [output, output], own_group=True)
            return Running(process, output)
        with output.open("w") as file:
            started = subprocess.Popen(
                command, **options | {"stdout": file, "stderr": subprocess.STDOUT}, process_group=0
            )
        return Running(started, output)

    def ended(self, *command: str) -> tuple[int, str]:
        """Run the command; returns its exit code and all that it has printed."""
        running = self.launch(*command)
        return running.wait(), running.text()

    def recover(self) -> tuple[int, str]:
        """What `make repro` does."""
        repairs, repro, rest = make_recipe("repro").rpartition("dvc repro\n")
        assert repro and not rest
        code, output = self.ended("bash", "-c", repairs)
        # Not in a shell, so that it starts sooner
        return (code, output) if code else self.ended("dvc", "repro")

    def outputs(self, stage: str) -> list[Path]:
        return [self.folder / out["path"] for out in self.stages[stage]["outs"]]

    def cached(self, stage: str) -> list[Path]:
        """The stage's files in DVC's cache."""
        hashes = [out["md5"] for out in self.stages[stage]["outs"]]
        paths = [self.folder / CACHE / md5[:2] / md5[2:] for md5 in hashes]
        for listing in [path for path in paths if path.suffix == ".dir" and path.exists()]:
            files = [file["md5"] for file in json.loads(listing.read_bytes())]
            paths += [self.folder / CACHE / md5[:2] / md5[2:] for md5 in files]
        return [path for path in paths if path.exists()]  # metrics are in git

    def make_stale(self, *stages: str) -> None:
        """The stages have to run again: their outputs are nowhere."""
        for stage in stages:
            for path in self.cached(stage):
                path.unlink(missing_ok=True)
            for path in self.outputs(stage):
                remove(path)
        remove(self.folder / ".dvc/cache/runs")

    def differences(self) -> list[str]:
        """Files that are not those of the undisturbed run, and objects in DVC's cache that are not what they should."""
        expected, found = tree(self.origin.folder), tree(self.folder)
        names = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
        return names + [str(path.relative_to(self.folder)) for path in corrupt_objects(self.folder / CACHE)]


class Running:
    """A command in a process group of its own."""

    def __init__(self, process: "subprocess.Popen[str] | ForkServerProcess", output: Path) -> None:
        assert process.pid
        self.process, self.pid, self.output = process, process.pid, output

    def ended(self) -> bool:
        code = self.process.poll() if isinstance(self.process, subprocess.Popen) else self.process.exitcode
        return code is not None

    def cpu_seconds(self) -> float:
        """Of its processes, and of those that they have waited for."""
        total = 0.0
        for process in _group(self.pid):
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])  # user, system, and both of its children
        return total

    def wait(self) -> int:
        """The exit code. A command that hangs is killed, with all its processes."""
        end = time.monotonic() + TIMEOUT
        while not self.ended():
            if time.monotonic() > end:
                os.killpg(self.pid, signal.SIGKILL)
                end += TIMEOUT
            time.sleep(0.05)
        code = self.process.returncode if isinstance(self.process, subprocess.Popen) else self.process.exitcode
        assert code is not None
        return code

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to all its processes, and wait for them."""
        os.killpg(self.pid, number)
        self.wait_for_group()

    def wait_for_group(self) -> None:
        """Wait for what the command has left running, too."""
        end = time.monotonic() + TIMEOUT
        while group := _group(self.pid):
            if time.monotonic() > end:
                os.killpg(self.pid, signal.SIGKILL)
                raise TimeoutError(f"{[process.cmdline() for process in group]} has not ended")
            time.sleep(0.1)

    def text(self) -> str:
        """All that it has printed."""
        return self.output.read_text(encoding="utf-8", errors="replace")


def _group(number: int) -> list[psutil.Process]:
    group = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == number and process.status() != psutil.STATUS_ZOMBIE:
                group.append(process)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return group


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def tree(folder: Path) -> dict[str, bytes]:
    """The content of all files but OTHER, by name."""
    content: dict[str, bytes] = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in OTHER]
        paths = [Path(parent, name) for name in files if name not in OTHER]
        content |= {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    return content


def corrupt_objects(cache: Path) -> list[Path]:
    """What a killed DVC was about to copy has another name, and is not there for DVC."""
    objects = [path for path in cache.glob("??/*") if len(path.stem) == 30]
    return [path for path in objects if hashlib.md5(path.read_bytes()).hexdigest() != path.parent.name + path.stem]
