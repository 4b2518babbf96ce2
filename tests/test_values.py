"""A value means the same whatever type it is stored in: prepared from one and scored from another, equal to the bit."""

import io
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import ROOT, PrepareTable, WriteParams, standard_encoding
from session_frames import BUYS, PAGES, ROWS, frame, repeated

from stages import prepare
from stages.lib.common.errors import InputError
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import read_sessions
from stages.lib.modeling.encoder import Encoder, fit_encoder
from stages.lib.preparation.reader import open_source
from stages.lib.preparation.scoring import sessions_to_score

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


CATEGORY: dict[str, Any] = {"prepare.categories": ["x"]}
DECLARED_DATE: dict[str, Any] = {"prepare.dates": ["x"]}
# What is stored, and the params under which all forms of it mean the same
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "codes": (code_forms, CATEGORY),
    "codes as numbers": (code_forms, {}),
    "codes with gaps": (gap_forms, CATEGORY),
    "numbers with gaps": (gap_forms, {}),
    "flags": (flag_forms, {}),
    "flags as categories": (flag_forms, CATEGORY),
    "flags as numbers": (flag_forms, {"prepare.numeric": ["x"]}),
    "numbers": (number_forms, {}),
    "moments": (moment_forms, DECLARED_DATE),
    "days": (day_forms, {}),
    "days as categories": (day_forms, CATEGORY),
    "durations": (duration_forms, {}),
    "times of day": (time_forms, {}),
    "times as categories": (time_forms, CATEGORY),
}


def file_of(name: str, content: bytes) -> Path:
    ending = ".parquet" if content.startswith(b"PAR1") else ".csv"
    path = Path(name.replace(" ", "_").replace("[", "_").replace("]", "") + ending)
    path.write_bytes(content)
    return path


def scored_inputs(path: Path, schema: Schema, encoder: Encoder) -> bytes:
    """What the network would get."""
    with open_source(path, schema, Path("scores.csv"), left_out=LeftOut()) as (rows, engine):
        sessions, _ = sessions_to_score(rows, schema, engine, LeftOut())
        return encoder.transform(sessions.to_pandas()).tobytes()


def check_all_pairs(paths: list[Path], write_params: WriteParams, settings: dict[str, Any]) -> None:
    """Train on each of the files, and score it from each of the others."""
    na_values = ["", "NA", "NaN", "NULL", "-1"]
    write_params(**{
        "prepare.source_type": "sessions", "prepare.target": "buys", "prepare.keys.session": "id",
        "prepare.na_values": na_values, **settings,
    })  # fmt: skip
    trained = []
    for path in paths:
        prepare.main(path, Path("prepared.parquet"))
        sessions = read_sessions(Path("prepared.parquet"))
        schema = Schema.from_arrow(sessions.table.schema)
        encoder = fit_encoder(sessions.features, standard_encoding())
        features = sessions.select("key", "feature").to_arrow().to_pandas()
        trained.append((path, schema, encoder, features))
    first_path, _, first_encoder, first_features = trained[0]
    expected = first_encoder.transform(first_features).tobytes()
    for path, schema, encoder, features in trained:
        assert encoder == first_encoder, f"{path} against {first_path}"
        pd.testing.assert_frame_equal(features, first_features, check_exact=True, obj=str(path))
        assert schema.features == trained[0][1].features
    # All encoders being equal, each pair of types is tried with one of them.
    for path in paths:
        assert scored_inputs(path, trained[0][1], first_encoder) == expected, f"{path} against {first_path}"


@pytest.mark.slow
@pytest.mark.parametrize(("forms", "settings"), KINDS.values(), ids=KINDS)
def test_what_is_trained_on_one_type_is_scored_from_any_other(
    write_params: WriteParams, forms: Any, settings: dict[str, Any]
) -> None:
    check_all_pairs([file_of(name, content) for name, content in forms().items()], write_params, settings)


SPARK_KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "codes": (code_forms, CATEGORY),
    "gaps": (gap_forms, CATEGORY),
    "flags": (flag_forms, CATEGORY),
    "numbers": (number_forms, {}),
    "moments": (moment_forms, DECLARED_DATE),
    "days": (day_forms, {}),
}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java, which is not here; .ci/run installs it")
def test_what_spark_writes_means_the_same(write_params: WriteParams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    # In a process of its own, which takes its JVM with it
    writer = Path(__file__).with_name("spark_writer.py")
    subprocess.run([sys.executable, writer, "spark"], check=True, capture_output=True)
    for kind, (forms, settings) in SPARK_KINDS.items():
        by_arrow = next(iter(forms().items()))
        paths = sorted(Path("spark", kind).iterdir())
        assert len(paths) >= 4
        check_all_pairs([file_of(*by_arrow), *paths], write_params, settings)


def test_codes_that_look_like_numbers_stay_texts(prepare: PrepareTable) -> None:
    codes = repeated("1_10", "11_0", "007", "7", "1e3", "1.10", "1.1")
    assert prepare(frame(x=codes), **CATEGORY).code == 0
    assert read_sessions(Path("prepared.parquet")).table["x"].to_pylist() == codes


def test_a_number_with_underscores_is_none(prepare: PrepareTable) -> None:
    error = prepare(frame(x=repeated("110", "1_10", *["5"] * 30))).error
    assert "1 of 40 values are not numbers, such as '1_10'" in error or "2 of 40" in error


def test_decimals_that_duckdb_misreads_are_refused(prepare: PrepareTable) -> None:
    wide = arrow_bytes([Decimal(3), Decimal(4)], pa.decimal256(50, 2))
    error = prepare(wide, "a.parquet").error
    assert error.startswith(
        "prepare: a.parquet: column 'x': decimals of more than 38 digits are not supported; write it"
    )


READ = {
    "a decimal comma": (("25,0", "20,1", "1000"), [25.0, 20.1, 1000.0], {"prepare.decimal": ","}),
    "points for thousands": (
        ("1.234,5", "12,5", "1.234.567"),
        [1234.5, 12.5, 1234567.0],
        {"prepare.decimal": ",", "prepare.thousands": "."},
    ),
    "commas for thousands": (("1,234.50", "12.5", "-1,234"), [1234.5, 12.5, -1234.0], {"prepare.thousands": ","}),
    "spaces for thousands": (("1 234.5", "1\u00a0234.5", "7"), [1234.5, 1234.5, 7.0], {"prepare.thousands": " "}),
    "percentages": (("60%", "7 %", "0.5%"), [60.0, 7.0, 0.5], {"prepare.units": ["%"]}),
    "dollars": (("$12.34", "-$3", "$ 5"), [12.34, -3.0, 5.0], {"prepare.units": ["$"]}),
    "euros": (
        ("12,34 €", "1.000,00 €", "EUR 5"),
        [12.34, 1000.0, 5.0],
        {"prepare.units": ["€", "EUR"], "prepare.decimal": ",", "prepare.thousands": "."},
    ),
}


@pytest.mark.parametrize(("texts", "numbers", "settings"), READ.values(), ids=READ)
def test_numbers_in_another_form_are_refused_until_params_name_it(
    prepare: PrepareTable, texts: tuple[str, ...], numbers: list[float], settings: dict[str, Any]
) -> None:
    table = frame(x=repeated(*texts))
    error = prepare(table).error
    assert all(f"{param}: " in error for param in settings) and "look like" in error
    assert prepare(table, **settings).code == 0
    assert read_sessions(Path("prepared.parquet")).table["x"].to_pylist()[: len(numbers)] == numbers
    assert prepare(table, **CATEGORY).code == 0
    assert read_sessions(Path("prepared.parquet")).table["x"].to_pylist()[: len(texts)] == list(texts)


@pytest.mark.parametrize(
    "texts", [("12:30", "7:05"), ("1h 30m", "45m"), ("90 s", "15 s"), ("PT1M30S", "PT5S"), ("5 days", "1 day")], ids=str
)
def test_durations_in_another_form_are_no_categories(prepare: PrepareTable, texts: tuple[str, ...]) -> None:
    error = prepare(frame(x=repeated(*texts))).error
    assert "look like durations; write them as HH:MM:SS or in seconds" in error
    assert "prepare.categories: [x]" in error


@pytest.mark.parametrize(
    "texts",
    [("Feb", "Mar"), ("Chrome 1", "Chrome 2"), ("18-24", "25-34"), ("3G", "4G"), ("1_10", "11_0"), ("<10", "10+")],
)
def test_texts_with_digits_may_be_categories(prepare: PrepareTable, texts: tuple[str, ...]) -> None:
    assert prepare(frame(x=repeated(*texts))).code == 0
    assert read_sessions(Path("prepared.parquet")).table["x"].to_pylist()[:2] == list(texts)


def test_a_model_reads_new_rows_in_the_forms_it_was_trained_on(write_params: WriteParams) -> None:
    write_params(**{
        "prepare.source_type": "sessions", "prepare.target": "buys", "prepare.decimal": ",", "prepare.units": ["%"],
    })  # fmt: skip
    comma = frame(x=repeated("25,5%", "3,0%", "7%"))
    comma.to_csv("comma.csv", sep=";", index=False)
    frame(x=repeated(25.5, 3.0, 7.0)).to_parquet("typed.parquet")
    prepare.main(Path("comma.csv"), Path("prepared.parquet"))
    sessions = read_sessions(Path("prepared.parquet"))
    schema, encoder = Schema.from_arrow(sessions.table.schema), fit_encoder(sessions.features, standard_encoding())
    assert sessions.table["x"].to_pylist()[:3] == [25.5, 3.0, 7.0]
    assert scored_inputs(Path("comma.csv"), schema, encoder) == scored_inputs(Path("typed.parquet"), schema, encoder)
    comma.assign(x="25.5").to_csv("point.csv", index=False)
    with pytest.raises(InputError, match=r"point\.csv: column 'x': 40 of 40 values are not numbers, such as '25.5'"):
        scored_inputs(Path("point.csv"), schema, encoder)


def test_unreadable_dates_of_a_declared_column_are_counted_when_scored(write_params: WriteParams) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys", "prepare.dates": ["x"]})
    frame(x=repeated("2024-05-01", "2024-05-02")).to_csv("old.csv", index=False)
    frame(x=repeated("2024-05-01", "soon")).to_csv("new.csv", index=False)
    prepare.main(Path("old.csv"), Path("prepared.parquet"))
    schema, left_out = Schema.from_arrow(read_sessions(Path("prepared.parquet")).table.schema), LeftOut()
    with open_source(Path("new.csv"), schema, Path("scores.csv"), left_out=left_out) as (rows, engine):
        sessions_to_score(rows, schema, engine, left_out)
    assert [str(finding) for finding in left_out.findings] == [
        "column 'x': values that are not dates are missing: 20, such as 'soon'"
    ]


CASES = ROOT.parent / "shared" / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the project")
@pytest.mark.parametrize(
    "files",
    [
        ("codes.csv", "codes_int.parquet", "codes_float.parquet"),
        ("flags_title.csv", "flags_upper.csv", "flags.parquet"),
    ],
    ids=str,
)
def test_cases_of_one_table_give_the_same_bytes(write_params: WriteParams, files: tuple[str, ...]) -> None:
    write_params(**{
        "prepare.source_type": "sessions", "prepare.target": "buys", "prepare.keys.session": "id",
        "prepare.categories": ["region"] if "codes" in files[0] else [],
    })  # fmt: skip
    for file in files:
        prepare.main(CASES / file, Path(f"{file}.prepared"))
    assert len({Path(f"{file}.prepared").read_bytes() for file in files}) == 1
