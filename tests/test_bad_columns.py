"""Session tables with a target, a key or a feature that cannot be used: one line that names the column."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from bad_input import CSV, SESSIONS, Case, error_of
from helpers import (
    PrepareTable,
)

DAYS = pd.Series(pd.date_range("2024-01-01", periods=len(SESSIONS)))
IDS = [f"id {row}" for row in range(len(SESSIONS))]


def with_value(column: str, value: Any) -> pd.DataFrame:
    """SESSIONS with `value` in row 3 of `column`."""
    return SESSIONS.assign(**{column: SESSIONS[column].astype(object).where(SESSIONS.index != 3, value)})


def comma(value: float) -> str:
    return f"{value:.2f}".replace(".", ",")


TARGETS = {
    "no target": Case("no column 'Revenue' (prepare.target); it has pages, seconds", CSV, params={"target": "Revenue"}),
    "a target of one class": Case("target 'buys': all rows are of one class, '0'", SESSIONS.assign(buys=0)),
    "one class in two words": Case(
        "all rows are of one class, 'yes', 'true'", SESSIONS.assign(buys=["yes", "true", "yes"] * 40)
    ),
    "one class, declared": Case(
        "all rows are of one class, '1'", SESSIONS.assign(buys=1), params={"positive_class": 1}
    ),
    "a target of three classes": Case(
        "expected two classes, such as 0 and 1 or yes and no, got '0', '1', '2'; set prepare.positive_class",
        SESSIONS.assign(buys=[0, 1, 2] * 40),
    ),
    "a target of classes without meaning": Case("got 'left', 'stays'", SESSIONS.assign(buys=["left", "stays"] * 60)),
    "a target of many classes": Case("'106', …;", SESSIONS.assign(buys=range(120))),
    "no such positive value": Case(
        "no row is 7 (prepare.positive_class); it has '0', '1'", CSV, params={"positive_class": 7}
    ),
    "yes without quotes": Case(
        "no row is True (prepare.positive_class; a text needs quotes); it has 'no', 'yes'",
        SESSIONS.assign(buys=["no", "no", "yes"] * 40),
        params={"positive_class": True},
    ),
    "a target with a missing value": Case("target 'buys': no value in 1 of 120 rows", with_value("buys", None)),
    "a target with NaN": Case(
        "target 'buys': no value in 1 of 120 rows",
        with_value("buys", np.nan).astype({"buys": float}),
        "a.parquet",
    ),
    "missing values among many classes": Case(
        "target 'buys': no value in 60 of 120 rows", SESSIONS.assign(buys=pd.Series(range(60)).reindex(range(120)))
    ),
}
COLUMNS = {
    "an infinite number": Case(
        "column 'seconds': 1 of 109 values are infinite; fix them or leave it out with prepare.drop: [seconds]",
        with_value("seconds", np.inf),
    ),
    "an infinite number in a parquet": Case(
        "column 'seconds': 1 of 109 values are infinite",
        with_value("seconds", -np.inf).astype({"seconds": float}),
        "a.parquet",
    ),
    "a word among numbers": Case(
        "column 'seconds': 1 of 109 values are not numbers, such as 'soon'; add it to prepare.na_values, or "
        "the column to prepare.categories",
        with_value("seconds", "soon"),
    ),
    "another spelling of NaN": Case("1 of 120 values are not numbers, such as 'NAN'", with_value("pages", "NAN")),
    "words declared as numbers": Case(
        "112 of 112 values are not numbers, such as 'Chrome'", SESSIONS, params={"numeric": ["browser"]}
    ),
    "a category that names the rows": Case(
        "column 'x': 120 different texts", SESSIONS.assign(x=range(1000, 1120)), params={"categories": ["x"]}
    ),
    **{
        f"dates written as {form}": Case(
            f'look like dates; set prepare.date_format: "{form}"',
            SESSIONS.assign(x=DAYS.dt.strftime(form)),
        )
        for form in ("%d.%m.%Y", "%m/%d/%Y", "%d-%m-%y", "%Y/%m/%d", "%d.%m.%Y %H:%M")
    },
    "dates written another way, declared": Case(
        "column 'x': 120 of 120 values are not dates, such as '01.01.2024'; texts such as '01.01.2024' look like",
        SESSIONS.assign(x=DAYS.dt.strftime("%d.%m.%Y")),
        params={"dates": ["x"]},
    ),
    "numbers declared as dates": Case(
        "column 'x': 120 of 120 values are not dates, such as '45292'; write",
        SESSIONS.assign(x=range(45292, 45412)),
        params={"dates": ["x"]},
    ),
    "typed numbers declared as dates": Case(
        "column 'pages': 120 of 120 values are not dates, such as '", SESSIONS, "a.parquet", {"dates": ["pages"]}
    ),
    "a word among dates": Case(
        "column 'x': 1 of 120 values are not dates, such as 'soon'; add it to prepare.na_values, or the column to "
        "prepare.dates (which makes such values missing) or prepare.categories",
        SESSIONS.assign(x=DAYS.astype(str).where(DAYS.index != 3, "soon")),
    ),
    "a day that never was among dates": Case(
        "column 'x': 1 of 120 values are not dates, such as '2023-02-29'",
        SESSIONS.assign(x=DAYS.astype(str).where(DAYS.index != 3, "2023-02-29")),
    ),
    "dates declared as numbers": Case(
        "120 of 120 values are not numbers, such as '2024-01-01'; add it",
        SESSIONS.assign(x=DAYS.astype(str)),
        params={"numeric": ["x"]},
    ),
    "dates as a category that names the rows": Case(
        "120 different texts in 120 rows; it looks like an identifier",
        SESSIONS.assign(x=DAYS.astype(str)),
        params={"categories": ["x"]},
    ),
    **{
        f"numbers such as {number(1234.5)}": Case(
            "look like numbers; set prepare.",
            SESSIONS.assign(x=[number(1000.25 + row) for row in range(120)]),
        )
        for number in (comma, "{:,.2f}".format, lambda value: comma(value).replace("1", "1.", 1))
    },
    "decimal commas in a declared column": Case(
        "120 of 120 values are not numbers, such as '0,25'; texts such as '0,25' look like numbers; set",
        SESSIONS.assign(x=[comma(row + 0.25) for row in range(120)]),
        params={"numeric": ["x"]},
    ),
    "a decimal comma among numbers": Case(
        "column 'seconds': 1 of 109 values are not numbers, such as '3,14'; texts such as '3,14' look like numbers",
        with_value("seconds", "3,14"),
    ),
    "nothing to predict from": Case("no columns are left to predict from", "buys\n1\n0\n"),
    "nothing but columns without information": Case(
        "no columns are left to predict from", "a,b,id,buys\n" + "".join(f"1,,{row},{row % 2}\n" for row in range(30))
    ),
    "everything dropped": Case(
        "no columns are left to predict from", CSV, params={"drop": ["pages", "seconds", "browser"]}
    ),
}
NAMES = {
    f"an unknown name in {row}": Case(
        f"no column 'x' (prepare.{row}); it has pages, seconds, browser, buys", CSV, params={row: value}
    )
    for row, value in {
        "drop": ["x"],
        "categories": ["browser", "x"],
        "numeric": ["x"],
        "dates": ["x"],
        "keys.session": "x",
        "keys.visitor": "x",
        "keys.time": "x",
    }.items()
} | {
    "a name in another case": Case("no column 'Pages' (prepare.drop)", CSV, params={"drop": ["Pages"]}),
    "the target dropped": Case(
        "column 'buys' is in both prepare.target and prepare.drop; keep it in one of them",
        CSV,
        params={"drop": ["buys"]},
    ),
    "a key dropped": Case(
        "column 'pages' is in both prepare.keys.time and prepare.drop",
        CSV,
        params={"keys.time": "pages", "drop": ["pages"]},
    ),
    "the target as a key": Case(
        "column 'buys' is in both prepare.target and prepare.keys.session",
        CSV,
        params={"keys.session": "buys"},
    ),
    "one column as two keys": Case(
        "column 'pages' is in both prepare.keys.session and prepare.keys.visitor",
        CSV,
        params={"keys.session": "pages", "keys.visitor": "pages"},
    ),
    **{
        f"one column in {one} and {other}": Case(
            f"column 'pages' is in both prepare.{one} and prepare.{other}; keep it in one of them",
            CSV,
            params={one: ["pages"], other: ["pages"]},
        )
        for one, other in (("categories", "numeric"), ("categories", "dates"), ("numeric", "dates"))
    },
    "a repeated session id": Case(
        "key 'id' (prepare.keys.session): 'id 4' is in 2 rows; expected one row per session",
        SESSIONS.assign(id=[*IDS[:-1], "id 4"]),
        params={"keys.session": "id"},
    ),
    "a missing visitor": Case(
        "key 'browser' (prepare.keys.visitor): no value in 8 of 120 rows",
        CSV,
        params={"keys.visitor": "browser"},
    ),
}
SESSION_CASES = TARGETS | COLUMNS | NAMES


@pytest.mark.parametrize("case", SESSION_CASES.values(), ids=SESSION_CASES)
def test_sessions_that_cannot_be_used_are_refused_in_one_line(prepare: PrepareTable, case: Case) -> None:
    assert case.says in error_of(prepare, case)
