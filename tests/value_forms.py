"""The same values in all the types that files store them in: each form is a file with the values in column x."""

import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from session_frames import BUYS, PAGES, ROWS, frame, repeated

Forms = dict[str, bytes]


def arrow_bytes(values: Any, type_: pa.DataType | None = None) -> bytes:
    """A parquet file, by pyarrow, of the values in the column x."""
    array = values if isinstance(values, pa.Array) else pa.array(repeated(*values), type_)
    file = io.BytesIO()
    pq.write_table(pa.table({"id": range(ROWS), "pages": PAGES, "x": array, "buys": BUYS.astype(int)}), file)
    return file.getvalue()


def pandas_bytes(values: Any, dtype: Any) -> bytes:
    file = io.BytesIO()
    frame(x=pd.Series(repeated(*values)).astype(dtype)).reset_index(names="id").to_parquet(file, index=False)
    return file.getvalue()


def csv_bytes(values: Any, dtype: Any = None) -> bytes:
    column = pd.Series(repeated(*values), dtype=dtype)
    return frame(x=column).reset_index(names="id").to_csv(index=False).encode()


def duckdb_bytes(values: Any, type_: str) -> bytes:
    texts = pa.table({"id": range(ROWS), "pages": PAGES, "x": pa.array(repeated(*values), pa.string())})  # noqa: F841  by its name in SQL
    path = Path("duckdb.parquet")
    duckdb.sql(f"COPY (SELECT *  REPLACE (x::{type_} AS x), (id % 4 = 0)::int AS buys FROM texts) TO '{path}'")
    return path.read_bytes()


KOLKATA = ZoneInfo("Asia/Kolkata")
CODES, GAPS = (3, 1, 22), (3, None, 22)
FLOATS = (0.1, None, 2.5)
MOMENTS = (datetime(2024, 5, 1, 13, 45), datetime(2024, 5, 2), datetime(2024, 5, 3, 0, 0, 1))
DAYS = (date(2024, 5, 1), date(2024, 5, 2), date(2024, 12, 31))
LENGTHS = (timedelta(seconds=90), timedelta(hours=25, microseconds=500_000), timedelta(0))
TIMES = (time(13, 45), time(0, 1, 30), time(23, 59, 59))


def code_forms() -> Forms:
    integers = {f"pyarrow {type_}": arrow_bytes(CODES, type_) for type_ in (
        pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())}  # fmt: skip
    return integers | {
        "pyarrow float": arrow_bytes(CODES, pa.float32()),
        "pyarrow double": arrow_bytes(CODES, pa.float64()),
        "pyarrow decimal": arrow_bytes([Decimal(code) for code in CODES], pa.decimal128(6, 2)),
        "pyarrow wide decimal": arrow_bytes([Decimal(code) for code in CODES], pa.decimal128(38, 4)),
        "pyarrow text": arrow_bytes([str(code) for code in CODES], pa.large_string()),
        "pyarrow dictionary": arrow_bytes(pa.array(repeated(*map(str, CODES))).dictionary_encode()),
        "pyarrow dictionary of numbers": arrow_bytes(pa.array(repeated(*CODES)).dictionary_encode()),
        "pandas Int64": pandas_bytes(CODES, "Int64"),
        "pandas category": pandas_bytes([str(code) for code in CODES], "category"),
        "duckdb hugeint": duckdb_bytes(map(str, CODES), "HUGEINT"),
        "duckdb decimal": duckdb_bytes(map(str, CODES), "DECIMAL(9, 3)"),
        "duckdb enum": duckdb_bytes(map(str, CODES), "ENUM('3', '1', '22')"),
        "csv": csv_bytes(CODES),
        "csv of floats": csv_bytes(CODES, float),
        "csv with spaces": csv_bytes(CODES).replace(b",22,", b", 22 ,"),
    }


def gap_forms() -> Forms:
    return {
        "pyarrow int64": arrow_bytes(GAPS, pa.int64()),
        "pyarrow double": arrow_bytes(GAPS, pa.float64()),
        "pyarrow NaN": arrow_bytes(pa.array(repeated(3.0, float("nan"), 22.0))),
        "pyarrow decimal": arrow_bytes([Decimal(3), None, Decimal(22)], pa.decimal128(6, 2)),
        "pyarrow NaN text": arrow_bytes(("3", "NaN", "22")),
        "pyarrow NULL text": arrow_bytes(("3", "NULL", "22.0")),
        "pyarrow -1": arrow_bytes((3, -1, 22), pa.int16()),
        "pyarrow -1.0": arrow_bytes((3, -1, 22), pa.float32()),
        "pandas Int64": pandas_bytes(GAPS, "Int64"),
        "pandas float": pandas_bytes(GAPS, float),
        "duckdb utinyint": duckdb_bytes(("3", None, "22"), "UTINYINT"),
        "csv of floats": csv_bytes(GAPS, float),
        "csv of Int64": csv_bytes(GAPS, "Int64"),
        "csv of -1.0": csv_bytes((3, -1, 22), float),
    }


def flag_forms() -> Forms:
    flags = (True, False, None)
    return {
        "pyarrow": arrow_bytes(flags, pa.bool_()),
        "pandas boolean": pandas_bytes(flags, "boolean"),
        "duckdb": duckdb_bytes(("true", "false", None), "BOOLEAN"),
        "csv": csv_bytes(flags, object),
        "csv in capitals": csv_bytes(("TRUE", "FALSE", None)),
        "csv in lower case": csv_bytes(("true", "false", "NA")),
        "pyarrow text": arrow_bytes(("True", "False", None)),
    }


def number_forms() -> Forms:
    return {
        "pyarrow float": arrow_bytes(FLOATS, pa.float32()),
        "pyarrow double": arrow_bytes(FLOATS, pa.float64()),
        "pyarrow decimal": arrow_bytes([Decimal("0.1"), None, Decimal("2.5")], pa.decimal128(10, 5)),
        "pyarrow text": arrow_bytes(("0.10", None, "2.5")),
        "pandas Float32": pandas_bytes(FLOATS, "Float32"),
        "duckdb decimal": duckdb_bytes(("0.1", None, "2.5"), "DECIMAL(4, 1)"),
        "csv": csv_bytes(FLOATS),
        "csv of float32": csv_bytes(FLOATS, "float32"),
    }


def moment_forms() -> Forms:
    zoned = [moment.isoformat() + "Z" for moment in MOMENTS]
    zoned_array = pa.array(repeated(*MOMENTS), pa.timestamp("us", "UTC"))
    seconds = [int(moment.replace(tzinfo=UTC).timestamp()) for moment in MOMENTS]
    return {
        **{f"pyarrow {unit}": arrow_bytes(MOMENTS, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
        "pyarrow with a zone": arrow_bytes(zoned_array.cast(pa.timestamp("ns", "Asia/Tokyo"))),
        "pyarrow text": arrow_bytes(zoned),
        "pandas": pandas_bytes(MOMENTS, "datetime64[ns]"),
        "pandas with a zone": pandas_bytes([pd.Timestamp(moment, tz="UTC") for moment in MOMENTS], object),
        "duckdb": duckdb_bytes(zoned, "TIMESTAMPTZ"),
        "duckdb seconds": duckdb_bytes([moment.isoformat() for moment in MOMENTS], "TIMESTAMP_S"),
        "csv": csv_bytes(MOMENTS),
        "csv with a zone": csv_bytes([moment.replace(tzinfo=UTC).astimezone(KOLKATA) for moment in MOMENTS]),
        "numbers": arrow_bytes(seconds),
        "floats": arrow_bytes([number * 1e3 for number in seconds]),
        "csv of numbers": csv_bytes([number * 10**6 for number in seconds]),
    }  # fmt: skip


def day_forms() -> Forms:
    return {
        "pyarrow date32": arrow_bytes(DAYS, pa.date32()),
        "pyarrow date64": arrow_bytes(DAYS, pa.date64()),
        "pyarrow timestamp": arrow_bytes(pa.array(repeated(*DAYS)).cast(pa.timestamp("ms"))),
        "pandas": pandas_bytes(DAYS, object),
        "duckdb": duckdb_bytes(map(str, DAYS), "DATE"),
        "csv": csv_bytes(DAYS),
        "csv of timestamps": csv_bytes([pd.Timestamp(day).isoformat() for day in DAYS]),
    }


def duration_forms() -> Forms:
    return {
        **{f"pyarrow {unit}": arrow_bytes(LENGTHS, pa.duration(unit)) for unit in ("us", "ns")},
        "pyarrow seconds": arrow_bytes([length.total_seconds() for length in LENGTHS]),
        "pyarrow ms": arrow_bytes(pa.array(repeated(*LENGTHS), pa.duration("us")).cast(pa.duration("ms"))),
        "pandas": pandas_bytes(LENGTHS, "timedelta64[ns]"),
        "duckdb": duckdb_bytes(("90 seconds", "25 hours 500 milliseconds", "0 seconds"), "INTERVAL"),
        "csv": csv_bytes(LENGTHS, "timedelta64[ns]"),
        "csv of hours": csv_bytes(("00:01:30", "25:00:00.5", "0:00:00")),
    }


def time_forms() -> Forms:
    return {
        **{f"pyarrow {type_}": arrow_bytes(TIMES, type_) for type_ in (
            pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))},
        "pandas": pandas_bytes(TIMES, object),
        "duckdb": duckdb_bytes(map(str, TIMES), "TIME"),
        "csv": csv_bytes(TIMES),
    }  # fmt: skip
