"""A command measured as a process: its seconds, the peak memory of its process tree, and what it spills to disk."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.tools import ROOT

INTERVAL = 0.05  # seconds between two samples of memory and disk
MIB, GIB = 2**20, 2**30  # bytes


@dataclass
class Phase:
    """A part of a process, from one line of its output to another."""

    name: str
    start: float
    end: float = 0.0
    peak_memory: int = 0  # bytes, of the processes that the command has started and not of itself

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass
class Measurement:
    """What a process took."""

    seconds: float = 0.0
    peak_memory: int = 0  # bytes, the largest sum over the process and its descendants
    peak_spilled: int = 0  # bytes, the largest size of the scratch folder
    output: str = ""
    phases: list[Phase] = field(default_factory=list)

    def begin_phase(self, name: str) -> None:
        """End the current phase, if any, and begin another."""
        now = time.perf_counter()
        if self.phases:
            self.phases[-1].end = now
        self.phases.append(Phase(name, start=now))

    def add_sample(self, memory: int, memory_of_descendants: int, spilled: int) -> None:
        """Raise the peaks to what is used at the moment."""
        self.peak_memory = max(self.peak_memory, memory)
        self.peak_spilled = max(self.peak_spilled, spilled)
        if self.phases:
            self.phases[-1].peak_memory = max(self.phases[-1].peak_memory, memory_of_descendants)


def measure_module(module: str, *arguments: str | Path, folder: Path, scratch: Path | None = None) -> Measurement:
    """Measure `python -m module arguments`, run in `folder` with the code of this checkout.

    Args:
        module: such as "stages.prepare".
        arguments: of its command line.
        folder: the working folder, which the params are read from.
        scratch: the folder that it spills to.

    Raises:
        SystemExit: it failed; the message is its output.
    """
    return measure_command([sys.executable, "-m", module, *map(str, arguments)], folder, scratch)


def measure_command(
    command: Sequence[str],
    folder: Path,
    scratch: Path | None = None,
    phase_of: Callable[[str], str | None] = lambda line: None,
) -> Measurement:
    """Run a command and measure it; memory and disk are sampled every INTERVAL.

    Args:
        command: the program and its arguments.
        folder: the working folder.
        scratch: the folder that it spills to, which need not exist.
        phase_of: from a line of output to the name of the phase that it begins, if any.

    Raises:
        SystemExit: it failed; the message is its output.
    """
    measurement, start = Measurement(), time.perf_counter()

    def read_output() -> None:
        assert process.stdout
        for line in process.stdout:
            measurement.output += line
            if name := phase_of(line):
                measurement.begin_phase(name)

    with subprocess.Popen(
        command, cwd=folder, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        reader = threading.Thread(target=read_output)
        reader.start()
        while not _has_ended(process):
            of_command, of_descendants = _tree_memory(process.pid)
            spilled = _folder_size(scratch) if scratch else 0
            measurement.add_sample(of_command + of_descendants, of_descendants, spilled)
        end = time.perf_counter()
        reader.join()
    if process.returncode:
        sys.exit(f"{' '.join(command)}: failed\n{measurement.output}")
    measurement.seconds = end - start
    if measurement.phases:
        measurement.phases[-1].end = end
    return measurement


def _environment() -> dict[str, str]:
    # The programs beside Python come first, and a module is found from any folder.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def _has_ended(process: subprocess.Popen[str]) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(INTERVAL)
    return process.returncode is not None


def _tree_memory(pid: int) -> tuple[int, int]:
    """Resident bytes of a process, and of all its descendants."""
    try:
        process = psutil.Process(pid)
        descendants = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return 0, 0
    return _memory(process), sum(map(_memory, descendants))


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def _folder_size(folder: Path) -> int:
    """Bytes of the files in a folder; files that are removed meanwhile count 0."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(parent, name).stat().st_size
    return size
