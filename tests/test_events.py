"""Other shops' logs: names, times, prices and flags may be written in many ways, and optional columns missing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from click_logs import (
    OWN_NAMES,
    as_table,
    click_settings,
    differences,
    events_of,
    random_log,
    session_table,
    sessions_and_omitted,
    with_column,
)
from click_oracle import COLUMNS, DEVICE, EVENTS, PAGE_TYPES, REQUIRED, Event, session_rows

from stages.lib.common.errors import InputError

pytestmark = pytest.mark.slow

# The features that need each column
NEED_PAGE = """
    pageVisitedBeforeSession countPagesRevisited exitEqualLanding countPagesRevisitedLastSession
    currentPageVisitedLastTime
"""
NEED_PAGE_TYPE = """
    category timeSpentOnCart timeSpentOnProduct tabSwitchProduct tabSwitchSearch tabSwitchOverview
    tabswitchSale tabswitchCart
"""
PER_PAGE_TYPE = "session{} percPage{} clickEvent{} scrollEvent{} page{}LV tot{} totPercPage{} page{}rVisit"
OMITTED = {
    "page": {*NEED_PAGE.split()},
    "page_type": {*NEED_PAGE_TYPE.split()}
    | {name.format(page_type.capitalize()) for page_type in PAGE_TYPES for name in PER_PAGE_TYPE.split()},
    "price": {"amountBasketSession", "totPurchasesAmount"},
    "quantity": set[str](),
    "checkout_step": {"checkoutStep"},
    **{column: {name} for name, column in DEVICE.items()},
}


@pytest.fixture(scope="module")
def log() -> list[Event]:
    return [event | {"time": event["time"].replace(microsecond=0)} for event in random_log(4)]


@pytest.fixture(scope="module")
def table(log: list[Event]) -> pa.Table:
    return session_table(log)


# Names ------------------------------------------------------------


def test_other_names_of_columns_and_events_give_the_same_table(log: list[Event], table: pa.Table) -> None:
    columns: dict[str, str | None] = {name: f"their {name}" for name in COLUMNS}
    events = {name: [f"{name} 1", f"{name} 2"] for name in EVENTS}
    renamed = [event | {"event": f"{event['event']} {number % 2 + 1}"} for number, event in enumerate(log)]
    source = as_table(renamed).rename_columns([f"their {name}" for name in COLUMNS])
    assert session_table(source, click_settings(columns=columns, events=events)).equals(table)


def test_other_names_of_page_types_change_only_the_category(log: list[Event], table: pa.Table) -> None:
    source = [event | {"page_type": event["page_type"] and f"{event['page_type']} page"} for event in log]
    renamed = session_table(source, click_settings(page_types={name: [f"{name} page"] for name in PAGE_TYPES}))
    assert renamed.drop(["category"]).equals(table.drop(["category"]))


# Missing columns --------------------------------------------------


@pytest.mark.parametrize("column", OMITTED)
def test_features_that_need_a_missing_column_are_omitted_and_named(
    log: list[Event], table: pa.Table, column: str
) -> None:
    sessions, omitted = sessions_and_omitted(as_table(log).drop([column]))
    assert {*table.column_names} - {*sessions.columns} == OMITTED[column]
    named = {name: {*features} for name, features in omitted.items()}
    assert named == ({column: OMITTED[column]} if OMITTED[column] else {})


def test_a_column_that_params_map_to_null_is_missing(log: list[Event]) -> None:
    _, omitted = sessions_and_omitted(log, click_settings(columns=OWN_NAMES | {"price": None}))
    assert omitted == {"price": ["amountBasketSession", "totPurchasesAmount"]}


def test_without_any_optional_column_the_other_features_are_still_right(log: list[Event]) -> None:
    required = [{name: event[name] for name in REQUIRED} for event in log]
    omitted = set.union(*OMITTED.values())
    expected = session_rows([dict.fromkeys(COLUMNS) | event for event in required], 3)
    kept = [{name: value for name, value in row.items() if name not in omitted} for row in expected]
    assert differences(session_table(pa.Table.from_pylist(required)), kept) == []


@pytest.mark.parametrize("column", REQUIRED)
def test_a_missing_required_column_is_an_error_that_names_it(log: list[Event], column: str) -> None:
    with pytest.raises(InputError, match=rf"no column '{column}' for prepare\.clicks\.columns\.{column};"):
        sessions_and_omitted(as_table(log).drop([column]))
    with pytest.raises(InputError, match=rf"prepare\.clicks\.columns\.{column}: no column named"):
        columns = {name: source for name, source in OWN_NAMES.items() if name != column}
        sessions_and_omitted(log, click_settings(columns=columns))
    with pytest.raises(InputError, match=rf"no column 'gone' for prepare\.clicks\.columns\.{column};"):
        sessions_and_omitted(log, click_settings(columns=OWN_NAMES | {column: "gone"}))


def test_an_unknown_column_in_params_is_an_error_that_names_it(log: list[Event]) -> None:
    with pytest.raises(InputError, match=r"prepare\.clicks\.columns\.color: unknown"):
        sessions_and_omitted(log, click_settings(columns=OWN_NAMES | {"color": "page"}))


def test_a_row_without_a_session_is_an_error_that_names_the_column_and_the_param(log: list[Event]) -> None:
    says = rf"'session': no session in 1 of {len(log)} rows; set prepare\.clicks\.missing_session to drop"
    with pytest.raises(InputError, match=says):
        sessions_and_omitted([log[0] | {"session": None}, *log[1:]])


def test_without_names_for_views_nothing_can_be_scored(log: list[Event]) -> None:
    settings: list[dict[str, list[str]]] = [{"purchase": ["purchase"]}, {"view": []}]
    for events in settings:
        with pytest.raises(InputError, match=r"prepare\.clicks\.events\.view: no names"):
            sessions_and_omitted(log, click_settings(events=events))


def test_page_types_may_be_none_at_all(log: list[Event], table: pa.Table) -> None:
    counted = session_table(log, click_settings().model_copy(update={"page_types": {}}))
    assert set(counted["sessionProduct"].to_pylist()) == {0}
    assert counted["category"].equals(table["category"])


# Times, prices and flags ------------------------------------------


@pytest.mark.parametrize("text", ["yesterday", "20191301", "", None])
def test_an_unreadable_time_is_an_error_that_names_its_column(log: list[Event], text: str | None) -> None:
    times = [str(event["time"]) for event in log[:-1]] + [text]
    with pytest.raises(InputError, match=f"'time': no readable time in 1 of {len(log)} rows"):
        sessions_and_omitted(with_column(log, "time", times))


def seconds(time: datetime) -> int:
    return int(time.replace(tzinfo=UTC).timestamp())


FORMATS: dict[str, Callable[[datetime], Any]] = {
    "UTC": lambda time: f"{time} UTC",
    "T": lambda time: time.isoformat(),
    "plain": str,
    "seconds": seconds,
    "milliseconds": lambda time: seconds(time) * 1000,
    "seconds, 32 bits": lambda time: pa.scalar(seconds(time), pa.int32()),
    "seconds, text": lambda time: str(seconds(time)),
    "milliseconds, text": lambda time: str(seconds(time) * 1000),
    "with an offset, text": lambda time: time.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=-7))).isoformat(),
    "with a zone": lambda time: time.replace(tzinfo=UTC),
}


@pytest.mark.parametrize("name", FORMATS)
def test_times_may_be_written_in_many_ways(log: list[Event], name: str) -> None:
    times = [FORMATS[name](event["time"]) for event in log]
    assert events_of(with_column(log, "time", times)) == events_of(log)


@pytest.mark.parametrize("type_", [float, str])
def test_a_price_that_is_not_a_number_is_missing(log: list[Event], type_: Callable[[Any], Any]) -> None:
    prices = [type_("nan" if event["price"] is None else event["price"]) for event in log]
    assert events_of(with_column(log, "price", prices)) == events_of(log)


@pytest.mark.parametrize("flags", [{0: False, 1: True}, {0: "false", 1: "True"}], ids=["boolean", "text"])
def test_flags_may_be_true_and_false(log: list[Event], flags: dict[int, Any]) -> None:
    visible = [flags.get(event["tab_visible"]) for event in log]
    assert events_of(with_column(log, "tab_visible", visible)) == events_of(log)
