"""The session table of random click logs equals one worked out event by event, and uses nothing that comes later."""

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click_logs import (
    KEYS,
    by_key,
    click_settings,
    differences,
    random_event,
    random_log,
    random_visit,
    session_table,
)
from click_oracle import COLUMNS, EVENTS, Event, Row, Visits, earlier_visits, scored_position, session_rows, visits_of

VIEWS = [1, 3, 5]


@pytest.fixture(scope="module")
def log() -> list[Event]:
    return [event | {"time": event["time"].replace(microsecond=0)} for event in random_log(4)]


@pytest.fixture(scope="module")
def table(log: list[Event]) -> pa.Table:
    return session_table(log)


# Every feature ----------------------------------------------------


# Several views at once, as below, have the others.
@pytest.mark.parametrize(("seed", "at_view"), [(1, 1), (1, 2), (2, 3), (2, 5)])
def test_every_feature_of_every_session_is_as_worked_out_event_by_event(seed: int, at_view: int) -> None:
    log = random_log(seed)
    assert differences(session_table(log, click_settings(at_view)), session_rows(log, at_view)) == []


def test_the_random_logs_vary_every_feature() -> None:
    rows = [row for seed in (1, 2) for row in session_rows(random_log(seed), 3)]
    assert [name for name in rows[0] if len({row[name] for row in rows}) < 2] == []


def test_a_visit_that_ends_in_the_second_in_which_another_starts_has_not_ended_yet() -> None:
    times = [("first", 0), ("first", 10), ("touching", 10), ("after", 11)]
    view: Event = dict.fromkeys(COLUMNS) | {"visitor": "v", "event": "view"}
    log = [view | {"session": name, "time": datetime(2020, 1, 1, 12, 0, second)} for name, second in times]
    rows = by_key(session_table(log, click_settings(at_view=1)))
    known = {session: row["visitorKnown"] for (_, session), row in rows.items()}
    assert known == {"first": 0, "touching": 0, "after": 1}


# Several page views -----------------------------------------------


def at_view(table: pa.Table, view: int) -> pa.Table:
    """The rows that are scored at this view."""
    return table.filter(pc.field("view") == view)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.slow
def test_each_of_several_views_has_the_rows_that_it_has_alone_and_a_session_s_rows_share_its_weight(seed: int) -> None:
    log = random_log(seed)
    expected = {view: session_rows(log, view) for view in VIEWS}
    n_rows = Counter((row["visitor"], row["session"]) for rows in expected.values() for row in rows)
    table = session_table(log, click_settings(VIEWS))
    assert len(table) == n_rows.total() and {*n_rows.values()} == {1, 2, 3}
    for view, rows in expected.items():
        added = {"view": view, "viewNumber": view}
        rows = [row | added | {"weight": 1 / n_rows[row["visitor"], row["session"]]} for row in rows]
        assert differences(at_view(table, view), rows) == []


def test_a_table_of_several_views_is_ordered_by_session_and_view() -> None:
    keys = session_table(random_log(1), click_settings(VIEWS)).select([*KEYS, "view"]).to_pylist()
    assert keys == sorted(keys, key=lambda row: (row["time"], row["visitor"], row["session"], row["view"]))


@pytest.mark.slow
def test_rows_have_no_weight_where_each_counts_alike_and_one_view_needs_no_number(log: list[Event]) -> None:
    table = session_table(log, click_settings(VIEWS, sample_weight="row"))
    assert "weight" not in table.column_names and {"view", "viewNumber"} <= {*table.column_names}
    for sample_weight in ("session", "row"):
        single = session_table(log, click_settings([3], sample_weight=sample_weight))
        assert not {"view", "viewNumber", "weight"} & {*single.column_names}
        assert single.equals(session_table(log, click_settings(3)))


# No leakage -------------------------------------------------------


def one_scored_session_per_visitor(rng: random.Random, visits: Visits, view: int = 3) -> list[tuple[str, str]]:
    scored = [key for key, visit in visits.items() if scored_position(visit, view) is not None]
    rng.shuffle(scored)
    return sorted({key[0]: key for key in scored}.values())


def as_log(visits: Visits) -> list[Event]:
    return [event for visit in visits.values() for event in visit]


def random_changes(rng: random.Random, scored_view: Event, rest: list[Event]) -> list[Event]:
    """Some events dropped, the others changed and delayed, and more that come after the scored view."""
    kept = [event for event in rest if rng.random() < 0.7] + [scored_view] * rng.randint(0, 4)
    events = [event | random_event(rng, rng.choice(EVENTS)) for event in kept]
    return [event | {"time": event["time"] + timedelta(seconds=rng.randint(1, 9999))} for event in events]


def no_purchase(rng: random.Random, scored_view: Event, rest: list[Event]) -> list[Event]:
    return [event for event in rest if event["event"] != "purchase"]


def only_a_purchase(rng: random.Random, scored_view: Event, rest: list[Event]) -> list[Event]:
    return [scored_view | {"event": "purchase"}]


def features(row: Row) -> Row:
    """The row without its target, and without its weight, which training uses only: how often it is scored later."""
    return {name: value for name, value in row.items() if name not in ("Kauf", "weight")}


@pytest.mark.parametrize(
    ("views", "view", "seed"), [([3], 3, 1), ([3], 3, 2), (VIEWS, 1, 1), (VIEWS, 3, 2), (VIEWS, 5, 3)]
)
@pytest.mark.slow
def test_events_after_the_scored_view_change_only_the_target(
    log: list[Event], views: list[int], view: int, seed: int
) -> None:
    def rows_at_view(log: list[Event]) -> dict[tuple[str, str], Row]:
        table = session_table(log, click_settings(views))
        return by_key(at_view(table, view) if len(views) > 1 else table)

    rng, visits, before = random.Random(seed), visits_of(log), rows_at_view(log)
    keys = one_scored_session_per_visitor(rng, visits, view)
    targets: list[set[Any]] = []
    for new_rest in (no_purchase, only_a_purchase, random_changes):
        changed = dict(visits)
        for key in keys:
            position = scored_position(visits[key], view)
            assert position is not None
            rest = new_rest(rng, visits[key][position], visits[key][position + 1 :])
            changed[key] = visits[key][: position + 1] + rest
        after = rows_at_view(as_log(changed))
        targets.append({after[key]["Kauf"] for key in keys})
        assert [features(after[key]) for key in keys] == [features(before[key]) for key in keys]
    assert targets == [{0}, {1}, {0, 1}]


@pytest.mark.parametrize("change", ["other events", "dropped"])
def test_visits_that_have_not_ended_change_nothing(log: list[Event], table: pa.Table, change: str) -> None:
    rng, visits, before = random.Random(3), visits_of(log), by_key(table)
    keys = one_scored_session_per_visitor(rng, visits)
    changed = dict(visits)
    for key in keys:
        ended = [visit[0]["session"] for visit in earlier_visits(visits, key)]
        for other in [other for other in visits if other[0] == key[0] and other[1] not in (key[1], *ended)]:
            events = [event | random_event(rng, rng.choice(EVENTS)) for event in visits[other]]
            changed[other] = events if change == "other events" else []
    after = by_key(session_table(as_log(changed)))
    assert sum(changed[key] != visits[key] for key in visits) > 20
    assert [after[key] for key in keys] == [before[key] for key in keys]


def test_later_visits_change_no_earlier_row(log: list[Event], table: pa.Table) -> None:
    rng, day_after = random.Random(4), max(event["time"] for event in log) + timedelta(days=1)
    later = [random_visit(rng, f"v{visitor}", "later", day_after) for visitor in range(40)]
    before, after = by_key(table), by_key(session_table(log + [event for visit in later for event in visit]))
    assert len(after) > len(before)
    assert {key: after[key] for key in before} == before


# Always the same table --------------------------------------------


def test_the_order_of_the_log_changes_nothing(log: list[Event], table: pa.Table) -> None:
    assert session_table(random.Random(5).sample(log, len(log))).equals(table)


@pytest.mark.slow
def test_views_that_differ_only_in_the_window_have_an_order_too() -> None:
    view: Event = dict.fromkeys(COLUMNS) | {"session": "s", "time": datetime(2020, 1, 1), "event": "view"}
    log = [view | {"visitor": f"v{number // 2}", "window_width": number % 2} for number in range(20)]
    settings = click_settings(at_view=1)
    assert session_table(log, settings).equals(session_table(log[::-1], settings))


@pytest.mark.parametrize("threads", [1, 4])
def test_the_number_of_threads_changes_nothing(log: list[Event], table: pa.Table, threads: int) -> None:
    # verify_parallelism distributes even a small table over the threads.
    assert session_table(log, sql=f"PRAGMA verify_parallelism; SET threads = {threads}").equals(table)
