"""Logs as trackers write them give the sessions that were meant, and everything left out or changed is reported."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from helpers import SHARED_DATA, PrepareTable, RunStage, WriteParams
from tracker_logs import (
    LOG,
    LOGS,
    NO_SESSION,
    OUTPUT,
    PARAMS,
    SESSIONS,
    TrackerLog,
    columns_of,
    marked,
    prepared_table,
)  # fmt: skip

from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import read_sessions
from stages.lib.preparation import partitions
from stages.lib.preparation.reader import open_source
from stages.lib.preparation.scoring import sessions_to_score

# What is settled visitor by visitor, and so in each partition by itself
HARD = (
    "a log-in before the purchase", "visitors that are null", "no sessions, and every row twice", "every row twice",
    "a bot", "ids that are unique within a visitor only",
)  # fmt: skip
CASES = SHARED_DATA.parent / "cases"


# What was meant ---------------------------------------------------


@pytest.mark.parametrize("name", LOGS)
def test_a_log_gives_the_sessions_that_were_meant(prepare: PrepareTable, name: str) -> None:
    log = LOGS[name]
    table, findings = prepared_table(prepare, log, "a.csv" if len(name) % 2 else "a.parquet")
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
def test_all_columns_but_the_visitor_are_those_of_the_log_as_it_should_be(prepare: PrepareTable, name: str) -> None:
    expected, _ = prepared_table(prepare, TrackerLog(LOG), "a.parquet")
    table, _ = prepared_table(prepare, LOGS[name], "a.parquet")
    assert same_features(table, expected) == (name != "visitors that are null")
    assert table["session"].equals(expected["session"])


def same_features(one: pa.Table, other: pa.Table) -> bool:
    return one.drop(["visitor"]).equals(other.drop(["visitor"]))


@pytest.mark.parametrize("name", HARD)
def test_partitions_change_nothing(prepare: PrepareTable, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LOGS[name]
    expected = prepared_table(prepare, log, "a.parquet")
    monkeypatch.setattr(partitions, "BYTES_PER_EVENT", 10**7)
    table, findings = prepared_table(prepare, log, "a.parquet", **{"runtime.memory_limit": "500MB"})
    assert table.equals(expected[0]) and findings == expected[1]


@pytest.mark.parametrize("name", HARD)
def test_new_rows_to_score_are_read_as_those_of_the_training(prepare: PrepareTable, name: str) -> None:
    expected, findings = prepared_table(prepare, LOGS[name], "a.parquet")
    schema, left_out = Schema.from_arrow(expected.schema), LeftOut()
    with open_source(Path("a.parquet"), schema, OUTPUT, left_out=left_out) as (rows, engine):
        sessions, keys = sessions_to_score(rows, schema, engine, left_out)
        table = sessions.to_pyarrow()
    assert table.equals(expected.select([*keys, *schema.features]).replace_schema_metadata().cast(table.schema))
    assert [str(finding) for finding in left_out.findings] == findings


@pytest.mark.parametrize("name", [name for name in HARD if LOGS[name].findings])
def test_strict_makes_what_would_be_reported_an_error(prepare: PrepareTable, name: str) -> None:
    log = LOGS[name]
    ran = prepare(log.rows, "a.parquet", **PARAMS | columns_of(log.rows) | log.params | {"prepare.strict": True})
    count, finding, constant, end = ran.err.splitlines()
    assert count == "prepare: a.parquet: 2 problems:" and end == "prepare.strict makes these errors"
    assert finding == f"  {log.findings[0]}"
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


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("price", "12,34", "'price': values that are not numbers up to 1,000,000,000 are missing"),
        ("price", "1_0", "'price': values that are not numbers up to 1,000,000,000 are missing"),
        ("price", "inf", "'price': values that are not numbers up to 1,000,000,000 are missing"),
        ("price", "1e300", "'price': values that are not numbers up to 1,000,000,000 are missing"),
        ("quantity", "two", "'quantity': values that are not whole numbers up to 100,000 are missing"),
        ("quantity", "0.5", "'quantity': values that are not whole numbers up to 100,000 are missing"),
        ("quantity", "99999999999", "'quantity': values that are not whole numbers up to 100,000 are missing"),
        ("page", "NULL", "'page': texts that count as missing"),
    ],
)
def test_a_value_that_cannot_be_read_is_reported(prepare: PrepareTable, column: str, value: str, says: str) -> None:
    rows = LOG.assign(**{column: LOG[column].astype(str).mask(LOG.index == 5, value)})
    _, findings = prepared_table(prepare, TrackerLog(rows), "a.parquet")
    assert [finding.split(" (")[0] for finding in findings] == [f"column {says}, such as '{value}'"]


def test_whole_numbers_may_be_floats_or_texts_of_floats(prepare: PrepareTable) -> None:
    expected, _ = prepared_table(prepare, TrackerLog(LOG), "a.parquet")
    for quantity in (LOG.quantity.astype(float), LOG.quantity.astype(float).astype(str), LOG.quantity.astype("int8")):
        table, findings = prepared_table(prepare, TrackerLog(LOG.assign(quantity=quantity)), "a.parquet")
        assert table.equals(expected) and not findings


def test_an_absurd_number_of_items_is_one_item(prepare: PrepareTable) -> None:
    expected, _ = prepared_table(prepare, TrackerLog(LOG), "a.parquet")
    rows = LOG.assign(quantity=LOG.quantity.mask(LOG.index == 3, 10**12))
    table, findings = prepared_table(prepare, TrackerLog(rows), "a.parquet")
    assert table.equals(expected)
    assert findings[0].startswith("column 'quantity': values that are not whole numbers up to 100,000 are missing")


# Sessions and duplicates ------------------------------------------


@pytest.mark.parametrize(("gap", "sessions"), [(30, 100), (0.5, 230), (60 * 24 * 60, 50)])
def test_sessions_end_where_no_event_follows_for_some_time(prepare: PrepareTable, gap: float, sessions: int) -> None:
    rows = LOG.assign(event=LOG.event.where(LOG.event == "purchase", "view"))
    params = NO_SESSION | {"prepare.clicks.session_gap": gap, "prepare.clicks.score_at_view": 1}
    table, _ = prepared_table(prepare, TrackerLog(rows, params), "a.parquet")
    # In 40 of the sessions, with 170 views, more than half a minute is between any two events.
    assert len(table) == sessions


def test_events_of_the_same_time_are_of_the_same_session(prepare: PrepareTable) -> None:
    same_time = pd.concat([LOG.assign(event="view"), LOG]).drop_duplicates()
    table, _ = prepared_table(prepare, TrackerLog(same_time, NO_SESSION), "a.parquet")
    assert table.to_pandas().groupby("visitor").session.max().tolist() == [2] * 50


def test_a_pause_of_exactly_the_gap_ends_no_session(prepare: PrepareTable) -> None:
    start = pd.Timestamp("2024-01-01")
    minutes = [0, 30, 60, 90.0001, 91, 92, 93]
    rows = pd.DataFrame({
        "time": [start + pd.Timedelta(minutes=minute) for minute in minutes],
        "visitor": 1,
        "event": [*["view"] * 6, "purchase"],
    })  # fmt: skip
    rows = pd.concat([rows, LOG[["time", "visitor", "event"]].assign(visitor=LOG.visitor.str[1:].astype(int) + 2)])
    table, _ = prepared_table(prepare, TrackerLog(rows, NO_SESSION), "a.parquet")
    frame = table.to_pandas()
    assert frame[frame.visitor == 1][["session", "bought"]].to_numpy().tolist() == [[1, 0], [2, 1]]


def test_duplicates_can_be_kept(prepare: PrepareTable) -> None:
    log = TrackerLog(pd.concat([LOG, LOG]), {"prepare.clicks.duplicates": "keep"})
    table, findings = prepared_table(prepare, log, "a.parquet")
    assert len(table) == SESSIONS and not findings


def test_rows_that_differ_in_a_column_that_is_not_used_are_no_duplicates(prepare: PrepareTable) -> None:
    rows = pd.concat([LOG, LOG]).assign(event_id=range(2 * len(LOG)))
    table, findings = prepared_table(prepare, TrackerLog(rows, columns_of(LOG)), "a.parquet")
    assert len(table) == SESSIONS and not findings


# The files of the issue -------------------------------------------

RETAILROCKET = {
    "prepare.clicks.columns": {
        "time": "timestamp", "visitor": "visitorid", "session": None, "event": "event", "page": "itemid",
    },
    "prepare.clicks.events.add": ["addtocart"],
    "prepare.clicks.events.purchase": ["transaction"],
}  # fmt: skip
FILES: dict[str, tuple[dict[str, Any], int]] = {
    "log.parquet": ({}, 338),
    "log_microseconds.parquet": ({}, 338),
    "log_nanoseconds.parquet": ({}, 338),
    "log_float_seconds.csv": ({}, 338),
    "log_null_visitors.csv": ({}, 338),
    "log_null_session.csv": ({"prepare.clicks.missing_session": "drop"}, 338),
    "log_login.csv": ({}, 338),
    "log_no_session.csv": (RETAILROCKET, 338),
    "log_event_names.csv": (
        {"prepare.clicks.events.add": ["add_to_cart"], "prepare.clicks.events.purchase": ["purchase", "Purchase"]},
        338,
    ),
    "log_twice.parquet": ({}, 338),
    "log_refunds.csv": ({}, 393),
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the files of the issue are not beside the checkout")
@pytest.mark.parametrize("name", FILES)
def test_the_files_of_the_issue_are_read_as_they_should_be(
    name: str, run_stage: RunStage, write_params: WriteParams
) -> None:
    params, scored = FILES[name]
    write_params(**PARAMS | params)
    ran = run_stage("prepare", CASES / name, OUTPUT)
    assert ran.code == 0, ran.err
    table = read_sessions(OUTPUT).to_arrow()
    assert (len(table), sum(table["bought"].to_pylist())) == (scored, 55)
    if name not in ("log_null_visitors.csv", "log_null_session.csv", "log_refunds.csv"):
        seconds, visits = table["sessionTime"].to_pandas(), table["frequencyVisit"].to_pylist()
        assert (seconds.median(), round(seconds.mean(), 2), max(visits)) == (98.5, 96.72, 2)


@pytest.mark.skipif(not CASES.is_dir(), reason="the files of the issue are not beside the checkout")
def test_a_time_in_any_unit_gives_the_same_bytes(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**PARAMS)
    for name in ("log.parquet", "log_microseconds.parquet", "log_nanoseconds.parquet", "log_float_seconds.csv"):
        assert run_stage("prepare", CASES / name, Path(f"{name}.prepared")).code == 0
    expected = Path("log.parquet.prepared").read_bytes()
    assert all(path.read_bytes() == expected for path in Path().glob("*.prepared"))
