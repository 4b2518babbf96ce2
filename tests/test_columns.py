"""What a column is: inferred or declared, in a csv or typed in a parquet."""

import io
import os
import subprocess
import sys
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import ROOT, PreparedSessions, PrepareTable, WriteParams

from stages.lib.dataset.sessions import Sessions

ROWS = 40
BUYS = np.arange(ROWS) % 4 == 0
PAGES = np.arange(ROWS) % 9


def frame(**columns) -> pd.DataFrame:
    return pd.DataFrame({"pages": PAGES, **columns, "buys": BUYS.astype(int)})


def repeated(*values) -> list:
    return [values[place % len(values)] for place in range(ROWS)]


def kind(sessions: Sessions, name: str) -> str:
    return str(sessions.table.schema.field(name).type)


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
def test_the_kind_of_a_text_column_is_inferred(prepared: PreparedSessions, values, expected) -> None:
    assert kind(prepared(frame(x=values)), "x") == expected


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_declared_categories_are_text(prepared: PreparedSessions, name) -> None:
    sessions = prepared(frame(region=repeated(1, 2, 30)), name, **{"prepare.categories": ["region"]})
    assert sessions.table["region"].to_pylist() == repeated("1", "2", "30")


def test_declared_numbers_are_numbers(prepared: PreparedSessions) -> None:
    values = repeated("1", "2", "?")
    settings = {"prepare.numeric": ["x"], "prepare.na_values": ["?"]}
    assert prepared(frame(x=values), **settings).table["x"].to_pylist() == repeated(1, 2, None)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_declared_markers_are_missing_values(prepared: PreparedSessions, name) -> None:
    table = frame(x=repeated("a", "unknown", "b", " ? "), n=repeated("1", "?", "2"))
    sessions = prepared(table, name, **{"prepare.na_values": ["unknown", "?"]})
    assert sessions.table["x"].to_pylist() == repeated("a", None, "b", None)
    assert sessions.table["n"].to_pylist() == repeated(1, None, 2)


def test_the_common_markers_are_missing_values(prepared: PreparedSessions) -> None:
    sessions = prepared(frame(n=repeated("1", "NA", "2", "nan", "null", "None", "NaN")))
    assert sessions.table["n"].to_pylist() == repeated(1, None, 2, None, None, None, None)


def test_texts_lose_the_spaces_around_them(prepared: PreparedSessions) -> None:
    assert prepared(frame(x=repeated("a", " a ", "b"))).table["x"].to_pylist() == repeated("a", "a", "b")


def test_dropped_columns_are_gone(prepared: PreparedSessions) -> None:
    table = frame(a=1, b=repeated(1, 2), c=[f"id {place}" for place in range(ROWS)])
    assert prepared(table, **{"prepare.drop": ["a", "c"]}).table.column_names == ["pages", "b", "buys"]


def test_a_dropped_column_may_be_declared_too(prepared: PreparedSessions) -> None:
    settings = {"prepare.drop": ["b"], "prepare.categories": ["b"]}
    assert prepared(frame(b=repeated(1, 2)), **settings).table.column_names == ["pages", "buys"]


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
def test_index_columns_are_left_out(prepared: PreparedSessions, prepare: PrepareTable, name, content) -> None:
    assert prepared(content, name).table.column_names == ["pages", "buys"]
    assert "left out the index column '" in prepare(content, name).out


def test_a_nameless_column_that_repeats_is_no_index(prepared: PreparedSessions) -> None:
    assert "Unnamed: 0" in prepared(frame(**{"Unnamed: 0": repeated(1, 2)})).table.column_names


def test_keys_are_neither_numbers_nor_categories(prepared: PreparedSessions) -> None:
    table = frame(id=[f"id {place}" for place in range(ROWS)], who=repeated("x", "y"), at=np.arange(ROWS))
    keys = {"prepare.keys.session": "id", "prepare.keys.visitor": "who", "prepare.keys.time": "at"}
    sessions = prepared(table, **keys)
    assert sessions.names("feature") == ["pages"]
    assert [sessions.names(role) for role in ("key", "visitor", "time", "target")] == [
        ["id"],
        ["who"],
        ["at"],
        ["buys"],
    ]


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ([str(place + 5) for place in range(ROWS)], 5.0),
        ([f"{place + 0.5}" for place in range(ROWS)], 0.5),
        ([f"2020-01-{place % 31 + 1:02}" for place in range(ROWS)], pd.Timestamp("2020-01-01")),
        ([f"2020-01-01 08:{place}:00" for place in range(ROWS)], pd.Timestamp("2020-01-01 08:00")),
        (
            [f"2020-01-01T08:00:{place:02}.25Z" for place in range(ROWS)],
            pd.Timestamp("2020-01-01 08:00:00.25"),
        ),
        ([f"2020-01-02T00:{place:02}:00+02:00" for place in range(ROWS)], pd.Timestamp("2020-01-01 22:00")),
    ],
    ids=["whole numbers", "numbers", "days", "times", "ISO times", "with an offset"],
)
def test_a_time_in_a_csv_is_ordered_as_time_and_not_as_text(prepared: PreparedSessions, values, first) -> None:
    times = prepared(frame(at=values), **{"prepare.keys.time": "at"}).column("time")
    assert times[0] == first
    assert times[9] - times[8] == times[10] - times[9]
    assert not pd.api.types.is_object_dtype(times)


@pytest.mark.parametrize("values", [repeated("Feb", "Mar"), repeated("31.12.2019", "01.01.2020"), repeated("1", "x")])
def test_a_time_in_a_csv_that_can_not_be_read_is_refused(prepare: PrepareTable, values) -> None:
    error = prepare(frame(at=values), **{"prepare.keys.time": "at"}).error
    assert error.startswith("prepare: sessions.csv: key 'at' (prepare.keys.time): ")
    assert "rows without a readable time; expected" in error


TARGETS = {
    "0 and 1": ("0", "1"),
    "0.0 and 1.0": ("0.0", "1.0"),
    "true and false": ("false", "true"),
    "TRUE and FALSE": ("FALSE", "TRUE"),
    "True and False": ("False", "True"),
    "yes and no": ("no", "yes"),
    "y and n": ("n", "y"),
    "Y and N": ("N", "Y"),
    "spaces": (" no", "yes "),
}


@pytest.mark.parametrize(("no", "yes"), TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_target_is_read_by_its_meaning(prepared: PreparedSessions, name, no, yes) -> None:
    sessions = prepared(frame().assign(buys=np.where(BUYS, yes, no)), name)
    assert sessions.column("target").tolist() == BUYS.astype(int).tolist()
    assert kind(sessions, "buys") == "int64"


@pytest.mark.parametrize("dtype", ["bool", "boolean", "int8", "Int64", "float32", "Float64", "category", "string"])
def test_a_typed_target_is_read_by_its_meaning(prepared: PreparedSessions, dtype) -> None:
    sessions = prepared(frame().assign(buys=pd.Series(BUYS.astype(int)).astype(dtype)), "a.parquet")
    assert sessions.column("target").tolist() == BUYS.astype(int).tolist()


def test_words_of_one_class_may_differ(prepared: PreparedSessions) -> None:
    words = np.where(BUYS, repeated("yes", "Yes", "YES", "1"), repeated("no", "No"))
    assert prepared(frame().assign(buys=words)).column("target").tolist() == BUYS.astype(int).tolist()


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (("left", "bought"), "bought"),
        (("0", "2"), 2),
        (("1", "0"), 0),
        (("no", "yes"), "yes"),
        (("False", "True"), True),
        (("true", "false"), False),
        (("a", "c", "b"), "c"),
        (tuple(f"class {place}" for place in range(20)), "class 1"),
    ],
)
def test_a_declared_value_is_the_positive_class(prepared: PreparedSessions, values, positive) -> None:
    words = pd.Series(repeated(*values))
    sessions = prepared(frame().assign(buys=words), **{"prepare.positive_class": positive})
    assert sessions.column("target").tolist() == (words == values[1]).astype(int).tolist()


def test_a_declared_value_fits_a_column_of_booleans(prepared: PreparedSessions) -> None:
    sessions = prepared(frame().assign(buys=BUYS), "a.parquet", **{"prepare.positive_class": True})
    assert sessions.column("target").tolist() == BUYS.astype(int).tolist()


@pytest.mark.parametrize(
    ("values", "expected", "first"),
    [
        (pd.array(repeated(1, None, 3), dtype="Int64"), "int64", [1, None, 3]),
        (pd.array(repeated(1.5, None), dtype="Float64"), "double", [1.5, None]),
        (pd.array(repeated(True, False, None), dtype="boolean"), "int64", [1, 0, None]),
        (pd.array(repeated("a", "b", None), dtype="string"), "string", ["a", "b", None]),
        (pd.Categorical(repeated("a", "b", None)), "string", ["a", "b", None]),
        (np.array(repeated(1, 2), dtype="uint8"), "int64", [1, 2]),
        (np.array(repeated(1.0, 2.0)), "double", [1.0, 2.0]),
        (np.array(repeated(1.0, np.nan), dtype="float32"), "double", [1.0, None]),
        (np.array(repeated(True, False)), "int64", [1, 0]),
        (repeated(Decimal("1.25"), Decimal("2.50")), "double", [1.25, 2.5]),
        (np.array(repeated(2**63 + 1024, 5), dtype="uint64"), "double", [2.0**63, 5.0]),
    ],
    ids=lambda value: str(getattr(value, "dtype", ""))[:20] or None,
)
def test_typed_columns_of_a_parquet_keep_their_meaning(prepared: PreparedSessions, values, expected, first) -> None:
    sessions = prepared(frame(x=values), "a.parquet")
    assert kind(sessions, "x") == expected
    assert sessions.table["x"].to_pylist()[: len(first)] == pytest.approx(first)


def test_nan_in_a_parquet_is_a_missing_value(prepared: PreparedSessions) -> None:
    # pandas writes nulls; other writers keep NaN.
    file = io.BytesIO()
    rows = {"x": pa.array(repeated(1.5, float("nan"))), "buys": pa.array(BUYS)}
    pq.write_table(pa.table(rows), file)
    assert prepared(file.getvalue(), "a.parquet").table["x"].to_pylist() == repeated(1.5, None)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (pd.Series(pd.date_range("2020-01-01", periods=ROWS, freq="min")).dt.time, "time"),
        (repeated([1, 2], [3]), "array"),
        (repeated({"a": 1}, {"a": 2}), "struct"),
        (repeated(b"a", b"b"), "binary"),
    ],
    ids=["times of day", "lists", "records", "bytes"],
)
def test_columns_that_are_neither_numbers_nor_dates_nor_text_are_refused(
    prepare: PrepareTable, values, says: str
) -> None:
    error = prepare(frame(x=values), "a.parquet").error
    assert error.startswith(f"prepare: a.parquet: column 'x': {says}")
    assert error.endswith("is neither number, date nor text; leave it out with prepare.drop: [x]")


DATES = {
    "a day": ("2024-05-01", 19844.0),
    "a leap day": ("2024-02-29", 19782.0),
    "before 1970": ("1969-12-31", -1.0),
    "before 1970, a time": ("1969-12-31T18:00:00", -0.25),
    "long ago": ("0001-01-01", -719162.0),
    "the last": ("9999-12-31", 2932896.0),
    "a time": ("2024-05-01 13:45:00", 19844 + 13.75 / 24),
    "a time with T": ("2024-05-01T13:45:00", 19844 + 13.75 / 24),
    "no seconds": ("2024-05-01 13:45", 19844 + 13.75 / 24),
    "a fraction": ("2024-05-01 00:00:00.5", 19844 + 0.5 / 86400),
    "microseconds": ("2024-05-01T00:00:00.000001", 19844 + 1e-6 / 86400),
    "nanoseconds": ("2024-05-01T00:00:21.600000999", 19844.00025),
    "UTC": ("2024-05-01T13:45:00Z", 19844 + 13.75 / 24),
    "UTC, no seconds": ("2024-05-01T13:45Z", 19844 + 13.75 / 24),
    "ahead of UTC": ("2024-05-01T13:45:00+02:00", 19844 + 11.75 / 24),
    "ahead of UTC, no seconds": ("2024-05-01 13:45+02:00", 19844 + 11.75 / 24),
    "ahead of UTC, no colon": ("2024-05-01 13:45:00.0+0200", 19844 + 11.75 / 24),
    "behind UTC, hours": ("2024-05-01 22:00:00-03", 19845 + 1 / 24),
    "behind UTC, half an hour": ("2024-05-01T23:00:00-02:30", 19845 + 1.5 / 24),
    "spaces around": (" 2024-05-01 ", 19844.0),
}


@pytest.mark.parametrize(("text", "day"), DATES.values(), ids=DATES)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_an_iso_date_is_the_days_since_1970_in_utc(prepared: PreparedSessions, name, text, day) -> None:
    sessions = prepared(frame(x=repeated(text, "2024-04-30", None)), name)
    assert kind(sessions, "x") == "double"
    assert sessions.names("feature") == ["pages", "x"]
    # To the microsecond: the nearest number to so many days is within a third of one.
    assert sessions.table["x"].to_pylist() == repeated(pytest.approx(day, rel=0, abs=4e-12), 19843.0, None)


MOMENTS = ["2024-05-01 13:45:00.25", "1969-12-31 18:00:00", None]


@pytest.mark.parametrize(
    ("type_", "days"),
    [
        (pa.date32(), [19844.0, -1.0]),
        (pa.date64(), [19844.0, -1.0]),
        (pa.timestamp("s"), [19844 + 49500 / 86400, -0.25]),
        (pa.timestamp("ms"), [19844 + 49500.25 / 86400, -0.25]),
        (pa.timestamp("us"), [19844 + 49500.25 / 86400, -0.25]),
        (pa.timestamp("ns"), [19844 + 49500.25 / 86400, -0.25]),
        (pa.timestamp("us", "UTC"), [19844 + 49500.25 / 86400, -0.25]),
        (pa.timestamp("ns", "Asia/Tokyo"), [19844 + 49500.25 / 86400, -0.25]),
    ],
    ids=str,
)
@pytest.mark.parametrize("settings", [{}, {"prepare.dates": ["x"]}, {"prepare.numeric": ["x"]}], ids=str)
def test_a_typed_date_is_the_days_since_1970_in_utc(prepared: PreparedSessions, type_, days, settings) -> None:
    moments = pa.array(pd.to_datetime(pd.Series(repeated(*MOMENTS)), format="ISO8601"))
    file = io.BytesIO()
    pq.write_table(pa.table({"pages": PAGES, "x": moments.cast(type_, safe=False), "buys": BUYS}), file)
    sessions = prepared(file.getvalue(), "a.parquet", **settings)
    assert kind(sessions, "x") == "double"
    assert sessions.table["x"].to_pylist() == repeated(*days, None)


def test_a_typed_date_may_be_declared_a_category(prepared: PreparedSessions) -> None:
    days = pd.to_datetime(repeated("2024-05-01", "2024-05-02")).date
    sessions = prepared(frame(x=days), "a.parquet", **{"prepare.categories": ["x"]})
    assert sessions.table["x"].to_pylist() == repeated("2024-05-01", "2024-05-02")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (repeated("20240501", "20240502"), "int64"),
        (repeated("2024", "2025"), "int64"),
        (repeated("1714521600", "1714521601"), "int64"),
        (repeated("01.05.2024", "02.05.2024"), "string"),
        (repeated("05/01/2024", "05/02/2024"), "string"),
        (repeated("2024/05/01", "2024/05/02"), "string"),
        (repeated("2024-5-1", "2024-5-2"), "string"),
        (repeated("2024-05", "2024-06"), "string"),
        (repeated("2024-05-01T13", "2024-05-01T14"), "string"),
        (repeated("2024-02-30", "2024-13-01"), "string"),
        (repeated("2024-05-01 to 2024-05-02", "2024-05-01 to 2024-05-03"), "string"),
        (repeated("infinity", "epoch"), "string"),
        (repeated("2024-05-01", "2024-05-02", "later"), "string"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_what_may_be_no_date_is_not_taken_for_one(prepared: PreparedSessions, values, expected) -> None:
    assert kind(prepared(frame(x=values)), "x") == expected


def test_dates_declared_as_categories_stay_text(prepared: PreparedSessions) -> None:
    values = repeated("2024-05-01", "2024-05-02")
    assert prepared(frame(x=values), **{"prepare.categories": ["x"]}).table["x"].to_pylist() == values


def test_what_is_no_date_in_a_declared_column_is_missing_and_said(
    prepare: PrepareTable, prepared: PreparedSessions
) -> None:
    values = repeated("2024-05-01", "soon", None, "01.05.2024")
    assert prepared(frame(x=values), **{"prepare.dates": ["x"]}).table["x"].to_pylist() == repeated(
        19844.0, None, None, None
    )
    ran = prepare(frame(x=values), **{"prepare.dates": ["x"]})
    assert "column 'x': 20 of 30 values are no dates, such as '01.05.2024'; they are missing\n" in ran.out


def test_nothing_is_said_of_a_declared_column_of_dates_alone(prepare: PrepareTable) -> None:
    ran = prepare(frame(x=repeated("2024-05-01", "2024-05-02", None)), **{"prepare.dates": ["x"]})
    assert ran.out == "40 sessions, 2 features and the target buys\n"


def test_markers_of_missing_values_are_missing_dates(prepared: PreparedSessions) -> None:
    sessions = prepared(
        frame(x=repeated("2024-05-01", "NA", "0000-00-00")), **{"prepare.na_values": ["NA", "0000-00-00"]}
    )
    assert sessions.table["x"].to_pylist() == repeated(19844.0, None, None)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_dates_do_not_depend_on_the_time_zone_of_the_machine(write_params: WriteParams, zone) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys"})
    # The clocks of New York skip the hour after two.
    texts = repeated("2024-03-10", "2024-03-10T02:30:00", "2024-03-10T02:30:00+02:00")
    typed = pd.Series(repeated(pd.Timestamp("2024-03-10"), pd.Timestamp("2024-03-10 02:30")))
    day = repeated(date(2024, 3, 10), date(2024, 3, 11))
    frame(text=texts, typed=typed, aware=typed.dt.tz_localize("UTC"), day=day).to_parquet("a.parquet")
    command = [sys.executable, "-m", "stages.prepare", "a.parquet", "prepared.parquet"]
    subprocess.run(command, env=os.environ | {"TZ": zone, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    got = pq.read_table("prepared.parquet").select(["text", "typed", "aware", "day"]).slice(0, 3).to_pydict()
    assert got == {
        "text": pytest.approx([19792, 19792 + 2.5 / 24, 19792 + 0.5 / 24], rel=1e-15),
        "typed": pytest.approx([19792, 19792 + 2.5 / 24, 19792], rel=1e-15),
        "aware": pytest.approx([19792, 19792 + 2.5 / 24, 19792], rel=1e-15),
        "day": [19792, 19793, 19792],
    }


@pytest.mark.parametrize("name", ["rows", "value", "session", "is_one", "missing 0", 'a"b', "a'b", "größe", "select"])
def test_any_name_will_do_for_a_column(prepared: PreparedSessions, name) -> None:
    table = frame().assign(**{name: np.arange(ROWS)})
    assert name in prepared(table).names("feature")
    assert prepared(table, **{"prepare.keys.session": name}).names("key") == [name]


@pytest.mark.parametrize("name", ["rows", "value", "is_one"])
def test_any_name_will_do_for_the_target(prepared: PreparedSessions, name) -> None:
    sessions = prepared(frame().rename(columns={"buys": name}), **{"prepare.target": name})
    assert sessions.column("target").tolist() == BUYS.astype(int).tolist()
