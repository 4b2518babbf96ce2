"""The fixtures that tests share: an empty working directory, stages run in it, and a built checkout."""

import fcntl
import gc
import importlib
import math
import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from checkout import TINY, Checkout
from helpers import (
    MakeSessions,
    PreparedSessions,
    PrepareTable,
    RunStage,
    StageResult,
    WriteParams,
    WriteSource,
    sessions_frame,
)

from benchmarks import tools
from stages.lib.common import cli
from stages.lib.dataset.sessions import Sessions, read_sessions

pytest_plugins = ["browser", "order", "unit_tests"]

# Tests run in parallel processes, whose threads would compete for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    gc.freeze()  # what imports have made stays, so garbage collections need not look at it again
    gc.set_threshold(100_000)  # in place of 700: Ibis makes millions of small objects, and few of them are cycles


@pytest.fixture(scope="session")
def built_checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The whole pipeline, run on tiny data and committed on main. Tests clone it and never change it.

    One for all processes that run tests: the first that needs it builds it.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with (shared / "origin.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (shared / "origin" / "built").exists():
            return Checkout.at(shared / "origin" / "checkout")
        built = Checkout(shared / "origin" / "checkout", **TINY)
        built.dvc("repro")
        built.commit("First")
        (shared / "origin" / "built").touch()
        return built


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which becomes the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write_params(workdir: Path) -> WriteParams:
    def write(**changes: Any) -> None:
        tools.write_params(Path("params.yaml"), changes)

    return write


@pytest.fixture
def run_stage(workdir: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> RunStage:
    def run(name: str, *paths: str | Path) -> StageResult:
        module = importlib.import_module(f"stages.{name}")
        # What a stage prints does not depend on how fast the machine is.
        monkeypatch.setattr("stages.lib.common.progress.INTERVAL", math.inf)
        monkeypatch.setattr(sys, "argv", [module.__file__, *map(str, paths)])
        capfd.readouterr()
        code = 0
        try:
            cli.run(module.main)
        except SystemExit as ended:
            if isinstance(ended.code, str):  # which the interpreter would print when it exits
                print(ended.code, file=sys.stderr)
            code = ended.code if isinstance(ended.code, int) else 1
        return StageResult(code, *capfd.readouterr())

    return run


@pytest.fixture
def write_source(workdir: Path) -> WriteSource:
    def write(content: pd.DataFrame | str | bytes, name: str = "sessions.csv") -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_bytes(content.encode())
        elif name.endswith(".parquet"):
            content.to_parquet(path)
        else:
            content.to_csv(path, index=False)
        return path

    return write


@pytest.fixture
def prepare(run_stage: RunStage, write_params: WriteParams, write_source: WriteSource) -> PrepareTable:
    def run(content: Any, name: str = "sessions.csv", **changes: Any) -> StageResult:
        write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys"} | changes)
        return run_stage("prepare", write_source(content, name), "prepared.parquet")

    return run


@pytest.fixture
def prepared(prepare: PrepareTable) -> PreparedSessions:
    def run(content: Any, name: str = "sessions.csv", **changes: Any) -> Sessions:
        result = prepare(content, name, **changes)
        assert result.code == 0, result.err
        return read_sessions(Path("prepared.parquet"))

    return run


@pytest.fixture
def make_sessions() -> MakeSessions:
    return sessions_frame
