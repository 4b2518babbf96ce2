"""Pools of worker processes, each with TensorFlow loaded: on this machine, or on a Dask cluster."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.lib.common.errors import InputError
from stages.lib.common.processes import Call, OnResult, Pool, process_pool

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
RESUME = "run the stage again to resume"
TIMEOUT = 10  # seconds, for a scheduler to answer, and for a first worker to join it


def _hash_of_code() -> str:
    content = hashlib.sha256()
    for path in sorted(Path(__file__).parents[2].rglob("*.py")):
        content.update(path.read_bytes())
    return content.hexdigest()


CODE = _hash_of_code()  # taken on import, so that a worker of a cluster knows which code it has loaded


def worker_pool(max_workers: int, backend: str = LOCAL) -> AbstractContextManager[Pool]:
    """Start a pool, whose workers live as long as the context, so that each loads and compiles only once.

    Args:
        max_workers: on this machine; there are no more than cores.
        backend: LOCAL for processes on this machine, or the address of a Dask scheduler, all of whose workers are used.

    Raises:
        InputError: there are no workers, or they are killed.
    """
    if backend == LOCAL:
        return process_pool("stages.lib.modeling.model", "talos", max_workers=max_workers)
    return _dask_pool(backend)


def print_line(line: str) -> None:
    """Print a line in the terminal of the stage, from any worker."""
    # A worker of a Dask cluster may be on another machine; Dask's own print sends the line to the client.
    if "distributed" in sys.modules:
        sys.modules["distributed"].print(line, flush=True)
    else:
        print(line, flush=True)


class _DaskPool:
    # Not joblib's Dask backend: it waits forever if workers are killed, and makes all calls in this process if there
    # is only one worker.
    def __init__(self, client: Client) -> None:
        self.client = client
        self.loaded = [client.submit(_load_tensorflow, workers=[worker], pure=False) for worker in client.nthreads()]

    def __call__(self, calls: Iterable[Call], on_result: OnResult | None = None) -> list[Any]:
        from distributed import as_completed

        futures = [self.client.submit(partial(_call_if_same, CODE, call), pure=False) for call in calls]
        if on_result:
            for _ in as_completed(futures, loop=self.client.loop):
                on_result()
        return self.client.gather(futures)


@contextmanager
def _dask_pool(address: str) -> Iterator[Pool]:
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise InputError(f"{address}: Dask is not installed: pip install -r requirements-cluster.txt") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # the errors below say the same in one line
    try:
        client = Client(address, timeout=TIMEOUT, set_as_default=False)
    except OSError:
        raise InputError(f"{address}: no Dask scheduler answers at this address") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=TIMEOUT)
        except TimeoutError:
            raise InputError(f"{address}: no worker has joined this scheduler") from None
        try:
            # The scheduler deserializes calls too, so it needs the code as well.
            client.run_on_scheduler(exec, "import stages", {})
            client.run(exec, "import stages", {})
        except ImportError:
            raise InputError(f"{address}: start the scheduler and its workers in the project's folder") from None
        if max(client.nthreads().values()) > 1:
            raise InputError(f"{address}: TensorFlow needs workers with one thread: start them with --nthreads 1")
        try:
            yield _DaskPool(client)
        except KilledWorker:
            raise InputError(f"{address}: workers were killed, perhaps for lack of memory; {RESUME}") from None
        except CancelledError:
            raise InputError(f"{address}: the connection to the scheduler was lost; {RESUME}") from None


def _load_tensorflow() -> None:
    import stages.lib.modeling.network_stage  # noqa: F401


def _call_if_same(code: str, call: Call) -> Any:
    """Make the call, unless this worker of a cluster was started with other code than the stage."""
    if code != CODE:
        raise InputError("a worker was started with other code than stages/ has now; restart the workers")
    function, arguments, keywords = call
    return function(*arguments, **keywords)
