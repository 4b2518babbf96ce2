"""A pool of workers on this machine."""

import subprocess
import sys
from pathlib import Path

import joblib
import pytest

from stages.lib.tuning.workers import worker_pool


@pytest.mark.slow
def test_a_call_for_one_worker_is_made_once_and_by_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    log = tmp_path / "log.txt"
    call = joblib.delayed(exec)(f"import os\nwith open({str(log)!r}, 'a') as file: print(os.getpid(), file=file)")
    with worker_pool(2) as pool:
        # The first worker is busy, so the call is made by the second one.
        pool([joblib.delayed(exec)("import time; time.sleep(0.5)"), call])
        (worker,) = map(int, log.read_text().split())
        pool.run_on(worker, call)
        pool.run_on(worker, call)
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        pool.run_on(ended.pid, call)
    processes = list(map(int, log.read_text().split()))
    assert processes[:3] == [worker] * 3 and len(processes) == 4
