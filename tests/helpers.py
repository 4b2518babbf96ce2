"""What tests share: the types of the fixtures, and small tables of sessions."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks.tools import REMOVED, ROOT
from stages.lib.common.errors import InputError
from stages.lib.common.model_params import Encoding
from stages.lib.common.params import Params
from stages.lib.dataset.schema import Dtype, Schema
from stages.lib.dataset.sessions import Sessions, with_roles

__all__ = ["REMOVED", "ROOT"]

SHARED_DATA = ROOT.parent / "shared" / "data"  # public data sets; tests that need them are skipped without


@dataclass(frozen=True)
class StageResult:
    """The exit code and the output of a stage."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of an InputError, which must be all of stderr."""
        assert self.code == 1, f"exit code {self.code}: {self.out}{self.err}"
        assert self.err.endswith("\n") and len(self.err.splitlines()) == 1, f"not one line: {self.err!r}"
        return self.err.rstrip("\n")


class RunStage(Protocol):
    """run_stage("split", path, …) does in this process what `python -m stages.split path …` does."""

    def __call__(self, name: str, *paths: str | Path) -> StageResult: ...


class WriteParams(Protocol):
    """write_params(**{"prepare.source_type": "sessions"}) writes the committed params.yaml with this change."""

    def __call__(self, **changes: Any) -> None: ...


class WriteSource(Protocol):
    """write_source(content, "a.csv") writes bytes and text as they are, and a DataFrame as csv or parquet."""

    def __call__(self, content: pd.DataFrame | str | bytes, name: str = "sessions.csv") -> Path: ...


class PrepareTable(Protocol):
    """prepare(content, "a.csv", **{"prepare.drop": ["x"]}) runs the prepare stage on a session table."""

    def __call__(self, content: Any, name: str = "sessions.csv", **changes: Any) -> StageResult: ...


class PreparedSessions(Protocol):
    """The same, but the stage must succeed; returns the sessions that it wrote."""

    def __call__(self, content: Any, name: str = "sessions.csv", **changes: Any) -> Sessions: ...


class MakeSessions(Protocol):
    def __call__(self, rows: int = 120, seed: int = 7) -> pd.DataFrame: ...


def sessions_frame(rows: int = 120, seed: int = 7) -> pd.DataFrame:
    """Features pages (integer), seconds (float) and browser (category), the last two with gaps, and the target buys."""
    rng = np.random.default_rng(seed)
    buys = (np.arange(rows) % 4 == 0).astype(int)
    seconds = np.round(rng.exponential(60, rows) + 40 * buys, 2)
    seconds[np.arange(rows) % 10 == 3] = np.nan
    browser = rng.choice(["Chrome", "Firefox", "Safari"], rows, p=[0.6, 0.3, 0.1]).astype(object)
    browser[np.arange(rows) % 15 == 6] = None
    pages = rng.poisson(3 + 4 * buys)
    return pd.DataFrame({"pages": pages, "seconds": seconds, "browser": browser, "buys": buys})


def standard_encoding(min_frequency: float = 0.0, **changes: Any) -> Encoding:
    """The settings of the study's encoding, apart from `changes`."""
    settings: dict[str, Any] = {"scaling": "standard", "bins": 0, "max_categories": 1000}
    return Encoding(**settings | {"min_frequency": min_frequency} | changes)


def as_sessions(frame: pd.DataFrame, **roles: str) -> Sessions:
    """The frame as the prepare stage would write it: as_sessions(frame, buys="target", id="key")."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    features: dict[str, Dtype] = {
        str(name): "number" if pd.api.types.is_numeric_dtype(frame[name]) else "category"
        for name in frame
        if name not in roles
    }
    prepare = Params.load(ROOT / "params.yaml").prepare
    return Sessions(table.cast(Schema.of(prepare, features).attach(with_roles(table.schema, roles))))


def with_flipped_copies(frame: pd.DataFrame, weight: float) -> Sessions:
    """The frame as `as_sessions` makes it, and a copy of each row with the other target and this weight."""
    flipped = frame.assign(buys=1 - frame["buys"], weight=weight)
    rows = pd.concat([frame.assign(weight=1.0), flipped], ignore_index=True)
    return as_sessions(rows, buys="target", weight="weight")


def zip_bytes(content: bytes | str, *names: str) -> bytes:
    """A zip archive in which each of these files has the content."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


def load_error() -> str:
    """The one line in which the params.yaml of the working folder is refused."""
    with pytest.raises(InputError) as raised:
        Params.load()
    text = str(raised.value)
    assert len(text.splitlines()) == 1
    return text
