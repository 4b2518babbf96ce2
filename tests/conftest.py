"""The fixtures that tests share: a folder to work in, and stages run in it."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers import (
    MakeSessions,
    PreparedSessions,
    PrepareTable,
    Ran,
    RunStage,
    WriteParams,
    WriteSource,
    sessions_frame,
)
from project import TINY, Project

from benchmarks import tools
from stages.lib.common import cli
from stages.lib.dataset.sessions import Sessions, read_sessions

# The tests run side by side: threads that wait for each other would each take a core from the other's.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The whole pipeline on tiny data, run and committed on main: to be cloned, never changed."""
    built = Project(tmp_path_factory.mktemp("origin"), **TINY)
    built.dvc("repro")
    built.commit("First")
    return built


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, made the working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write_params(project: Path) -> WriteParams:
    def write(**changes: Any) -> None:
        tools.write_params(Path("params.yaml"), changes)

    return write


@pytest.fixture
def run_stage(project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> RunStage:
    def run(name: str, *paths: str | Path) -> Ran:
        module = importlib.import_module(f"stages.{name}")
        monkeypatch.setattr(sys, "argv", [module.__file__, *map(str, paths)])
        capfd.readouterr()
        code = 0
        try:
            cli.run(module.main)
        except SystemExit as ended:
            # Python itself does this with the text of a SystemExit, but at the very end.
            code = ended.code if isinstance(ended.code, int) else 1
            print(*[ended.code] * isinstance(ended.code, str), file=sys.stderr)
        return Ran(code, *capfd.readouterr())

    return run


@pytest.fixture
def write_source(project: Path) -> WriteSource:
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
    def run(content: Any, name: str = "sessions.csv", **changes: Any) -> Ran:
        write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys"} | changes)
        return run_stage("prepare", write_source(content, name), "prepared.parquet")

    return run


@pytest.fixture
def prepared(prepare: PrepareTable) -> PreparedSessions:
    def run(content: Any, name: str = "sessions.csv", **changes: Any) -> Sessions:
        ran = prepare(content, name, **changes)
        assert ran.code == 0, ran.err
        return read_sessions(Path("prepared.parquet"))

    return run


@pytest.fixture
def make_sessions() -> MakeSessions:
    return sessions_frame
