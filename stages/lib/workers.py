"""Processes to work in, each with TensorFlow loaded: of this machine, or of a Dask cluster."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import joblib
import psutil
from joblib import delayed
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from stages.lib.files import InputError

LOKY = "loky"
PATIENCE = 10  # seconds for a scheduler to answer, and for a first worker to join it

Call = tuple[Callable, tuple, dict[str, Any]]


class Pool:
    """Workers, which start to load TensorFlow at once, while this process reads its data."""

    def __init__(self, parallel: joblib.Parallel, workers: int, here: bool) -> None:
        self.parallel, self.workers, self.here = parallel, workers, here
        self.loaded = parallel(delayed(_load)() for _ in range(workers))

    def __call__(self, calls: Iterable[Call]) -> list[Any]:
        """The results of `delayed` calls, each made by a worker that is free."""
        list(self.loaded)
        return list(self.parallel(calls))

    def by(self, process: int, call: Call) -> None:
        """Have the call made by the worker of this process id, which may have compiled what it needs.

        joblib can't be told whom to give a call to, so all workers are offered it. On a cluster, where an id may be
        that of several processes, any one will do.
        """
        if not self.here:
            self([call])
            return
        with tempfile.TemporaryDirectory() as folder:
            self([delayed(_take)(call, process, Path(folder) / "taken")] * self.workers)


def pool(most: int, backend: str = LOKY) -> AbstractContextManager[Pool]:
    """Workers of this machine, a core each and at most so many, or those of the Dask scheduler at an address.

    They stay between calls, so that TensorFlow is loaded, and a program compiled, once in each.
    Raises InputError if there are none, or if one is killed; what it had kept on disk is there to go on from.
    """
    return _of_this_machine(most) if backend == LOKY else _of_a_cluster(backend)


def say(line: str) -> None:
    """Print a line where the stage was started, whichever worker says it."""
    # In a Dask worker, whose own output is a log on another machine.
    (sys.modules["distributed"].print if "distributed" in sys.modules else print)(line, flush=True)


@contextmanager
def _of_this_machine(most: int) -> Iterator[Pool]:
    count = min(most, joblib.cpu_count())
    # What killed workers leave behind is cleared up by a process that would warn of it.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    try:
        with joblib.Parallel(n_jobs=count, return_as="generator") as parallel:
            yield Pool(parallel, count, here=True)
    except TerminatedWorkerError:
        raise InputError("a worker was killed, for want of memory perhaps; run again to go on from there") from None
    finally:
        # They have nothing to put in order, and TensorFlow takes a second to leave by itself.
        get_reusable_executor(kill_workers=True).shutdown(kill_workers=True)


@contextmanager
def _of_a_cluster(address: str) -> Iterator[Pool]:
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise InputError(f"{address}: Dask is not installed: pip install -r requirements-cluster.txt") from None
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except OSError:
        raise InputError(f"{address}: no Dask scheduler answers there") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise InputError(f"{address}: no worker has joined this scheduler") from None
        threads = client.nthreads()
        if max(threads.values()) > 1:
            raise InputError(f"{address}: TensorFlow wants workers of one thread: start them with --nthreads 1")
        with joblib.parallel_config("dask", client=client):
            # A worker gets a call when it has made its last one: batches would go to one, while others are idle.
            parallel = joblib.Parallel(return_as="generator", batch_size=1, pre_dispatch="all")
        try:
            with parallel:
                yield Pool(parallel, len(threads), here=False)
        except KilledWorker:
            raise InputError(
                f"{address}: workers were killed, for want of memory perhaps; run again to go on from there"
            ) from None
        except ModuleNotFoundError as error:
            raise InputError(f"{address}: a worker has {error}; start it in the project's folder") from None


def _load() -> None:
    import stages.lib.model  # noqa: F401


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
