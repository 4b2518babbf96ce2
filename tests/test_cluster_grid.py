"""The grid on a Dask cluster gives the same bytes as on one machine, even if workers are killed."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

import documentation
import pytest
import yaml
from checkout import Checkout
from distributed import Client
from helpers import ROOT
from joblib import delayed

from stages.lib.common.errors import InputError
from stages.lib.common.params import Params
from stages.lib.common.processes import Call
from stages.lib.tuning import workers
from stages.lib.tuning.workers import worker_pool

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
RESUME = "run the stage again to resume"

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Cluster:
    """A scheduler and workers, started in a folder; they listen on this machine only."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self.logs = logs
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.scheduler = self._start(folder, "scheduler", "--port", self.address.split(":")[-1])
        self.workers: list[subprocess.Popen] = []

    def add_worker(self, folder: Path, threads: int = 1) -> None:
        options = ("--nthreads", str(threads), "--local-directory", str(self.logs))
        self.workers.append(self._start(folder, "worker", self.address, *options))
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=30)

    def kill(self, process: subprocess.Popen) -> None:
        """The nanny process, which would restart a worker, is killed with it."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            self.kill(process)

    def _start(self, folder: Path, *command: str) -> subprocess.Popen:
        Checkout.commands.add(("dask", *command))
        options = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
        with (self.logs / f"{command[0]}.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *command, *options],
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


StartCluster = Callable[..., Cluster]


@pytest.fixture
def start_cluster(tmp_path: Path) -> Iterator[StartCluster]:
    """start_cluster(folder) starts a scheduler, which is stopped with its workers after the test."""
    started = []

    def start(folder: Path = ROOT) -> Cluster:
        started.append(Cluster(folder, tmp_path))
        return started[-1]

    yield start
    for cluster in started:
        cluster.stop()


def error_of_calls(address: str, *calls: Call) -> str:
    """The one line of the error when a pool of workers at this address makes these calls."""
    with pytest.raises(InputError) as raised, worker_pool(1, address) as pool:
        pool(calls)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def read_points(lines: Iterable[str], until: Iterable[str] = ("the end",)) -> list[str]:
    """The points in the log, such as 3/8, up to the line with which all those in `until` have come."""
    points: list[str] = []
    for line in lines:
        if line.startswith("point "):
            points.append(line.split()[1])
        if {*until} <= {*points}:
            break
    return points


def test_if_a_worker_is_killed_the_grid_gives_the_same_files_as_on_one_machine(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {
        "simulate.sessions": 1500,
        "simulate.purchases": 150,
        "train_base.training.epochs": 40,  # slow enough to be interrupted
        "grid_search.grid": {"learning_rate": [0.0001, 0.0003, 0.001, 0.003], "batch_size": [16, 24]},
        "grid_search.folds": 2,
        "validation.folds": 0,
    }
    (tmp_path / "project").mkdir()
    checkout = Checkout(tmp_path / "project", **changes)
    checkout.dvc("repro", "grid_search")
    outputs = [*STAGES["grid_search"]["outs"], "dvc.lock"]
    expected = contents(checkout, outputs)

    cluster = start_cluster(checkout.folder)
    cluster.add_worker(checkout.folder)
    cluster.add_worker(checkout.folder)
    checkout.set_params(**changes, **{"runtime.backend": cluster.address})
    assert "up to date" in checkout.dvc("status", "grid_search")
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", "--force", "grid_search"]
    with subprocess.Popen(command, cwd=checkout.folder, stdout=subprocess.PIPE, text=True) as stage:
        stdout = cast(IO[str], stage.stdout)
        before = read_points(stdout, until={"3/8", "4/8"})  # both shards of the grid have completed two points
        cluster.kill(cluster.workers[0])
        after = read_points(stdout)
    assert stage.returncode == 0
    assert after and not {"1/8", "2/8"} & {*after}, (before, after)  # the other worker resumed
    assert contents(checkout, outputs) == expected


def contents(checkout: Checkout, outputs: list[str | dict[str, Any]]) -> dict[Path, bytes]:
    paths = [checkout.folder / (output if isinstance(output, str) else next(iter(output))) for output in outputs]
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    return {file: file.read_bytes() for file in files}


def test_calls_are_made_by_workers_and_their_errors_are_raised(
    start_cluster: StartCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = start_cluster()
    cluster.add_worker(ROOT)
    with worker_pool(1, cluster.address) as pool:
        (process,) = pool([delayed(os.getpgid)(0)])
        assert process == cluster.workers[0].pid
        with pytest.raises(InputError, match=re.escape("no.yaml: no such file")):
            pool([delayed(Params.load)(Path("no.yaml"))])
    with monkeypatch.context() as edited:
        edited.setattr(workers, "CODE", "edited")
        message = error_of_calls(cluster.address, delayed(os.getpid)())
        assert message == "a worker was started with other code than stages/ has now; restart the workers"
    assert error_of_calls(cluster.address, delayed(os._exit)(1)) == (
        f"{cluster.address}: workers were killed, perhaps for lack of memory; {RESUME}"
    )
    kill_scheduler = delayed(os.killpg)(cluster.scheduler.pid, signal.SIGKILL)
    assert error_of_calls(cluster.address, kill_scheduler) == (
        f"{cluster.address}: the connection to the scheduler was lost; {RESUME}"
    )


def test_a_cluster_without_suitable_workers_is_an_error(
    start_cluster: StartCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "TIMEOUT", 3)
    cluster = start_cluster()
    assert error_of_calls(cluster.address) == f"{cluster.address}: no worker has joined this scheduler"
    cluster.add_worker(ROOT, threads=2)
    assert error_of_calls(cluster.address) == (
        f"{cluster.address}: TensorFlow needs workers with one thread: start them with --nthreads 1"
    )
    cluster.add_worker(tmp_path)
    other_folder = "start the scheduler and its workers in the project's folder"
    assert error_of_calls(cluster.address) == f"{cluster.address}: {other_folder}"

    misplaced = start_cluster(tmp_path)
    misplaced.add_worker(ROOT)
    assert error_of_calls(misplaced.address) == f"{misplaced.address}: {other_folder}"


def test_a_missing_scheduler_and_a_missing_dask_are_errors_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "TIMEOUT", 1)
    address = f"tcp://127.0.0.1:{free_port()}"
    assert error_of_calls(address) == f"{address}: no Dask scheduler answers at this address"
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert error_of_calls(address) == f"{address}: Dask is not installed: pip install -r requirements-cluster.txt"


def test_the_readme_has_these_commands() -> None:
    assert not documentation.not_run("dask worker", Checkout.commands)
