"""What all tests share: a folder to work in, stages run as the command line runs them, and small tables."""

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from project import TINY, Project

from stages.lib.common import cli as stage
from stages.lib.common import params
from stages.lib.common.params import Encoding
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import Sessions, read_sessions, with_roles

# The tests run side by side: threads that wait for each other would each take a core from the other's.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
REMOVED = object()  # write_params(**{"prepare.target": REMOVED}) leaves the key out


@dataclass(frozen=True)
class Ran:
    """How a stage ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a user's error, which is all there is on stderr."""
        assert self.code == 1, f"exit code {self.code}: {self.out}{self.err}"
        assert self.err.endswith("\n") and len(self.err.splitlines()) == 1, f"not one line: {self.err!r}"
        return self.err.rstrip("\n")


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
def write_params(project: Path) -> Callable[..., None]:
    """write_params(**{"prepare.source_type": "sessions"}): the committed params.yaml, with these keys changed."""

    def write(**changes: Any) -> None:
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        for key, value in changes.items():
            *sections, name = key.split(".")
            section = params
            for part in sections:
                section = section[part]
            section[name] = value
            if value is REMOVED:
                del section[name]
        Path("params.yaml").write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")

    return write


@pytest.fixture
def run_stage(project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """run_stage("split", path, …): what `python -m stages.split path …` does, in this process."""

    def run(name: str, *paths: str | Path) -> Ran:
        module = importlib.import_module(f"stages.{name}")
        monkeypatch.setattr(sys, "argv", [module.__file__, *map(str, paths)])
        capfd.readouterr()
        code = 0
        try:
            stage.run(module.main)
        except SystemExit as ended:
            # Python itself does this with the text of a SystemExit, but at the very end.
            code = ended.code if isinstance(ended.code, int) else 1
            print(*[ended.code] * isinstance(ended.code, str), file=sys.stderr)
        return Ran(code, *capfd.readouterr())

    return run


@pytest.fixture
def write_source(project: Path) -> Callable[..., Path]:
    """write_source(content, "a.csv"): bytes or text as they are, a DataFrame as the name's kind of file."""

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
def prepare(run_stage, write_params, write_source) -> Callable[..., Ran]:
    """prepare(content, "a.csv", **{"prepare.drop": ["x"]}): the prepare stage on this table of sessions."""

    def run(content: Any, name: str = "sessions.csv", **changes: Any) -> Ran:
        write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys"} | changes)
        return run_stage("prepare", write_source(content, name), "prepared.parquet")

    return run


@pytest.fixture
def prepared(prepare) -> Callable[..., Sessions]:
    """As prepare, for content that is fine: the sessions it wrote."""

    def run(content: Any, name: str = "sessions.csv", **changes: Any) -> Sessions:
        ran = prepare(content, name, **changes)
        assert ran.code == 0, ran.err
        return read_sessions(Path("prepared.parquet"))

    return run


@pytest.fixture
def make_sessions() -> Callable[..., pd.DataFrame]:
    return sessions_frame


def sessions_frame(rows: int = 120, seed: int = 7) -> pd.DataFrame:
    """A whole number, a number and a category with missing values, and buys, which depends on them."""
    random = np.random.default_rng(seed)
    buys = (np.arange(rows) % 4 == 0).astype(int)
    seconds = np.round(random.exponential(60, rows) + 40 * buys, 2)
    seconds[np.arange(rows) % 10 == 3] = np.nan
    browser = random.choice(["Chrome", "Firefox", "Safari"], rows, p=[0.6, 0.3, 0.1]).astype(object)
    browser[np.arange(rows) % 15 == 6] = None
    pages = random.poisson(3 + 4 * buys)
    return pd.DataFrame({"pages": pages, "seconds": seconds, "browser": browser, "buys": buys})


def standard(rare_share: float = 0.0, **changes: Any) -> Encoding:
    """The study's encoding, with levels below `rare_share` as one."""
    settings = {"numbers": "standard", "bins": 0, "levels": 1000, "rare_share": rare_share}
    return Encoding(**settings | changes)


def as_sessions(frame: pd.DataFrame, **roles: str) -> Sessions:
    """`frame` as the prepare stage would write it; as_sessions(frame, buys="target", id="key")."""
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    features = {
        name: "number" if pd.api.types.is_numeric_dtype(frame[name]) else "category"
        for name in frame
        if name not in roles
    }
    (prepare,) = params.load("prepare", path=ROOT / "params.yaml")
    return Sessions(rows.cast(Schema.of(prepare, features).attach(with_roles(rows.schema, roles))))
