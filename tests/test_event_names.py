"""Event names that no param maps are reported, and an error where they may be an event that the log seems to lack."""

import pandas as pd
import pytest
from helpers import PrepareTable
from tracker_logs import LOG, PARAMS, SCORED, TrackerLog, prepared_table


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ("add", "add_to_cart"), ("add", "addtocart"), ("add", "cart"), ("add", "Add"), ("add", " add"),
        ("add", "basket_add"), ("purchase", "Purchase"), ("purchase", "PURCHASE "), ("purchase", "transaction"),
        ("purchase", "order_completed"), ("purchase", "purchased"), ("view", "page_view"), ("view", "views"),
    ],
)  # fmt: skip
def test_an_event_that_is_there_under_another_name_only_is_an_error(
    prepare: PrepareTable, event: str, name: str
) -> None:
    ran = prepare(LOG.assign(event=LOG.event.replace(event, name)), "a.parquet", **PARAMS)
    count = (LOG.event == event).sum()
    assert ran.error.startswith("prepare: a.parquet: column 'event': ")
    assert f"'{name}' is in {count} rows; list it there if it means the same" in ran.error
    # Without views, there is nothing to score.
    assert ran.error.endswith(f", or set prepare.clicks.events.{event} to [] if the log has none") == (event != "view")


def test_events_that_are_there_under_other_names_too_are_reported(prepare: PrepareTable) -> None:
    names = [" purchase", "PURCHASE", "Purchase", "purchased"]
    last = LOG.index[LOG.event == "purchase"][-len(names) :]
    event = LOG.event.copy()
    event[last] = names
    _, findings = prepared_table(prepare, TrackerLog(LOG.assign(event=event)), "a.parquet")
    assert findings == [
        f"column 'event': left out the events '{name}' (nearly 'purchase' of prepare.clicks.events.purchase)"
        for name in names
    ]


def test_other_names_are_no_error_if_the_log_has_no_additions_to_the_basket(prepare: PrepareTable) -> None:
    names = ["add_to_wishlist", "begin_checkout", "ping", "refund", "remove_address", "review"]
    rows = LOG[LOG.event != "add"]
    for name in names:
        ran = prepare(pd.concat([rows, LOG.tail(1).assign(event=name)]), "a.parquet", **PARAMS)
        assert "no row has an event of prepare.clicks.events.add, 'add', but" in ran.error
    rows = pd.concat([rows, *(LOG.tail(1).assign(event=name) for name in names)])
    _, findings = prepared_table(prepare, TrackerLog(rows, {"prepare.clicks.events.add": []}), "a.parquet")
    unmapped = "column 'event': left out the events '{}' (no name in prepare.clicks.events)"
    assert findings == [unmapped.format(name) for name in names]


def test_of_very_many_names_the_most_frequent_are_reported(prepare: PrepareTable) -> None:
    names = [f"e{number:02}" for number in range(30)]
    rows = pd.concat([LOG, *[LOG.head(40 - number).assign(event=name) for number, name in enumerate(names)]])
    _, findings = prepared_table(prepare, TrackerLog(rows), "a.parquet")
    assert len(findings) == 11
    assert findings[0] == "column 'event': left out the events 'e00': 40 (no name in prepare.clicks.events)"
    rest = "left out the events with 20 other names: 410, such as 'e10' (no names in prepare.clicks.events)"
    assert findings[-1] == f"column 'event': {rest}"


def test_an_event_that_the_log_never_has_can_be_declared_so(prepare: PrepareTable) -> None:
    rows = LOG.assign(event=LOG.event.replace("add", "cart_opened"))
    table, _ = prepared_table(prepare, TrackerLog(rows, {"prepare.clicks.events.add": []}), "a.parquet")
    assert len(table) == SCORED
