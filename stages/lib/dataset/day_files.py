"""A session table in a folder, with a file for each day on which sessions began, and the latest of them."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.common.errors import InputError, file_errors
from stages.lib.dataset.left_out import Finding, with_findings
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import Sessions, read_sessions

LEFT_OUT = "_left_out.json"


def read_latest(path: Path, days: int | None) -> Sessions:
    """The sessions of the latest days, of a folder of days or a file; None: all of them. Earlier days are not read.

    Their schema says what was left out, by prepare and here.

    Raises:
        InputError: there is no such file or folder, or the sessions have no time.
    """
    if not path.is_dir():
        sessions = read_sessions(path)
        return _later_rows(sessions, days) if days else sessions
    all_files = files = sorted(path.glob("*.parquet"))
    if files and days:
        first = date.fromisoformat(files[-1].stem) - timedelta(days=days - 1)
        files = [file for file in files if file.stem >= first.isoformat()]
    sessions = read_sessions(*files)
    with file_errors(path / LEFT_OUT, "what prepare left out", "run the prepare stage again", (TypeError,)):
        findings = [Finding(**finding) for finding in json.loads((path / LEFT_OUT).read_bytes())]
    if earlier := len(all_files) - len(files):
        findings.append(Finding(f"left out the days before {files[0].stem}", earlier, hint="split.days"))
    return with_schema(sessions, with_findings(sessions.table.schema, findings))


def _later_rows(sessions: Sessions, days: int) -> Sessions:
    time = pd.Series(sessions.column("time"))
    if not pd.api.types.is_datetime64_any_dtype(time):
        raise InputError("split.days: the sessions' time is not a date")
    first = time.max().normalize() - timedelta(days=days - 1)
    later = sessions.take(np.flatnonzero(time >= first))
    earlier = len(sessions) - len(later)
    findings = [Finding(f"left out the rows before {first.date()}", earlier, hint="split.days")] if earlier else []
    return with_schema(later, with_findings(later.table.schema, findings))


def without_constant_features(sessions: Sessions) -> tuple[Sessions, list[str]]:
    """The sessions without the features that have the same value in every row, or none, and the names of these."""
    constant = [name for name in sessions.names("feature") if _is_constant(sessions.table[name])]
    if not constant:
        return sessions, []
    kept = Sessions(sessions.table.select([name for name in sessions.table.schema.names if name not in constant]))
    schema = Schema.from_arrow(sessions.table.schema)
    features = {name: dtype for name, dtype in schema.features.items() if name not in constant}
    metadata = schema.model_copy(update={"features": features}).attach(kept.table.schema).metadata
    combined = {**(sessions.table.schema.metadata or {}), **metadata}
    left_out = Finding(
        f"left out the features that are the same in every session, {', '.join(constant)}", len(constant)
    )
    return with_schema(kept, with_findings(kept.table.schema.with_metadata(combined), [left_out])), constant


def _is_constant(column: pa.ChunkedArray) -> bool:
    if column.null_count:
        return bool(column.null_count == len(column))
    first = column[0]
    return all(bool(pc.all(pc.equal(chunk, first)).as_py()) for chunk in column.chunks if len(chunk))


def with_schema(sessions: Sessions, schema: pa.Schema) -> Sessions:
    """The sessions with other metadata."""
    return Sessions(sessions.table.replace_schema_metadata(schema.metadata))
