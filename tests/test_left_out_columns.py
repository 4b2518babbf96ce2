"""Columns that tell nothing are left out of a session table with a line: empty ones, constants and identifiers."""

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import SHARED_DATA, PreparedSessions, PrepareTable
from session_frames import ROWS, frame, repeated

from stages.lib.dataset.left_out import LeftOut, read_findings
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import read_sessions
from stages.lib.preparation.reader import open_source
from stages.lib.preparation.scoring import sessions_to_score

RNG = np.random.default_rng(5)
UUIDS = [str(uuid.UUID(int=int(number))) for number in RNG.integers(0, 2**62, 300)]
N = 300
PURCHASES = (np.arange(N) % 4 == 0).astype(int)


def table(**columns: Any) -> pd.DataFrame:
    """300 rows with a number, one more column and the target."""
    return pd.DataFrame({"pages": np.arange(N) % 9, **columns, "buys": PURCHASES})


EMPTY = {
    "nothing": (None, "a.csv"),
    "texts for missing values": (repeated("", "NA", "null"), "a.csv"),
    "nothing in a parquet": (None, "a.parquet"),
    "NaN in a parquet": (np.nan, "a.parquet"),
}


@pytest.mark.parametrize(("values", "name"), EMPTY.values(), ids=EMPTY)
def test_a_column_without_any_value_is_left_out(
    prepare: PrepareTable, prepared: PreparedSessions, values: Any, name: str
) -> None:
    assert prepared(frame(x=values), name).names("feature") == ["pages"]
    assert "left out columns without any value (prepare.drop: [x])\n" in prepare(frame(x=values), name).out


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
@pytest.mark.parametrize("value", [1, 2.5, "a", True, "2024-05-01", pd.Timestamp("2024-05-01")], ids=repr)
def test_a_column_with_the_same_value_in_every_row_is_left_out(prepare: PrepareTable, value: Any, name: str) -> None:
    ran = prepare(frame(x=value, z=value), name)
    assert "left out columns with the same value in every row: 2 (prepare.drop: [x, z])\n" in ran.out
    sessions = read_sessions(Path("prepared.parquet"))
    assert sessions.names("feature") == ["pages"]
    (finding,) = read_findings(sessions.table.schema)
    assert (finding.count, finding.hint) == (2, "prepare.drop: [x, z]")


def test_a_value_that_is_sometimes_missing_is_no_constant(prepared: PreparedSessions) -> None:
    assert prepared(frame(x=repeated("a", None))).names("feature") == ["pages", "x"]


def test_new_rows_need_no_column_that_was_left_out(prepare: PrepareTable) -> None:
    prepare(frame(x=1, y=None, id=[f"id {row}" for row in range(ROWS)]))
    schema = Schema.from_arrow(read_sessions(Path("prepared.parquet")).table.schema)
    assert [*schema.features] == ["pages"]
    frame()[["pages"]].to_csv("new.csv", index=False)
    with open_source(Path("new.csv"), schema, Path("scores.csv"), left_out=LeftOut()) as (rows, engine):
        sessions, _ = sessions_to_score(rows, schema, engine, LeftOut())
        assert sessions.to_pyarrow()["pages"].to_pylist() == frame()["pages"].tolist()


def test_with_strict_a_constant_is_an_error_whose_params_can_be_pasted(prepare: PrepareTable) -> None:
    content = frame(**{"a: b": 1, "no": 2})
    error = prepare(content, "a.csv", **{"prepare.strict": True}).error
    assert 'every row: 2 (prepare.drop: ["a: b", "no"])' in error
    assert prepare(content, "a.csv", **{"prepare.strict": True, "prepare.drop": ["a: b", "no"]}).code == 0


def test_values_that_count_as_missing_are_reported(prepare: PrepareTable) -> None:
    content = frame(x=repeated("a", " None", "b", ""), y=repeated(1, 2, -1, 4))
    ran = prepare(content, "a.csv", **{"prepare.na_values": ["None", "", "-1"]})
    assert "column 'x': values that count as missing: 10, such as ' None' (prepare.na_values)\n" in ran.out
    assert "column 'y': values that count as missing: 10, such as '-1' (prepare.na_values)\n" in ran.out


IDENTIFIERS = {
    "a sorted index": np.arange(N),
    "an index from the end": np.arange(N)[::-1] + 1000,
    "a shuffled index": RNG.permutation(N),
    "shuffled numbers with gaps": RNG.permutation(N * 3)[:N] + 15_565_701,
    "rising numbers with wide gaps": np.cumsum(RNG.integers(1, 10**6, N)),
    "whole numbers as floats": RNG.permutation(N).astype(float),
    "an index with a missing value": np.where(np.arange(N) == 7, np.nan, np.arange(N) + 5.0),
    "texts": [f"{number:04}-ABC" for number in RNG.permutation(N)],
    "texts of which some repeat": [f"user {number // 2 * 2 if number < 40 else number}" for number in range(N)],
    "UUIDs": UUIDS,
    "UUIDs of visitors with several sessions": [UUIDS[row // 3] for row in range(N)],
}


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_identifiers_of_any_type_are_left_out_with_a_line(prepare: PrepareTable, name: str) -> None:
    ran = prepare(table(**IDENTIFIERS), name)
    assert ran.code == 0, ran.err
    for column in IDENTIFIERS:
        (line,) = [line for line in ran.out.splitlines() if line.startswith(f"left out the identifier '{column}', ")]
        assert "different" in line and f"in {N} rows" in line and line.endswith(f"(prepare.drop: [{column}])")
    assert read_sessions(Path("prepared.parquet")).names("feature") == ["pages"]


@pytest.mark.parametrize("name", ["id", "customer_id", "CustomerId", "customerID", "ID of order", "uid"])
def test_whole_numbers_of_a_wide_range_are_an_identifier_if_they_are_named_so(
    prepared: PreparedSessions, name: str
) -> None:
    numbers = np.random.default_rng(1).choice(10**12, N, replace=False)
    assert prepared(table(**{name: numbers})).names("feature") == ["pages"]


MEASUREMENTS = {
    "floats": RNG.normal(size=N),
    "rising floats": np.sort(RNG.normal(size=N)),
    "amounts": np.round(RNG.exponential(900, N), 2),
    "whole numbers that repeat": RNG.integers(0, 200, N),
    "days": pd.date_range("2020-01-01", periods=N).strftime("%Y-%m-%d"),
}


@pytest.mark.parametrize("values", MEASUREMENTS.values(), ids=MEASUREMENTS)
def test_a_measurement_with_many_values_is_kept_without_a_word(prepare: PrepareTable, values: Any) -> None:
    ran = prepare(table(x=values, paid=values))
    assert read_sessions(Path("prepared.parquet")).names("feature") == ["pages", "x", "paid"]
    assert ran.err == "" and "left out" not in ran.out


def test_a_whole_number_that_may_be_a_quantity_is_named_and_kept(prepare: PrepareTable) -> None:
    numbers = np.random.default_rng(1).choice(10**9, N, replace=False)
    ran = prepare(table(income=numbers))
    assert read_sessions(Path("prepared.parquet")).names("feature") == ["pages", "income"]
    assert (
        "kept, though they may be identifiers: 'income', 300 different whole numbers in 300 rows; to leave them out: "
        "prepare.drop: [income]\n"
    ) in ran.out


@pytest.mark.parametrize("unit", [1, 10**3, 10**9])
def test_rising_seconds_since_1970_may_be_times_and_are_named_and_kept(prepare: PrepareTable, unit: int) -> None:
    seconds = 1_700_000_000 + np.cumsum(np.random.default_rng(1).integers(1, 10**5, N))
    ran = prepare(table(begin=seconds * unit))
    assert read_sessions(Path("prepared.parquet")).names("feature") == ["pages", "begin"]
    assert "'begin', 300 different whole numbers in 300 rows, or times (prepare.dates reads them)" in ran.out


def test_a_column_that_params_call_numeric_is_no_identifier(prepared: PreparedSessions) -> None:
    sessions = prepared(table(x=np.arange(N)), "a.csv", **{"prepare.numeric": ["x"]})
    assert sessions.names("feature") == ["pages", "x"]


def test_in_a_few_rows_any_value_may_occur_once(prepared: PreparedSessions) -> None:
    rows = pd.DataFrame({"x": range(12), "y": [f"city {row}" for row in range(12)], "buys": [0, 1] * 6})
    assert prepared(rows).names("feature") == ["x", "y"]


@pytest.mark.parametrize("name", ["online_shoppers_intention.csv", "bank_full.csv", "coil2000.csv"])
def test_real_tables_lose_no_column(prepare: PrepareTable, name: str) -> None:
    if not (SHARED_DATA / name).is_file():
        pytest.skip(f"{name} is not beside the project")
    target = {"online_shoppers_intention.csv": "Revenue", "bank_full.csv": "y", "coil2000.csv": "CARAVAN"}[name]
    ran = prepare((SHARED_DATA / name).read_bytes(), name, **{"prepare.target": target})
    assert (ran.code, ran.err) == (0, "") and len(ran.out.splitlines()) == 1
