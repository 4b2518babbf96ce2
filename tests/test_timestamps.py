"""A date is the days since 1970 in UTC, whether it is a text or typed; what may not be a date is not read as one."""

import io
import os
import subprocess
import sys
from datetime import date, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import ROOT, PreparedSessions, PrepareTable, WriteParams
from session_frames import BUYS, PAGES, arrow_type, frame, repeated

DATES = {
    "a day": ("2024-05-01", 19844.0),
    "a leap day": ("2024-02-29", 19782.0),
    "the first": ("1990-01-01", 7305.0),
    "the last": ("2100-12-31", 47846.0),
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


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_an_iso_date_is_the_days_since_1970_in_utc(prepared: PreparedSessions, name: str) -> None:
    columns = {form: repeated(text, "2024-04-30", None) for form, (text, _) in DATES.items()}
    sessions = prepared(frame(**columns), name)
    assert sessions.names("feature") == ["pages", *DATES]
    for form, (_, day) in DATES.items():
        assert arrow_type(sessions, form) == "double", form
        # To the microsecond, of which the nearest float64 is within a third.
        days = repeated(pytest.approx(day, rel=0, abs=4e-12), 19843.0, None)
        assert sessions.table[form].to_pylist() == days, form


TIMESTAMPS = ["2024-05-01 13:45:00.25", "1990-12-31 18:00:00", None]


DAYS = [19844.0, 7669.0]
MOMENTS = [19844 + 49500.25 / 86400, 7669.75]
TYPED = {
    pa.date32(): DAYS,
    pa.date64(): DAYS,
    pa.timestamp("s"): [19844 + 49500 / 86400, 7669.75],
    **dict.fromkeys((pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns")), MOMENTS),
    **dict.fromkeys((pa.timestamp("us", "UTC"), pa.timestamp("ns", "Asia/Tokyo")), MOMENTS),
}


@pytest.mark.parametrize("declared", [None, "prepare.dates", "prepare.numeric"])
def test_a_typed_date_is_the_days_since_1970_in_utc(prepared: PreparedSessions, declared: str | None) -> None:
    timestamps = pa.array(pd.to_datetime(pd.Series(repeated(*TIMESTAMPS)), format="ISO8601"))
    columns = {str(type_): timestamps.cast(type_, safe=False) for type_ in TYPED}
    file = io.BytesIO()
    pq.write_table(pa.table({"pages": PAGES, **columns, "buys": BUYS}), file)
    settings = {declared: [*columns]} if declared else {}
    sessions = prepared(file.getvalue(), "a.parquet", **settings)
    for type_, days in TYPED.items():
        assert arrow_type(sessions, str(type_)) == "double", type_
        assert sessions.table[str(type_)].to_pylist() == repeated(*days, None), type_


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
        (repeated("infinity", "epoch"), "string"),
        (repeated("2024-05-01", "2024-05-02", "later"), "string"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_text_that_may_not_be_a_date_is_not_read_as_one(prepared: PreparedSessions, values: Any, expected: str) -> None:
    assert arrow_type(prepared(frame(x=values)), "x") == expected


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (("01.05.2024", "02.05.2024"), "%d.%m.%Y"),
        (("05/01/2024", "05/02/2024"), "%d/%m/%Y"),
        (("2024/05/01", "2024/05/02"), "%Y/%m/%d"),
        (("2024-5-1", "2024-5-2"), "%Y-%m-%d"),
        (("2024-05", "2024-06"), "%Y-%m"),
        (("5 May 2024", "6 May 2024"), "%d %b %Y"),
    ],
    ids=str,
)
def test_dates_in_another_form_are_refused_until_params_name_it(
    prepare: PrepareTable, prepared: PreparedSessions, values: tuple[str, str], form: str
) -> None:
    table = frame(x=repeated(*values))
    assert f'look like dates; set prepare.date_format: "{form}"' in prepare(table).error
    days = prepared(table, **{"prepare.date_format": form}).table["x"].to_pylist()
    assert days[:2] == [datetime.strptime(value, form).toordinal() - 719163 for value in values]


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        (("05/01/2024", "05/13/2024"), '"%m/%d/%Y"; or'),
        (("05/01/2024", "13/05/2024"), '"%d/%m/%Y"; or'),
        (("05/01/2024", "05/02/2024"), '"%d/%m/%Y", or prepare.date_format: "%m/%d/%Y", which reads other values; or'),
        (("5/13/24 1:45 PM", "5/14/24 11:00 AM"), '"%m/%d/%y %I:%M %p"; or'),
        (("May 5, 2024 13:45:07", "Jun 6, 2024 00:00:00"), '"%b %d, %Y %H:%M:%S"; or'),
    ],
    ids=str,
)
def test_the_form_that_reads_the_dates_is_named(prepare: PrepareTable, values: tuple[str, str], advice: str) -> None:
    assert f"look like dates; set prepare.date_format: {advice}" in prepare(frame(x=repeated(*values))).error


def test_the_form_of_a_declared_date_is_named_too(prepare: PrepareTable) -> None:
    error = prepare(frame(x=repeated("1.5.2024", "31.5.2024")), "a.csv", **{"prepare.dates": ["x"]}).error
    assert "values are not dates, such as" in error and 'set prepare.date_format: "%d.%m.%Y"' in error


@pytest.mark.parametrize(
    "values", [("1975-03-01", "1980-12-31"), ("9999-12-31", "2024-05-01"), ("2024-02-30", "2024-13-01")]
)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_moment_outside_1990_to_2100_is_an_error_with_the_value(
    prepare: PrepareTable, name: str, values: tuple[str, str]
) -> None:
    table = frame(x=repeated(*values))
    assert f"'{values[0]}'" in prepare(table, name).error
    if "2024" not in values[0]:
        days = pa.array([date.fromisoformat(value) for value in repeated(*values)])
        file = io.BytesIO()
        pq.write_table(pa.table({"pages": PAGES, "x": days, "buys": BUYS}), file)
        assert f"'{values[0]}" in prepare(file.getvalue(), "b.parquet").error


def test_dates_declared_as_categories_stay_text(prepared: PreparedSessions) -> None:
    values = repeated("2024-05-01", "2024-05-02")
    assert prepared(frame(x=values), "a.csv", **{"prepare.categories": ["x"]}).table["x"].to_pylist() == values


def test_what_is_not_a_date_in_a_declared_column_is_missing_and_reported(
    prepare: PrepareTable, prepared: PreparedSessions
) -> None:
    values = repeated("2024-05-01", "soon", None, "9999-12-31")
    assert prepared(frame(x=values), "a.csv", **{"prepare.dates": ["x"]}).table["x"].to_pylist() == repeated(
        19844.0, None, None, None
    )
    ran = prepare(frame(x=values), "a.csv", **{"prepare.dates": ["x"]})
    assert "column 'x': values that are not dates are missing: 20, such as '9999-12-31'\n" in ran.out


def test_a_declared_column_of_only_dates_is_not_reported(prepare: PrepareTable) -> None:
    ran = prepare(frame(x=repeated("2024-05-01", "2024-05-02", None)), "a.csv", **{"prepare.dates": ["x"]})
    assert ran.out == "40 sessions, 2 features and the target buys\n"


def test_na_values_are_missing_dates(prepared: PreparedSessions) -> None:
    sessions = prepared(
        frame(x=repeated("2024-05-01", "NA", "0000-00-00")), "a.csv", **{"prepare.na_values": ["NA", "0000-00-00"]}
    )
    assert sessions.table["x"].to_pylist() == repeated(19844.0, None, None)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_dates_do_not_depend_on_the_time_zone_of_the_machine(write_params: WriteParams, zone: str) -> None:
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
