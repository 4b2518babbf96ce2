"""A pool of workers on this machine."""

import os

import joblib
import pytest
from joblib import delayed

from stages.lib.tuning.workers import worker_pool


@pytest.mark.slow
def test_results_are_in_the_order_of_the_calls_and_workers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    with worker_pool(2) as pool:
        assert pool([delayed(divmod)(number, 3) for number in range(9)]) == [divmod(number, 3) for number in range(9)]
        processes = {process for _ in range(3) for process in pool([delayed(os.getpid)()] * 4)}
    assert 1 <= len(processes) <= 2 and os.getpid() not in processes
