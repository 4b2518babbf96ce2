"""Processes to work in, each with TensorFlow loaded: of this machine, or of a Dask cluster."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import joblib
import psutil
from joblib import delayed
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from stages.lib.common.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

LOKY = "loky"
GO_ON = "run again to go on from there"
PATIENCE = 10  # seconds for a scheduler to answer, and for a first worker to join it

Call = tuple[Callable, tuple, dict[str, Any]]


def _code() -> str:
    content = hashlib.sha256()
    for path in sorted(Path(__file__).parents[2].rglob("*.py")):
        content.update(path.read_bytes())
    return content.hexdigest()


CODE = _code()  # as this process loads it


class Pool(Protocol):
    """Workers, which start to load TensorFlow at once, while this process reads its data."""

    def __call__(self, calls: Iterable[Call]) -> list[Any]:
        """The results of `delayed` calls, each made by a worker that is free."""

    def run_on(self, process: int, call: Call) -> None:
        """Have the call made by the worker of this process id, which may have compiled what it needs, if it can be."""


def worker_pool(most: int, backend: str = LOKY) -> AbstractContextManager[Pool]:
    """Workers of this machine, a core each and at most so many, or those of the Dask scheduler at an address.

    They stay between calls, so that TensorFlow is loaded, and a program compiled, once in each.
    Raises InputError if there are none, or if they are killed; what they had kept on disk is there to go on from.
    """
    return _of_this_machine(most) if backend == LOKY else _of_a_cluster(backend)


def print_line(line: str) -> None:
    """Print a line where the stage was started, whichever worker says it."""
    # In a Dask worker, whose own output is a log on another machine.
    (sys.modules["distributed"].print if "distributed" in sys.modules else print)(line, flush=True)


class _Loky:
    def __init__(self, parallel: joblib.Parallel, workers: int) -> None:
        self.parallel, self.workers = parallel, workers
        self.loaded = parallel(delayed(_load)() for _ in range(workers))

    def __call__(self, calls: Iterable[Call]) -> list[Any]:
        list(self.loaded)
        return list(self.parallel(calls))

    def run_on(self, process: int, call: Call) -> None:
        # joblib can't be told whom to give a call to, so all workers are offered it.
        with tempfile.TemporaryDirectory() as folder:
            self([delayed(_take)(call, process, Path(folder) / "taken")] * self.workers)


@contextmanager
def _of_this_machine(most: int) -> Iterator[Pool]:
    count = min(most, joblib.cpu_count())
    # What killed workers leave behind is cleared up by a process that would warn of it.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    try:
        with joblib.Parallel(n_jobs=count, return_as="generator") as parallel:
            yield _Loky(parallel, count)
    except TerminatedWorkerError:
        raise InputError(f"a worker was killed, for want of memory perhaps; {GO_ON}") from None
    finally:
        # They have nothing to put in order, and TensorFlow takes a second to leave by itself.
        get_reusable_executor(kill_workers=True).shutdown(kill_workers=True)


class _Dask:
    # Not by joblib, whose backend for Dask waits for ever when workers are killed, and makes all calls itself where
    # there is one worker.
    def __init__(self, client: Client) -> None:
        self.client = client
        self.loaded = [client.submit(_load, workers=[worker], pure=False) for worker in client.nthreads()]

    def __call__(self, calls: Iterable[Call]) -> list[Any]:
        return self.client.gather([self.client.submit(partial(_make, call, CODE), pure=False) for call in calls])

    def run_on(self, process: int, call: Call) -> None:
        self([call])  # by any: on several machines a process id may be that of several workers


@contextmanager
def _of_a_cluster(address: str) -> Iterator[Pool]:
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise InputError(f"{address}: Dask is not installed: pip install -r requirements-cluster.txt") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is said below, in one line
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except OSError:
        raise InputError(f"{address}: no Dask scheduler answers there") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise InputError(f"{address}: no worker has joined this scheduler") from None
        try:
            # The scheduler reads calls too, before it passes them on.
            client.run_on_scheduler(exec, "import stages", {})
            client.run(exec, "import stages", {})
        except ImportError:
            raise InputError(f"{address}: start its scheduler and its workers in the project's folder") from None
        if max(client.nthreads().values()) > 1:
            raise InputError(f"{address}: TensorFlow wants workers of one thread: start them with --nthreads 1")
        try:
            yield _Dask(client)
        except KilledWorker:
            raise InputError(f"{address}: workers were killed, for want of memory perhaps; {GO_ON}") from None
        except CancelledError:
            raise InputError(f"{address}: the scheduler has gone; {GO_ON}") from None


def _load() -> None:
    import stages.lib.modeling.network_stage  # noqa: F401


def _make(call: Call, code: str) -> Any:
    """Make the call in a worker of a cluster, which may have started long ago."""
    if code != CODE:
        raise InputError("a worker has loaded other code than is in stages/ now; start the workers again")
    function, arguments, keywords = call
    return function(*arguments, **keywords)


def _take(call: Call, process: int, taken: Path) -> None:
    """Make the call if this worker is meant, or if the one that is has gone; else wait until another has taken it."""
    while os.getpid() != process and psutil.pid_exists(process) and not taken.exists():
        time.sleep(0.01)
    try:
        taken.mkdir()
    except FileExistsError:
        return
    function, arguments, keywords = call
    function(*arguments, **keywords)
