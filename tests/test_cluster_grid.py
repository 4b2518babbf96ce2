"""The grid on a Dask cluster: the same bytes as on one machine, whatever happens to its workers."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
import readme
import yaml
from distributed import Client
from joblib import delayed
from project import Project

from stages.lib.common.errors import InputError
from stages.lib.common.params import load
from stages.lib.tuning import workers

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Cluster:
    """A scheduler, and workers that are started in a folder; all of them listen on this machine only."""

    def __init__(self, folder: Path, logs: Path):
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
        """With a worker goes the nanny that would start it again."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            self.kill(process)

    def _start(self, folder: Path, *command: str) -> subprocess.Popen:
        Project.commands.add(("dask", *command))
        here = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
        with (self.logs / f"{command[0]}.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *command, *here],
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@pytest.fixture
def start_cluster(tmp_path: Path):
    """start_cluster(folder): a scheduler that is stopped, with its workers, after the test."""
    started = []

    def start(folder: Path = ROOT) -> Cluster:
        started.append(Cluster(folder, tmp_path))
        return started[-1]

    yield start
    for cluster in started:
        cluster.stop()


def refusal(address: str, *calls) -> str:
    """The one line that a pool of workers at this address ends with, when it makes these calls."""
    with pytest.raises(InputError) as refused, workers.worker_pool(1, address) as pool:
        pool(calls)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def points(lines: Iterable[str], wanted: Iterable[str] = ("none",)) -> list[str]:
    """The points, such as 3/8, that the lines tell of, up to where the wanted ones are all among them."""
    found: list[str] = []
    for line in lines:
        found += [line.split()[1]] if line.startswith("point ") else []
        if set(wanted) <= set(found):
            break
    return found


def test_a_worker_is_killed_and_the_files_are_those_of_this_machine(start_cluster, tmp_path: Path) -> None:
    changes = {
        "simulate.sessions": 1500,
        "simulate.purchases": 150,
        "train_base.training.epochs": 40,  # slow enough to be met on the way
        "grid_search.grid": {"learning_rate": [0.0001, 0.0003, 0.001, 0.003], "batch_size": [16, 24]},
        "grid_search.folds": 2,
        "validation.folds": 0,
    }
    (tmp_path / "project").mkdir()
    project = Project(tmp_path / "project", **changes)
    project.dvc("repro", "grid_search")
    outputs = [*STAGES["grid_search"]["outs"], "dvc.lock"]
    expected = contents(project, outputs)

    cluster = start_cluster(project.folder)
    cluster.add_worker(project.folder)
    cluster.add_worker(project.folder)
    project.set_params(**changes, **{"runtime.backend": cluster.address})
    assert "up to date" in project.dvc("status", "grid_search")
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", "--force", "grid_search"]
    with subprocess.Popen(command, cwd=project.folder, stdout=subprocess.PIPE, text=True) as stage:
        before = points(stage.stdout, {"3/8", "4/8"})  # both of the grid's shards have two points at least
        cluster.kill(cluster.workers[0])
        after = points(stage.stdout)
    assert stage.returncode == 0
    assert after and not {"1/8", "2/8"} & set(after), (before, after)  # the other worker went on from there
    assert contents(project, outputs) == expected


def contents(project: Project, outputs: list) -> dict[Path, bytes]:
    paths = [project.folder / (out if isinstance(out, str) else next(iter(out))) for out in outputs]
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    return {file: file.read_bytes() for file in files}


def test_calls_are_made_by_the_workers_even_if_there_is_one_and_their_errors_come_back(
    start_cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = start_cluster()
    cluster.add_worker(ROOT)
    with workers.worker_pool(1, cluster.address) as pool:
        (process,) = pool([delayed(os.getpgid)(0)])
        assert process == cluster.workers[0].pid
        with pytest.raises(InputError, match=re.escape("no.yaml: no such file")):
            pool.by(0, delayed(load)("seed", path=Path("no.yaml")))
    with monkeypatch.context() as changed:
        changed.setattr(workers, "CODE", "edited")
        assert "a worker has loaded other code" in refusal(cluster.address, delayed(os.getpid)())
    go_on = "run again to go on from there"
    assert refusal(cluster.address, delayed(os._exit)(1)) == (
        f"{cluster.address}: workers were killed, for want of memory perhaps; {go_on}"
    )
    scheduler_dies = delayed(os.killpg)(cluster.scheduler.pid, signal.SIGKILL)
    assert refusal(cluster.address, scheduler_dies) == f"{cluster.address}: the scheduler has gone; {go_on}"


def test_a_cluster_that_cannot_do_the_work_is_refused(
    start_cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 3)
    cluster = start_cluster()
    assert refusal(cluster.address) == f"{cluster.address}: no worker has joined this scheduler"
    cluster.add_worker(ROOT, threads=2)
    assert refusal(cluster.address).endswith("TensorFlow wants workers of one thread: start them with --nthreads 1")
    cluster.add_worker(tmp_path)
    inside = "start its scheduler and its workers in the project's folder"
    assert refusal(cluster.address) == f"{cluster.address}: {inside}"

    astray = start_cluster(tmp_path)
    astray.add_worker(ROOT)
    assert refusal(astray.address) == f"{astray.address}: {inside}"


def test_without_a_scheduler_or_without_dask_a_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 1)
    address = f"tcp://127.0.0.1:{free_port()}"
    assert refusal(address) == f"{address}: no Dask scheduler answers there"
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert refusal(address) == f"{address}: Dask is not installed: pip install -r requirements-cluster.txt"


def test_these_are_the_commands_that_the_readme_gives() -> None:
    assert not readme.not_run("Past one machine's memory, and past one machine", Project.commands)
