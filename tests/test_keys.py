"""Keys order, group and name the rows of a session table, and are never features."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import PreparedSessions, PrepareTable
from session_frames import ROWS, frame, repeated


def test_keys_are_neither_numbers_nor_categories(prepared: PreparedSessions) -> None:
    table = frame(id=[f"id {row}" for row in range(ROWS)], who=repeated("x", "y"), at=np.arange(ROWS))
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
        ([str(row + 5) for row in range(ROWS)], 5.0),
        ([f"{row + 0.5}" for row in range(ROWS)], 0.5),
        ([f"2020-01-{row % 31 + 1:02}" for row in range(ROWS)], pd.Timestamp("2020-01-01")),
        ([f"2020-01-01 08:{row:02}:00" for row in range(ROWS)], pd.Timestamp("2020-01-01 08:00")),
        (
            [f"2020-01-01T08:00:{row:02}.25Z" for row in range(ROWS)],
            pd.Timestamp("2020-01-01 08:00:00.25"),
        ),
        ([f"2020-01-02T00:{row:02}:00+02:00" for row in range(ROWS)], pd.Timestamp("2020-01-01 22:00")),
        ([str(1577836800 + row) for row in range(ROWS)], pd.Timestamp("2020-01-01")),
        ([str((1577836800 + row) * 1000) for row in range(ROWS)], pd.Timestamp("2020-01-01")),
    ],
    ids=["whole numbers", "numbers", "days", "times", "ISO times", "with an offset", "seconds", "milliseconds"],
)
def test_a_time_in_a_csv_is_ordered_as_time_and_not_as_text(
    prepared: PreparedSessions, values: list[str], first: Any
) -> None:
    times = prepared(frame(at=values), **{"prepare.keys.time": "at"}).column("time")
    assert times[0] == first
    assert times[9] - times[8] == times[10] - times[9]
    assert not pd.api.types.is_object_dtype(times)


@pytest.mark.parametrize("values", [repeated("Feb", "Mar"), repeated("31.12.2019", "01.01.2020"), repeated("1", "x")])
def test_an_unreadable_time_in_a_csv_is_refused(prepare: PrepareTable, values: list[str]) -> None:
    error = prepare(frame(at=values), **{"prepare.keys.time": "at"}).error
    assert error.startswith("prepare: sessions.csv: key 'at' (prepare.keys.time): no readable time in ")
    assert f" of 40 rows, such as '{min(values)}'; expected numbers" in error
