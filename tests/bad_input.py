"""Sources that the prepare stage refuses: what is wrong with them, and what the one line of its error says."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from helpers import PrepareTable, sessions_frame

EARLIER = b"what an earlier run wrote"
SESSIONS = sessions_frame()
CSV = SESSIONS.to_csv(index=False)


def parquet_bytes(rows: pd.DataFrame | pa.Table = SESSIONS) -> bytes:
    file = io.BytesIO()
    pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows), file)
    return file.getvalue()


@dataclass(frozen=True)
class Case:
    """A source, the params it is read with (without the prefix prepare), and a part of the error."""

    says: str
    content: Any
    name: str = "a.csv"
    params: dict[str, Any] = field(default_factory=dict)


def error_of(prepare: PrepareTable, case: Case, **settings: Any) -> str:
    """The error of the prepare stage, without its start; an output of an earlier run is not touched."""
    Path("prepared.parquet").write_bytes(EARLIER)
    params = {f"prepare.{key}": value for key, value in case.params.items()}
    ran = prepare(case.content, case.name, **settings, **params)
    assert Path("prepared.parquet").read_bytes() == EARLIER
    assert {path.name for path in Path().iterdir()} == {"params.yaml", case.name, "prepared.parquet"}
    assert ran.out == ""
    start = f"prepare: {case.name}: "
    assert ran.error.startswith(start)
    return ran.error.removeprefix(start)
