"""The same values in all the types that files store them in: each form is a column of a table, beside the others."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from session_frames import frame, repeated


class DuckDBColumn(NamedTuple):
    """Texts, and the type that DuckDB casts them to."""

    texts: list[str | None]
    type_: str


Forms = dict[str, Any]  # columns by the names of the forms; their type says who writes them, see WRITERS


@dataclass(frozen=True)
class FormsTable:
    """A file with a key, a number, a target and the columns x0, x1 …, and the form that each of these has."""

    path: Path
    forms: dict[str, str]

    def differing(self, texts: dict[str, str], expected: dict[str, str]) -> str:
        """A line for each column, named by its form, that has another text than the one expected."""
        return "\n".join(
            f"{self.path}, {self.forms.get(column, column)}: {texts.get(column, 'left out')}, expected {text}"
            for column, text in expected.items()
            if texts.get(column) != text
        )


def arrow_column(values: Any, type_: pa.DataType | None = None) -> pa.Array:
    return pa.array(repeated(*values), type_)


def pandas_column(values: Any, dtype: Any) -> pa.Array:
    """What pandas writes to parquet."""
    return pa.Array.from_pandas(pd.Series(repeated(*values)).astype(dtype))


def csv_column(values: Any, dtype: Any = None) -> pd.Series:
    return pd.Series(repeated(*values), dtype=dtype)


def duckdb_column(values: Any, type_: str) -> DuckDBColumn:
    return DuckDBColumn(repeated(*values), type_)


def write_arrow(columns: dict[str, pa.Array], path: Path) -> None:
    table = pa.Table.from_pandas(frame().reset_index(names="id"))
    for name, column in columns.items():
        table = table.append_column(name, column)
    pq.write_table(table, path)


def write_duckdb(columns: dict[str, DuckDBColumn], path: Path) -> None:
    texts = frame(**{name: column.texts for name, column in columns.items()}).reset_index(names="id")  # noqa: F841  by its name in SQL
    casts = ", ".join(f"{name}::{column.type_} AS {name}" for name, column in columns.items())
    duckdb.sql(f"COPY (SELECT * REPLACE ({casts}) FROM texts) TO '{path}'")


def write_csv(columns: dict[str, pd.Series], path: Path) -> None:
    frame(**columns).reset_index(names="id").to_csv(path, index=False)


WRITERS: dict[type, tuple[str, Callable[[Any, Path], None]]] = {
    pa.Array: ("arrow.parquet", write_arrow),
    DuckDBColumn: ("duckdb.parquet", write_duckdb),
    pd.Series: ("pandas.csv", write_csv),
}


def write_tables(forms: Forms) -> list[FormsTable]:
    """Write a table by each of WRITERS, all with the same columns: where forms are fewer, some have several columns."""
    by_type = {type_: [name for name in forms if isinstance(forms[name], type_)] for type_ in WRITERS}
    assert sorted(forms) == sorted(itertools.chain(*by_type.values()))
    columns = [f"x{number}" for number in range(max(map(len, by_type.values())))]
    tables = []
    for type_, (path, write) in WRITERS.items():
        table = FormsTable(Path(path), dict(zip(columns, itertools.cycle(by_type[type_]), strict=False)))
        write({column: forms[name] for column, name in table.forms.items()}, table.path)
        tables.append(table)
    return tables


KOLKATA = ZoneInfo("Asia/Kolkata")
CODES, GAPS = (3, 1, 22), (3, None, 22)
FLOATS = (0.1, None, 2.5)
MOMENTS = (datetime(2024, 5, 1, 13, 45), datetime(2024, 5, 2), datetime(2024, 5, 3, 0, 0, 1))
DAYS = (date(2024, 5, 1), date(2024, 5, 2), date(2024, 12, 31))
LENGTHS = (timedelta(seconds=90), timedelta(hours=25, microseconds=500_000), timedelta(0))
TIMES = (time(13, 45), time(0, 1, 30), time(23, 59, 59))


def code_forms() -> Forms:
    integers = {f"pyarrow {type_}": arrow_column(CODES, type_) for type_ in (
        pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())}  # fmt: skip
    return integers | {
        "pyarrow float": arrow_column(CODES, pa.float32()),
        "pyarrow double": arrow_column(CODES, pa.float64()),
        "pyarrow decimal": arrow_column([Decimal(code) for code in CODES], pa.decimal128(6, 2)),
        "pyarrow wide decimal": arrow_column([Decimal(code) for code in CODES], pa.decimal128(38, 4)),
        "pyarrow text": arrow_column([str(code) for code in CODES], pa.large_string()),
        "pyarrow dictionary": arrow_column(map(str, CODES)).dictionary_encode(),
        "pyarrow dictionary of numbers": arrow_column(CODES).dictionary_encode(),
        "pandas Int64": pandas_column(CODES, "Int64"),
        "pandas category": pandas_column([str(code) for code in CODES], "category"),
        "duckdb hugeint": duckdb_column(map(str, CODES), "HUGEINT"),
        "duckdb decimal": duckdb_column(map(str, CODES), "DECIMAL(9, 3)"),
        "duckdb enum": duckdb_column(map(str, CODES), "ENUM('3', '1', '22')"),
        "csv": csv_column(CODES),
        "csv of floats": csv_column(CODES, float),
        "csv with spaces": csv_column((3, 1, " 22 ")),
    }


def gap_forms() -> Forms:
    return {
        "pyarrow int64": arrow_column(GAPS, pa.int64()),
        "pyarrow double": arrow_column(GAPS, pa.float64()),
        "pyarrow NaN": arrow_column((3.0, float("nan"), 22.0)),
        "pyarrow decimal": arrow_column([Decimal(3), None, Decimal(22)], pa.decimal128(6, 2)),
        "pyarrow NaN text": arrow_column(("3", "NaN", "22")),
        "pyarrow NULL text": arrow_column(("3", "NULL", "22.0")),
        "pyarrow -1": arrow_column((3, -1, 22), pa.int16()),
        "pyarrow -1.0": arrow_column((3, -1, 22), pa.float32()),
        "pandas Int64": pandas_column(GAPS, "Int64"),
        "pandas float": pandas_column(GAPS, float),
        "duckdb utinyint": duckdb_column(("3", None, "22"), "UTINYINT"),
        "csv of floats": csv_column(GAPS, float),
        "csv of Int64": csv_column(GAPS, "Int64"),
        "csv of -1.0": csv_column((3, -1, 22), float),
    }


def flag_forms() -> Forms:
    flags = (True, False, None)
    return {
        "pyarrow": arrow_column(flags, pa.bool_()),
        "pandas boolean": pandas_column(flags, "boolean"),
        "duckdb": duckdb_column(("true", "false", None), "BOOLEAN"),
        "csv": csv_column(flags, object),
        "csv in capitals": csv_column(("TRUE", "FALSE", None)),
        "csv in lower case": csv_column(("true", "false", "NA")),
        "pyarrow text": arrow_column(("True", "False", None)),
    }


def number_forms() -> Forms:
    return {
        "pyarrow float": arrow_column(FLOATS, pa.float32()),
        "pyarrow double": arrow_column(FLOATS, pa.float64()),
        "pyarrow decimal": arrow_column([Decimal("0.1"), None, Decimal("2.5")], pa.decimal128(10, 5)),
        "pyarrow text": arrow_column(("0.10", None, "2.5")),
        "pandas Float32": pandas_column(FLOATS, "Float32"),
        "duckdb decimal": duckdb_column(("0.1", None, "2.5"), "DECIMAL(4, 1)"),
        "csv": csv_column(FLOATS),
        "csv of float32": csv_column(FLOATS, "float32"),
    }


def moment_forms() -> Forms:
    zoned = [moment.isoformat() + "Z" for moment in MOMENTS]
    seconds = [int(moment.replace(tzinfo=UTC).timestamp()) for moment in MOMENTS]
    return {
        **{f"pyarrow {unit}": arrow_column(MOMENTS, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
        "pyarrow with a zone": arrow_column(MOMENTS, pa.timestamp("us", "UTC")).cast(pa.timestamp("ns", "Asia/Tokyo")),
        "pyarrow text": arrow_column(zoned),
        "pandas": pandas_column(MOMENTS, "datetime64[ns]"),
        "pandas with a zone": pandas_column([pd.Timestamp(moment, tz="UTC") for moment in MOMENTS], object),
        "duckdb": duckdb_column(zoned, "TIMESTAMPTZ"),
        "duckdb seconds": duckdb_column([moment.isoformat() for moment in MOMENTS], "TIMESTAMP_S"),
        "csv": csv_column(MOMENTS),
        "csv with a zone": csv_column([moment.replace(tzinfo=UTC).astimezone(KOLKATA) for moment in MOMENTS]),
        "numbers": arrow_column(seconds),
        "floats": arrow_column([number * 1e3 for number in seconds]),
        "csv of numbers": csv_column([number * 10**6 for number in seconds]),
    }  # fmt: skip


def day_forms() -> Forms:
    return {
        "pyarrow date32": arrow_column(DAYS, pa.date32()),
        "pyarrow date64": arrow_column(DAYS, pa.date64()),
        "pyarrow timestamp": arrow_column(DAYS).cast(pa.timestamp("ms")),
        "pandas": pandas_column(DAYS, object),
        "duckdb": duckdb_column(map(str, DAYS), "DATE"),
        "csv": csv_column(DAYS),
        "csv of timestamps": csv_column([pd.Timestamp(day).isoformat() for day in DAYS]),
    }


def duration_forms() -> Forms:
    return {
        **{f"pyarrow {unit}": arrow_column(LENGTHS, pa.duration(unit)) for unit in ("us", "ns")},
        "pyarrow seconds": arrow_column([length.total_seconds() for length in LENGTHS]),
        "pyarrow ms": arrow_column(LENGTHS, pa.duration("us")).cast(pa.duration("ms")),
        "pandas": pandas_column(LENGTHS, "timedelta64[ns]"),
        "duckdb": duckdb_column(("90 seconds", "25 hours 500 milliseconds", "0 seconds"), "INTERVAL"),
        "csv": csv_column(LENGTHS, "timedelta64[ns]"),
        "csv of hours": csv_column(("00:01:30", "25:00:00.5", "0:00:00")),
    }


def time_forms() -> Forms:
    return {
        **{f"pyarrow {type_}": arrow_column(TIMES, type_) for type_ in (
            pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))},
        "pandas": pandas_column(TIMES, object),
        "duckdb": duckdb_column(map(str, TIMES), "TIME"),
        "duckdb of UTC": duckdb_column(map(str, TIMES), "TIMETZ"),  # as earlier pyarrows write times
        "csv": csv_column(TIMES),
    }  # fmt: skip
