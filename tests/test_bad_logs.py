"""Click logs that cannot be used, and params that do not fit a log: one line that names the column or the param."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from bad_input import Case, error_of
from helpers import (
    PreparedSessions,
    PrepareTable,
)

LOG = pd.DataFrame(
    {
        "time": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(60), unit="min"),
        "visitor": np.arange(60) // 12,
        "session": np.arange(60) // 6,
        "event": "view",
        "page": np.arange(60) % 5,
    }
)
TIMES = LOG.time.astype(str)
LOGS = {
    "a log without times": Case(
        "no column 'time' for prepare.clicks.columns.time; it has visitor, session, event, page",
        LOG.drop(columns="time"),
    ),
    "a log without sessions": Case(
        "no column 'visit' for prepare.clicks.columns.session",
        LOG,
        params={"clicks.columns.session": "visit"},
    ),
    "a time that is none": Case(
        "column 'time': no readable time in 1 of 60 rows", LOG.assign(time=TIMES.where(LOG.index != 3, "soon"))
    ),
    "days written another way": Case(
        "column 'time': no readable time in 60 of 60 rows", LOG.assign(time=LOG.time.dt.strftime("%d.%m.%Y"))
    ),
    "a missing session in a log": Case(
        "column 'session': no session in 1 of 60 rows; set prepare.clicks.missing_session to drop",
        LOG.assign(session=LOG.session.where(LOG.index != 3)),
    ),
    "a missing visitor in a log without sessions": Case(
        "column 'visitor': no visitor in 1 of 60 rows; set prepare.clicks.missing_session to drop",
        LOG.assign(visitor=LOG.visitor.where(LOG.index != 3)),
        params={"clicks.columns.session": None},
    ),
    "no name for visitors": Case(
        "prepare.clicks.columns.visitor: no column named", LOG, params={"clicks.columns.visitor": None}
    ),
    "a session id that is one of a visitor's": Case(
        "column 'session': '0' is the session of 30 visitors; if other visitors may use the same id, set "
        "prepare.clicks.session_ids to per_visitor",
        LOG.assign(visitor=LOG.index // 2, session=0),
    ),
    "a time whose time of day is in another column": Case(
        "column 'time': all 60 rows have a day without a time of day; write both in one column",
        LOG.assign(time=LOG.time.dt.date, clock=LOG.time.dt.time),
    ),
    "a time in the far future": Case(
        "column 'time': no readable time in 1 of 60 rows, such as '2999-01-01 00:00:00'; expected ISO 8601",
        LOG.assign(time=TIMES.where(LOG.index != 3, "2999-01-01 00:00:00")),
    ),
    "a number that is no time": Case(
        "column 'time': no readable time in 1 of 60 rows, such as '5'",
        LOG.assign(time=[5, *range(1_577_836_801, 1_577_836_860)]),
    ),
    "prices written another way": Case(
        "column 'price': 60 of 60 values are not numbers up to 1,000,000,000, such as '12,34'; set "
        "prepare.decimal, prepare.thousands or prepare.units",
        LOG.assign(price="12,34"),
        params={"clicks.columns.price": "price"},
    ),
    "no name for views": Case("prepare.clicks.events.view: no names", LOG, params={"clicks.events.view": []}),
    "an unknown name for a column": Case(
        "prepare.clicks.columns.color: unknown name; known are time, visitor",
        LOG,
        params={"clicks.columns.color": "c"},
    ),
    "an unknown event": Case(
        "prepare.clicks.events.look: unknown name; known are view, click",
        LOG,
        params={"clicks.events.look": ["look"]},
    ),
    "an unknown page type": Case(
        "prepare.clicks.page_types.home: unknown name; known are product",
        LOG,
        params={"clicks.page_types.home": ["h"]},
    ),
    "a log without views": Case(
        "column 'event': no row has an event of prepare.clicks.events.view, 'view', but 'ping' is in 60 rows",
        LOG.assign(event="ping"),
    ),
    "views with another name": Case(
        "column 'event': no row has an event of prepare.clicks.events.view, 'sight', but 'view' is in 60 rows; list it "
        "there if it means the same",
        LOG,
        params={"clicks.events.view": ["sight"]},
    ),
    "a log without purchases": Case("target 'Kauf': all rows are of one class, '0'", LOG),
}


@pytest.mark.parametrize("case", LOGS.values(), ids=LOGS)
def test_a_log_that_cannot_be_used_is_refused_in_one_line(prepare: PrepareTable, case: Case) -> None:
    clicks = {"prepare.source_type": "clicks", "prepare.target": "Kauf"}
    assert case.says in error_of(prepare, case, **clicks)


BUYING_LOG = pd.concat([LOG, LOG[5::12].assign(event="purchase")])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"prepare.drop": ["color"]},
            "no feature 'color' (prepare.drop); there are month, sessionStartHour",
        ),
        ({"prepare.target": "weekday"}, "prepare.target: 'weekday' is the name of another column"),
        ({"prepare.target": "visitor"}, "prepare.target: 'visitor' is the name of another column"),
    ],
)
def test_names_that_do_not_fit_a_log_are_refused_in_one_line(
    prepare: PrepareTable, settings: dict[str, Any], says: str
) -> None:
    clicks = {"prepare.source_type": "clicks", "prepare.target": "Kauf"}
    assert says in error_of(prepare, Case(says, BUYING_LOG, "a.parquet"), **clicks | settings)


def test_a_feature_of_a_log_can_be_dropped(prepared: PreparedSessions) -> None:
    settings = {
        "prepare.source_type": "clicks",
        "prepare.target": "Kauf",
        "prepare.drop": ["visitTimeLV", "weekday"],
    }
    names = prepared(BUYING_LOG, "a.parquet", **settings).names("feature")
    assert "recencyVisit" in names
    assert not {"visitTimeLV", "weekday"} & {*names}
