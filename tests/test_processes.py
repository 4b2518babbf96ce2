"""Worker processes make calls as this process does, tell how far they are, and end with it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import joblib
import psutil
import pytest
from joblib import delayed

from stages.lib.common import progress
from stages.lib.common.errors import InputError
from stages.lib.common.processes import Pool, process_pool


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    """Two workers that need no module."""
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    with process_pool() as pool:
        yield pool


def test_results_are_in_the_order_of_the_calls(pool: Pool) -> None:
    assert pool([delayed(pow)(2, number) for number in range(7)]) == [1, 2, 4, 8, 16, 32, 64]
    assert pool([]) == []


def test_each_result_is_told_when_it_is_there(pool: Pool) -> None:
    told: list[int] = []
    pool([delayed(pow)(2, number) for number in range(5)], on_result=lambda: told.append(1))
    assert len(told) == 5


def test_there_are_at_most_so_many_workers_as_are_allowed_and_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    with process_pool(max_workers=2) as pool:
        processes = {process for _ in range(3) for process in pool([delayed(os.getpid)()] * 6)}
    assert 1 <= len(processes) <= 2 and os.getpid() not in processes


def test_each_core_has_a_worker(pool: Pool, tmp_path: Path) -> None:
    # Each waits until the other one has begun.
    wait = "import os, time; open({0!r}, 'w')\nwhile not os.path.exists({1!r}): time.sleep(0.01)"
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    pool([delayed(exec)(wait.format(one, two)), delayed(exec)(wait.format(two, one))])


def test_with_a_single_core_this_process_makes_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 1)
    with process_pool() as pool:
        assert pool([delayed(os.getpid)()]) == [os.getpid()]


def fail() -> None:
    raise InputError("no such column")


def test_an_error_in_a_worker_is_raised_here(pool: Pool) -> None:
    with pytest.raises(InputError, match=r"^no such column$"):
        pool([delayed(fail)()])


def test_a_killed_worker_is_an_error_of_one_line(pool: Pool) -> None:
    with pytest.raises(InputError, match=r"^a worker was killed, perhaps for lack of memory; run the stage again$"):
        pool([delayed(exec)(f"import os; os.kill(os.getpid(), {signal.SIGKILL:d})")])


def test_workers_end_with_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    with process_pool() as pool:
        (worker,) = pool([delayed(os.getpid)()])
        assert psutil.pid_exists(worker)
    assert psutil.wait_procs([psutil.Process(worker)] if psutil.pid_exists(worker) else [], timeout=10)[1] == []


def test_progress_in_a_worker_is_told_here(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 6.0, 12.0])
    with progress.show_progress("training", 4, "epochs", clock=lambda: next(times)):
        pool([delayed(progress.advance)(), delayed(progress.advance)()])
    assert capsys.readouterr().out.splitlines()[0] == "training: 1/4 epochs, 0:06 elapsed, about 0:18 left"
