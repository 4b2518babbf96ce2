"""What a column is: inferred or declared, in a csv or typed in a parquet file."""

import io
from datetime import time
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import PreparedSessions, PrepareTable
from session_frames import BUYS, ROWS, arrow_type, frame, repeated


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (repeated("1", "2", "3"), "int64"),
        (repeated("1.0", "2.0", "-3.0"), "int64"),
        (repeated("1", "2.5"), "double"),
        (repeated("1e3", "2e-3"), "double"),
        (repeated(" 1", "2 "), "int64"),
        (repeated("1", "", "3"), "int64"),
        (repeated("Chrome", "Safari"), "string"),
        (repeated("1", "2", "other"), "string"),
        (repeated("true", "false"), "string"),
        (repeated("10000000000000000001", "10000000000000000009", "3"), "double"),
    ],
)
def test_the_type_of_a_text_column_is_inferred(prepared: PreparedSessions, values: Any, expected: str) -> None:
    assert arrow_type(prepared(frame(x=values)), "x") == expected


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_declared_categories_are_text(prepared: PreparedSessions, name: str) -> None:
    sessions = prepared(frame(region=repeated(1, 2, 30)), name, **{"prepare.categories": ["region"]})
    assert sessions.table["region"].to_pylist() == repeated("1", "2", "30")


def test_declared_numbers_are_numbers(prepared: PreparedSessions) -> None:
    values = repeated("1", "2", "?")
    settings = {"prepare.numeric": ["x"], "prepare.na_values": ["?"]}
    assert prepared(frame(x=values), "a.csv", **settings).table["x"].to_pylist() == repeated(1, 2, None)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_na_values_are_missing(prepared: PreparedSessions, name: str) -> None:
    table = frame(x=repeated("a", "unknown", "b", " ? "), n=repeated("1", "?", "2"))
    sessions = prepared(table, name, **{"prepare.na_values": ["unknown", "?"]})
    assert sessions.table["x"].to_pylist() == repeated("a", None, "b", None)
    assert sessions.table["n"].to_pylist() == repeated(1, None, 2)


def test_common_na_values_are_missing(prepared: PreparedSessions) -> None:
    sessions = prepared(frame(n=repeated("1", "NA", "2", "nan", "null", "None", "NaN")))
    assert sessions.table["n"].to_pylist() == repeated(1, None, 2, None, None, None, None)


def test_texts_are_stripped(prepared: PreparedSessions) -> None:
    assert prepared(frame(x=repeated("a", " a ", "b"))).table["x"].to_pylist() == repeated("a", "a", "b")


def test_dropped_columns_are_gone(prepared: PreparedSessions) -> None:
    table = frame(a=1, b=repeated(1, 2), c=[f"id {row}" for row in range(ROWS)])
    assert prepared(table, "a.csv", **{"prepare.drop": ["a", "c"]}).to_arrow().column_names == ["pages", "b", "buys"]


def test_a_dropped_column_may_be_declared_too(prepared: PreparedSessions) -> None:
    settings = {"prepare.drop": ["b"], "prepare.categories": ["b"]}
    assert prepared(frame(b=repeated(1, 2)), "a.csv", **settings).to_arrow().column_names == ["pages", "buys"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", frame().reset_index(names="Unnamed: 0")),
        ("a.csv", frame().to_csv()),
        ("a.csv", frame().to_csv(sep=";")),
        ("a.parquet", frame().set_index(pd.Index(np.arange(ROWS) * 3 + 1))),
        ("a.parquet", frame().reset_index(names="Unnamed: 0")),
    ],
    ids=["Unnamed: 0", "nameless", "nameless, semicolons", "pandas index", "Unnamed: 0 in parquet"],
)
def test_index_columns_are_left_out(prepared: PreparedSessions, prepare: PrepareTable, name: str, content: Any) -> None:
    assert prepared(content, name).to_arrow().column_names == ["pages", "buys"]
    assert "left out the index column '" in prepare(content, name).out


def test_a_nameless_column_with_repeated_values_is_not_an_index(prepared: PreparedSessions) -> None:
    assert "Unnamed: 0" in prepared(frame(**{"Unnamed: 0": repeated(1, 2)})).to_arrow().column_names


@pytest.mark.parametrize(
    ("values", "expected", "first"),
    [
        (pd.array(repeated(1, None, 3), dtype="Int64"), "int64", [1, None, 3]),
        (pd.array(repeated(1.5, None), dtype="Float64"), "double", [1.5, None]),
        (pd.array(repeated(True, False, None), dtype="boolean"), "string", ["TRUE", "FALSE", None]),
        (pd.array(repeated("a", "b", None), dtype="string"), "string", ["a", "b", None]),
        (pd.Categorical(repeated("a", "b", None)), "string", ["a", "b", None]),
        (np.array(repeated(1, 2), dtype="uint8"), "int64", [1, 2]),
        (np.array(repeated(1.0, 2.0)), "int64", [1, 2]),
        (np.array(repeated(1.0, np.nan), dtype="float32"), "int64", [1, None]),
        (np.array(repeated(True, False)), "string", ["TRUE", "FALSE"]),
        (repeated(time(0, 1), time(0, 2), None), "int64", [60, 120, None]),
        (repeated(Decimal("1.25"), Decimal("2.50")), "double", [1.25, 2.5]),
        (np.array(repeated(2**63 + 1024, 5), dtype="uint64"), "double", [2.0**63, 5.0]),
    ],
    ids=lambda value: str(getattr(value, "dtype", ""))[:20] or None,
)
def test_typed_columns_of_a_parquet_keep_their_meaning(
    prepared: PreparedSessions, values: Any, expected: str, first: list[Any]
) -> None:
    sessions = prepared(frame(x=values), "a.parquet")
    assert arrow_type(sessions, "x") == expected
    assert sessions.table["x"].to_pylist()[: len(first)] == pytest.approx(first)


def test_nan_in_a_parquet_file_is_missing(prepared: PreparedSessions) -> None:
    # pandas writes nulls; other writers keep NaN.
    file = io.BytesIO()
    rows = {"x": pa.array(repeated(1.5, float("nan"))), "buys": pa.array(BUYS)}
    pq.write_table(pa.table(rows), file)
    assert prepared(file.getvalue(), "a.parquet").table["x"].to_pylist() == repeated(1.5, None)


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (repeated([1, 2], [3]), "array"),
        (repeated({"a": 1}, {"a": 2}), "struct"),
        (repeated(b"a", b"b"), "binary"),
    ],
    ids=["lists", "records", "bytes"],
)
def test_columns_of_other_types_are_refused(prepare: PrepareTable, values: Any, type_: str) -> None:
    error = prepare(frame(x=values), "a.parquet").error
    assert error.startswith(f"prepare: a.parquet: column 'x': {type_}")
    assert error.endswith("is not a number, a date or a text; leave it out with prepare.drop: [x]")


@pytest.mark.parametrize(
    "name", ["rows", "value", "session", "is_positive", "missing 0", "missing", 'a"b', "a'b", "größe", "select"]
)
def test_any_name_is_allowed_for_a_column(prepared: PreparedSessions, name: str) -> None:
    assert name in prepared(frame(**{name: repeated(1, 2)})).names("feature")
    table = frame().assign(**{name: np.arange(ROWS)})
    assert prepared(table, "a.csv", **{"prepare.keys.session": name}).names("key") == [name]
