"""Worker processes on this machine, forked from one process that has loaded the modules which they need."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, cast

import joblib

from stages.lib.common import progress
from stages.lib.common.errors import InputError

# A call as `joblib.delayed` makes it.
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
OnResult = Callable[[], object]


class Pool(Protocol):
    """Makes calls, each on the next free worker."""

    def __call__(self, calls: Iterable[Call], on_result: OnResult | None = None) -> list[Any]:
        """The results, in the order of the calls; `on_result` is called here whenever a call is done."""


def in_this_process(calls: Iterable[Call], on_result: OnResult | None = None) -> list[Any]:
    """A pool without workers."""
    results = []
    for function, arguments, keywords in calls:
        results.append(function(*arguments, **keywords))
        if on_result:
            on_result()
    return results


@contextmanager
def process_pool(*modules: str, max_workers: int | None = None) -> Iterator[Pool]:
    """A worker for each core; if that is a single one, this process makes all calls.

    The modules are loaded once, by a process that computes nothing and of which the workers are forks: this takes half
    the time of loading them in each worker. It begins at once, while this process reads its data. Each worker has one
    thread, so that results do not depend on the number of cores.

    Args:
        modules: that the workers need. They may start no threads when they are imported.
        max_workers: at most so many.

    Raises:
        InputError: a worker was killed.
    """
    if (n_workers := min(joblib.cpu_count(), max_workers or joblib.cpu_count())) == 1:
        yield in_this_process
        return
    # TensorFlow may only be forked where fork is the system's usual way to start a process.
    context = get_context("forkserver") if sys.platform == "linux" else get_context("spawn")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    context.set_forkserver_preload([*modules])
    if context.get_start_method() == "forkserver":
        # It inherits that an interrupt is ignored, and loads the modules to the end: this process ends it.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, previous)
    connections: list[Connection] = []
    processes: list[BaseProcess] = []

    def pool(calls: Iterable[Call], on_result: OnResult | None = None) -> list[Any]:
        while len(connections) < n_workers:  # at the first call, since a worker starts when the modules are loaded
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(there,), daemon=True)
            process.start()
            processes.append(process)
            there.close()  # so that the connection ends when the worker does
            connections.append(here)
        return _distribute([*calls], connections, on_result)

    try:
        yield pool
    finally:
        for started in processes:
            started.kill()  # workers have nothing to clean up


def _distribute(calls: list[Call], connections: list[Connection], on_result: OnResult | None) -> list[Any]:
    results: list[Any] = [None] * len(calls)
    pending = iter(enumerate(calls))
    current: dict[Connection, int] = {}  # the number of the call that a worker makes

    def send_next(connection: Connection) -> None:
        if call := next(pending, None):
            current[connection], message = call
            connection.send(message)

    try:
        for connection in connections:
            send_next(connection)
        while current:
            for connection in cast(list[Connection], wait([*current])):
                kind, value = connection.recv()
                if kind == "progress":
                    progress.advance(value)
                elif kind == "error":
                    raise value
                else:
                    results[current.pop(connection)] = value
                    send_next(connection)
                    if on_result:
                        on_result()
    except (EOFError, ConnectionError):
        raise InputError("a worker was killed, perhaps for lack of memory; run the stage again") from None
    return results


def _work(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    progress.send_to(lambda steps: connection.send(("progress", steps)))
    while True:
        try:
            function, arguments, keywords = connection.recv()
        except EOFError:
            return  # that process has ended
        try:
            message = ("result", function(*arguments, **keywords))
        except Exception as error:
            if not isinstance(error, InputError):
                error.add_note(traceback.format_exc())  # that of this process
            message = ("error", error)
        connection.send(message)
