"""Logs as trackers write them give the sessions that were meant, and everything left out or changed is reported."""

from datetime import timedelta
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pytest
from helpers import PrepareTable, WriteParams, WriteSource
from tracker_logs import (
    LOG,
    LOGGED_IN,
    LOGS,
    NO_SESSION,
    OUTPUT,
    PARAMS,
    SESSIONS,
    TWICE,
    TrackerLog,
    columns_of,
    file_of,
    marked,
    prepared_table,
    shared,
)  # fmt: skip

from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.preparation import partitions
from stages.lib.preparation.reader import open_source
from stages.lib.preparation.scoring import sessions_to_score

# What is settled visitor by visitor, and so in each partition by itself
HARD = (
    "a log-in before the purchase", "visitors that are null", "no sessions, and every row twice", "every row twice",
    "a bot", "ids that are unique within a visitor only",
)  # fmt: skip


# What was meant ---------------------------------------------------


class PreparedLog(Protocol):
    """prepared_log("a bot"): the session table of this log of LOGS, and what was reported."""

    def __call__(self, name: str) -> tuple[pa.Table, list[str]]: ...


@pytest.fixture(scope="module")
def prepared_logs() -> dict[str, tuple[pa.Table, list[str]]]:
    return {}


@pytest.fixture
def prepared_log(prepare: PrepareTable, prepared_logs: dict[str, tuple[pa.Table, list[str]]]) -> PreparedLog:
    """Prepares each log once for all tests of this file."""

    def get(name: str) -> tuple[pa.Table, list[str]]:
        if name not in prepared_logs:
            prepared_logs[name] = prepared_table(prepare, LOGS[name], file_of(name))
        return prepared_logs[name]

    return get


@pytest.mark.parametrize("name", LOGS)
def test_a_log_gives_the_sessions_that_were_meant(prepared_log: PreparedLog, name: str) -> None:
    log = LOGS[name]
    table, findings = prepared_log(name)
    assert (len(table), sum(table["bought"].to_pylist())) == (log.scored, log.purchases)
    assert findings == [*log.findings]


@pytest.mark.parametrize(
    "name",
    [
        "a log-in before the purchase",
        "every row twice",
        "refunds with a negative price",
        "a bot",
        "visitors that are null",
    ],
)
def test_all_columns_but_the_visitor_are_those_of_the_log_as_it_should_be(prepared_log: PreparedLog, name: str) -> None:
    (expected, _), (table, _) = prepared_log("as it should be"), prepared_log(name)
    assert same_features(table, expected) == (name != "visitors that are null")
    assert table["session"].equals(expected["session"])


def same_features(one: pa.Table, other: pa.Table) -> bool:
    return one.drop(["visitor"]).equals(other.drop(["visitor"]))


@pytest.mark.parametrize("name", HARD)
def test_partitions_change_nothing(
    prepare: PrepareTable, prepared_log: PreparedLog, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = prepared_log(name)
    monkeypatch.setattr(partitions, "BYTES_PER_EVENT", 500_000)  # two to four partitions
    table, findings = prepared_table(prepare, LOGS[name], file_of(name), **{"runtime.memory_limit": "500MB"})
    assert table.equals(expected[0]) and findings == expected[1]


def test_partitions_of_one_visitor_and_of_none_change_nothing(
    prepare: PrepareTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = LOGS["a log-in before the purchase"].rows
    log = TrackerLog(rows[LOG.visitor.isin(["u00", "u01", "u03"])])
    expected = prepared_table(prepare, log, "a.parquet")
    monkeypatch.setattr(partitions, "BYTES_PER_EVENT", 10**8)
    assert prepared_table(prepare, log, "a.parquet", **{"runtime.memory_limit": "500MB"}) == expected


@pytest.mark.parametrize("name", HARD)
def test_new_rows_to_score_are_read_as_those_of_the_training(
    write_params: WriteParams, write_source: WriteSource, prepared_log: PreparedLog, name: str
) -> None:
    expected, findings = prepared_log(name)
    schema, left_out = Schema.from_arrow(expected.schema), LeftOut()
    path = write_source(LOGS[name].rows, file_of(name))
    with open_source(path, schema, OUTPUT, left_out=left_out) as (rows, engine):
        sessions, keys = sessions_to_score(rows, schema, engine, left_out)
        table = sessions.to_pyarrow()
    assert table.equals(expected.select([*keys, *schema.features]).replace_schema_metadata().cast(table.schema))
    assert [str(finding) for finding in left_out.findings] == findings


def test_strict_makes_what_would_be_reported_an_error(prepare: PrepareTable) -> None:
    bot = LOGS["a bot"]
    rows = bot.rows.assign(visitor=LOGGED_IN.reindex(bot.rows.index))  # of a log-in
    log = TrackerLog(pd.concat([rows, rows]), bot.params, (*shared(25), TWICE[0].format(len(rows)), *bot.findings))
    ran = prepare(log.rows, "a.parquet", **PARAMS | columns_of(rows) | log.params | {"prepare.strict": True})
    count, *findings, constant, end = ran.err.splitlines()
    assert count == "prepare: a.parquet: 4 problems:" and end == "prepare.strict makes these errors"
    assert findings == [f"  {finding}" for finding in log.findings]
    assert constant.startswith("  left out the features that are the same in every session: ")


def test_strict_allows_a_log_of_which_nothing_is_left_out(prepare: PrepareTable) -> None:
    minimal = LOG[["time", "visitor", "session", "event"]]
    params = PARAMS | {"prepare.clicks.columns": {name: name for name in minimal}, "prepare.strict": True}
    error = prepare(minimal, "a.parquet", **params).error
    names = error.split("(prepare.drop: [")[1].split("]")[0]
    params["prepare.drop"] = names.split(", ")
    assert prepare(minimal, "a.parquet", **params).code == 0
    params["prepare.clicks.columns"] = params["prepare.clicks.columns"] | {"price": "price"}
    error = prepare(minimal, "a.parquet", **params).error
    assert "no column 'price' in the log: left out the features that need a column for price, " in error


# Visitors ---------------------------------------------------------


def visitors_of(table: pa.Table) -> dict[str, str]:
    return dict(zip(table["session"].to_pylist(), table["visitor"].to_pylist(), strict=True))


def test_a_session_stands_for_a_missing_visitor(prepare: PrepareTable) -> None:
    table, _ = prepared_table(prepare, TrackerLog(marked(None)), "a.parquet")
    visitors = visitors_of(table)
    assert visitors["s001"] == "session s001" and visitors["s003"] == "u01"
    assert table.to_pandas().groupby("visitor").frequencyVisit.max().max() == 1


def test_a_session_is_that_of_the_first_visitor_who_is_known_when_it_is_scored(prepare: PrepareTable) -> None:
    """Who is known only after the scored view may be known because of a purchase."""
    session = LOG.session == "s003"
    numbers = LOG[session].groupby("session").cumcount()
    late = LOG.visitor.mask(session & (numbers.reindex(LOG.index) < 4))  # the third view is the fourth event
    early = LOG.visitor.mask(session & (numbers.reindex(LOG.index) < 3))
    for visitor, expected in ((late, "session s003"), (early, "u01")):
        table, _ = prepared_table(prepare, TrackerLog(LOG.assign(visitor=visitor)), "a.parquet")
        assert visitors_of(table)["s003"] == expected


# Values -----------------------------------------------------------


NUMBERS = {"price": ["12,34", "1_0", "inf", "1e300"], "quantity": ["two", "0.5", "99999999999"]}


def test_values_that_cannot_be_read_are_missing_and_reported(prepare: PrepareTable) -> None:
    rows = LOG.assign(page=LOG.page.mask(LOG.index == 5, "NULL"))
    for column, values in NUMBERS.items():
        rows[column] = [*values, *LOG[column].astype(str)[len(values) :]]
    _, findings = prepared_table(prepare, TrackerLog(rows), "a.parquet")
    assert [finding.split(" (")[0] for finding in findings] == [
        "column 'page': texts that count as missing, such as 'NULL'",
        "column 'quantity': values that are not whole numbers up to 100,000 are missing: 3, such as '0.5'",
        "column 'price': values that are not numbers up to 1,000,000,000 are missing: 4, such as '12,34'",
    ]


@pytest.mark.parametrize("type_", [float, "int8", "text of floats"])
def test_whole_numbers_may_be_floats_or_texts_of_floats(
    prepare: PrepareTable, prepared_log: PreparedLog, type_: Any
) -> None:
    quantity = LOG.quantity.astype(float).astype(str) if type_ == "text of floats" else LOG.quantity.astype(type_)
    expected, _ = prepared_log("as it should be")
    table, findings = prepared_table(prepare, TrackerLog(LOG.assign(quantity=quantity)), "a.parquet")
    assert table.equals(expected) and not findings


def test_an_absurd_number_of_items_is_one_item(prepare: PrepareTable, prepared_log: PreparedLog) -> None:
    expected, _ = prepared_log("as it should be")
    rows = LOG.assign(quantity=LOG.quantity.mask(LOG.index == 3, 10**12))
    table, findings = prepared_table(prepare, TrackerLog(rows), "a.parquet")
    assert table.equals(expected)
    assert findings[0].startswith("column 'quantity': values that are not whole numbers up to 100,000 are missing")


# Sessions and duplicates ------------------------------------------


@pytest.mark.parametrize(("gap", "sessions"), [(30, 100), (0.5, 230), (60 * 24 * 60, 50)])
def test_sessions_end_where_no_event_follows_for_some_time(prepare: PrepareTable, gap: float, sessions: int) -> None:
    rows = LOG.assign(event=LOG.event.where(LOG.event == "purchase", "view"))
    params = NO_SESSION | {"prepare.clicks.session_gap": gap, "prepare.clicks.score_at_views": [1]}
    table, _ = prepared_table(prepare, TrackerLog(rows, params), "a.parquet")
    # In 40 of the sessions, with 170 views, more than half a minute is between any two events.
    assert len(table) == sessions


def test_events_of_the_same_time_are_of_the_same_session(prepare: PrepareTable) -> None:
    same_time = pd.concat([LOG.assign(event="view"), LOG]).drop_duplicates()
    table, _ = prepared_table(prepare, TrackerLog(same_time, NO_SESSION), "a.parquet")
    starts = same_time.groupby("session").time.min().astype("datetime64[us]").astype(int)
    assert len(table) > 50 and {*table["session"].to_pylist()} <= {*starts}


def test_a_pause_of_exactly_the_gap_ends_no_session(prepare: PrepareTable) -> None:
    start = pd.Timestamp("2024-01-01")
    minutes = [0, 30, 60, 90.0001, 91, 92, 93]
    rows = pd.DataFrame({
        "time": [start + timedelta(minutes=minute) for minute in minutes],
        "visitor": 1,
        "event": [*["view"] * 6, "purchase"],
    })  # fmt: skip
    rows = pd.concat([rows, LOG[["time", "visitor", "event"]].assign(visitor=LOG.visitor.str[1:].astype(int) + 2)])
    table, _ = prepared_table(prepare, TrackerLog(rows, NO_SESSION), "a.parquet")
    frame = table.to_pandas()
    first = [pd.Timestamp(start).value // 1000 for start in frame[frame.visitor == 1].time]
    assert frame[frame.visitor == 1][["session", "bought"]].to_numpy().tolist() == [[first[0], 0], [first[1], 1]]


def test_duplicates_can_be_kept(prepare: PrepareTable) -> None:
    log = TrackerLog(pd.concat([LOG, LOG]), {"prepare.clicks.duplicates": "keep"})
    table, findings = prepared_table(prepare, log, "a.parquet")
    assert len(table) == SESSIONS and not findings


def test_rows_that_differ_in_a_column_that_is_not_used_are_no_duplicates(prepare: PrepareTable) -> None:
    rows = pd.concat([LOG, LOG]).assign(event_id=range(2 * len(LOG)))
    table, findings = prepared_table(prepare, TrackerLog(rows, columns_of(LOG)), "a.parquet")
    assert len(table) == SESSIONS and not findings
