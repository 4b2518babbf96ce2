"""The session table of random click logs equals one worked out event by event, and knows nothing of later."""

import csv
import math
import random
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from click_oracle import (
    COLUMNS,
    DEVICE,
    KINDS,
    NEEDED,
    ROLES,
    earlier_visits,
    random_event,
    random_log,
    random_visit,
    scored_place,
    session_rows,
    visits_of,
)

from stages.lib.common.errors import InputError
from stages.lib.common.params import Clicks, Csv, Keys, Prepare
from stages.lib.preparation.clicks import aggregate_sessions, normalize_events
from stages.lib.preparation.engine import LOCAL, connect_duckdb, open_engine
from stages.lib.preparation.features import ORDER, session_features
from stages.prepare import from_clicks

REFERENCE = Path(__file__).parents[2] / "shared/reference/session_columns.csv"
KEYS = ["visitor", "session", "time"]
OWN_NAMES = {name: name for name in COLUMNS}
TEXTS = {"visitor", "session", "event", "page", "page_type", "browser", "operating_system"}
TYPES = {"time": pa.timestamp("us"), "price": pa.float64()} | dict.fromkeys(TEXTS, pa.string())
SCHEMA = pa.schema([(name, TYPES.get(name, pa.int64())) for name in COLUMNS])

OF_PAGE = """
    pageVisitedBeforeSession countPagesRevisited exitEqualLanding countPagesRevisitedLastSession
    currentPageVisitedLastTime
"""
OF_PAGE_TYPE = """
    category timeSpentOnCart timeSpentOnProduct tabSwitchProduct tabSwitchSearch tabSwitchOverview
    tabswitchSale tabswitchCart
"""
OF_EACH = "session{} percPage{} clickEvent{} scrollEvent{} page{}LV tot{} totPercPage{} page{}rVisit"
LEFT_OUT = {
    "page": {*OF_PAGE.split()},
    "page_type": {*OF_PAGE_TYPE.split()}
    | {name.format(role.capitalize()) for role in ROLES for name in OF_EACH.split()},
    "price": {"amountBasketSession", "totPurchasesAmount"},
    "quantity": set(),
    "checkout_step": {"checkoutStep"},
    **{column: {name} for name, column in DEVICE.items()},
}


def settings(page_view=3, columns=OWN_NAMES, events=None, page_types=None):
    events = events or {kind: [kind] for kind in KINDS}
    page_types = page_types or {role: [role] for role in ROLES}
    return Clicks(page_view=page_view, columns=columns, events=events, page_types=page_types)


def lazily(log, clicks=None, sql="SELECT 1"):
    """The session table, not yet worked out, and the features left out by missing column."""
    clicks, connection = clicks or settings(), connect_duckdb()
    connection.raw_sql(sql).fetchall()
    events, missing = normalize_events(connection.create_table("log", rows_of(log)), clicks)
    sessions, left_out = session_features(aggregate_sessions(events, clicks), missing, "Kauf")
    return sessions.order_by(ORDER), left_out


def rows_of(log):
    return log if isinstance(log, pa.Table) else pa.Table.from_pylist(log, SCHEMA)


def table_of(log, clicks=None, sql="SELECT 1"):
    return lazily(log, clicks, sql)[0].to_pyarrow()


def by_key(table):
    return {(row["visitor"], row["session"]): row for row in table.to_pylist()}


def differences(table, expected):
    rows = table.to_pylist()
    assert [[row[key] for key in KEYS] for row in rows] == [[row[key] for key in KEYS] for row in expected]
    return [
        (row["visitor"], row["session"], name, row.get(name), want.get(name))
        for row, want in zip(rows, expected, strict=True)
        for name in sorted({*row, *want})
        if not same(row.get(name), want.get(name))
    ]


def same(value, want):
    if isinstance(value, float) and want is not None:
        return math.isclose(value, want, rel_tol=1e-12, abs_tol=1e-12)
    return value == want


@pytest.fixture(scope="module")
def log():
    return [event | {"time": event["time"].replace(microsecond=0)} for event in random_log(4)]


@pytest.fixture(scope="module")
def table(log):
    return table_of(log)


# Every feature ----------------------------------------------------


@pytest.mark.parametrize("page_view", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_feature_of_every_session_is_as_worked_out_by_hand(seed, page_view) -> None:
    log = random_log(seed)
    assert differences(table_of(log, settings(page_view)), session_rows(log, page_view)) == []


def test_the_random_logs_vary_every_feature() -> None:
    rows = [row for seed in (1, 2) for row in session_rows(random_log(seed), 3)]
    assert [name for name in rows[0] if len({row[name] for row in rows}) < 2] == []


def test_a_visit_that_ends_at_the_second_another_starts_is_not_yet_over() -> None:
    times = [("first", 0), ("first", 10), ("touching", 10), ("after", 11)]
    view = dict.fromkeys(COLUMNS) | {"visitor": "v", "event": "view"}
    log = [view | {"session": name, "time": datetime(2020, 1, 1, 12, 0, second)} for name, second in times]
    rows = by_key(table_of(log, settings(1)))
    known = {session: row["visitorKnown"] for (_, session), row in rows.items()}
    assert known == {"first": 0, "touching": 0, "after": 1}


# No leaks ---------------------------------------------------------


def one_scored_session_a_visitor(rng, visits):
    scored = [key for key, visit in visits.items() if scored_place(visit, 3) is not None]
    rng.shuffle(scored)
    return sorted({key[0]: key for key in scored}.values())


def events_of(visits):
    return [event for visit in visits.values() for event in visit]


def anything(rng, now, rest):
    """Some events dropped, the others changed and put off, and more that come after `now`."""
    kept = [event for event in rest if rng.random() < 0.7] + [now] * rng.randint(0, 4)
    events = [event | random_event(rng, rng.choice(KINDS)) for event in kept]
    return [event | {"time": event["time"] + timedelta(seconds=rng.randint(1, 9999))} for event in events]


def no_purchase(rng, now, rest):
    return [event for event in rest if event["event"] != "purchase"]


def only_a_purchase(rng, now, rest):
    return [now | {"event": "purchase"}]


@pytest.mark.parametrize("seed", [1, 2])
def test_events_after_the_scored_view_change_nothing_but_the_target(log, table, seed) -> None:
    rng, visits, before = random.Random(seed), visits_of(log), by_key(table)
    keys = one_scored_session_a_visitor(rng, visits)
    targets = []
    for new_end in (no_purchase, only_a_purchase, anything):
        changed = dict(visits)
        for key in keys:
            place = scored_place(visits[key], 3)
            rest = new_end(rng, visits[key][place], visits[key][place + 1 :])
            changed[key] = visits[key][: place + 1] + rest
        after = by_key(table_of(events_of(changed)))
        targets.append({after[key].pop("Kauf") for key in keys})
        assert [after[key] for key in keys] == [without_target(before[key]) for key in keys]
    assert targets == [{0}, {1}, {0, 1}]


def without_target(row):
    return {name: value for name, value in row.items() if name != "Kauf"}


@pytest.mark.parametrize("change", ["other events", "dropped"])
def test_visits_that_had_not_ended_change_nothing(log, table, change) -> None:
    rng, visits, before = random.Random(3), visits_of(log), by_key(table)
    keys = one_scored_session_a_visitor(rng, visits)
    changed = dict(visits)
    for key in keys:
        ended = [visit[0]["session"] for visit in earlier_visits(visits, key)]
        for other in [other for other in visits if other[0] == key[0] and other[1] not in (key[1], *ended)]:
            events = [event | random_event(rng, rng.choice(KINDS)) for event in visits[other]]
            changed[other] = events if change == "other events" else []
    after = by_key(table_of(events_of(changed)))
    assert sum(changed[key] != visits[key] for key in visits) > 20
    assert [after[key] for key in keys] == [before[key] for key in keys]


def test_later_visits_change_no_earlier_row(log, table) -> None:
    rng, day_after = random.Random(4), max(event["time"] for event in log) + timedelta(days=1)
    later = {name: random_visit(rng, f"v{name}", "later", day_after) for name in range(40)}
    before, after = by_key(table), by_key(table_of(log + events_of(later)))
    assert len(after) > len(before)
    assert {key: after[key] for key in before} == before


# Always the same table --------------------------------------------


def test_the_order_of_the_log_changes_nothing(log, table) -> None:
    assert table_of(random.Random(5).sample(log, len(log))).equals(table)


def test_views_that_differ_in_the_window_only_have_an_order_too() -> None:
    view = dict.fromkeys(COLUMNS) | {"session": "s", "time": datetime(2020, 1, 1), "event": "view"}
    log = [view | {"visitor": f"v{place // 2}", "window_width": place % 2} for place in range(20)]
    assert table_of(log, settings(1)).equals(table_of(log[::-1], settings(1)))


@pytest.mark.parametrize("threads", [1, 4])
def test_the_number_of_threads_changes_nothing(log, table, threads) -> None:
    # verify_parallelism cuts up even a small table among the threads.
    assert table_of(log, sql=f"PRAGMA verify_parallelism; SET threads = {threads}").equals(table)


# Other shops' logs ------------------------------------------------


def test_other_names_of_columns_and_events_give_the_same_table(log, table) -> None:
    columns = {name: f"their {name}" for name in COLUMNS}
    events = {kind: [f"{kind} 1", f"{kind} 2"] for kind in KINDS}
    theirs = [event | {"event": f"{event['event']} {place % 2 + 1}"} for place, event in enumerate(log)]
    theirs = rows_of(theirs).rename_columns(list(columns.values()))
    assert table_of(theirs, settings(columns=columns, events=events)).equals(table)


def test_other_names_of_page_types_change_the_category_only(log, table) -> None:
    theirs = [event | {"page_type": event["page_type"] and f"{event['page_type']} page"} for event in log]
    renamed = table_of(theirs, settings(page_types={role: [f"{role} page"] for role in ROLES}))
    assert renamed.drop(["category"]).equals(table.drop(["category"]))


@pytest.mark.parametrize("column", LEFT_OUT)
def test_a_missing_column_leaves_out_the_features_that_need_it_and_is_named(log, table, column) -> None:
    sessions, left_out = lazily(rows_of(log).drop([column]))
    assert {*table.column_names} - {*sessions.columns} == LEFT_OUT[column]
    named = {name: {*lost} for name, lost in left_out.items()}
    assert named == ({column: LEFT_OUT[column]} if LEFT_OUT[column] else {})


def test_a_column_that_params_map_to_nothing_is_a_missing_one(log) -> None:
    _, left_out = lazily(log, settings(columns=OWN_NAMES | {"price": None}))
    assert left_out == {"price": ["amountBasketSession", "totPurchasesAmount"]}


def test_without_any_optional_column_the_other_features_are_still_right(log) -> None:
    bare = [{name: event[name] for name in NEEDED} for event in log]
    lost = set.union(*LEFT_OUT.values())
    expected = session_rows([dict.fromkeys(COLUMNS) | event for event in bare], 3)
    kept = [{name: value for name, value in row.items() if name not in lost} for row in expected]
    assert differences(table_of(pa.Table.from_pylist(bare)), kept) == []


@pytest.mark.parametrize("column", NEEDED)
def test_a_missing_needed_column_is_an_error_that_names_it(log, column) -> None:
    with pytest.raises(InputError, match=rf"no column '{column}' for prepare\.clicks\.columns\.{column};"):
        lazily(rows_of(log).drop([column]))
    with pytest.raises(InputError, match=rf"no column 'gone' for prepare\.clicks\.columns\.{column};"):
        lazily(log, settings(columns=OWN_NAMES | {column: "gone"}))


def test_an_unknown_column_in_params_is_an_error_that_names_it(log) -> None:
    with pytest.raises(InputError, match=r"prepare\.clicks\.columns\.colour: unknown"):
        lazily(log, settings(columns=OWN_NAMES | {"colour": "page"}))


@pytest.mark.parametrize("column", ["visitor", "session"])
def test_a_row_without_a_visitor_or_session_is_an_error_that_names_the_column(log, column) -> None:
    with pytest.raises(InputError, match=f"'{column}': 1 rows without a {column}"):
        lazily([log[0] | {column: None}, *log[1:]])


def with_column(log, name, values):
    rows = rows_of(log)
    return rows.set_column(rows.column_names.index(name), name, pa.array(values))


@pytest.mark.parametrize("slip", ["yesterday", "20191001", "", None])
def test_an_unreadable_time_is_an_error_that_names_its_column(log, slip) -> None:
    times = [str(event["time"]) for event in log[:-1]] + [slip]
    with pytest.raises(InputError, match="'time': 1 rows without a readable time"):
        lazily(with_column(log, "time", times))


def seconds(time):
    return int(time.replace(tzinfo=UTC).timestamp())


WRITTEN = {
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


@pytest.mark.parametrize("form", WRITTEN)
def test_times_may_be_written_in_many_ways(log, form) -> None:
    times = [WRITTEN[form](event["time"]) for event in log]
    assert read(with_column(log, "time", times)) == read(log)


def read(log):
    """The events as the session table is made from them."""
    events, _ = normalize_events(connect_duckdb().create_table("log", rows_of(log)), settings())
    return events.to_pyarrow().to_pylist()


@pytest.mark.parametrize("written", [float, str])
def test_a_price_that_is_no_number_is_as_good_as_none(log, written) -> None:
    prices = [written("nan" if event["price"] is None else event["price"]) for event in log]
    assert read(with_column(log, "price", prices)) == read(log)


@pytest.mark.parametrize("flags", [{0: False, 1: True}, {0: "false", 1: "True"}], ids=["boolean", "text"])
def test_flags_may_be_true_and_false(log, flags) -> None:
    visible = [flags.get(event["tab_visible"]) for event in log]
    assert read(with_column(log, "tab_visible", visible)) == read(log)


# The whole table --------------------------------------------------


def test_the_columns_are_those_of_the_reference(table) -> None:
    if not REFERENCE.is_file():
        pytest.skip(f"{REFERENCE.name}, the reference of the columns, is not beside the project")
    with REFERENCE.open(encoding="utf-8", newline="") as file:
        reference = {row["name"]: row["dtype"] for row in csv.DictReader(file)}
    kinds = {"int64": "int64", "double": "float64", "string": "object"}
    found = {field.name: kinds.get(str(field.type)) for field in table.drop(KEYS).schema}
    assert found == reference
    # The target comes last.
    assert [*found] == [*(name for name in reference if name != "Kauf"), "Kauf"]


def prepared(log, drop):
    prepare = Prepare(
        source="",
        engine=LOCAL,
        memory_limit=None,
        kind="clicks",
        target="Kauf",
        positive=None,
        drop=drop,
        categories=[],
        numbers=[],
        dates=[],
        missing=[],
        keys=Keys(session=None, visitor=None, time=None),
        csv=Csv(delimiter="auto", encoding="utf-8", cut_off="error"),
        clicks=settings(),
    )
    with open_engine(Path("prepared.parquet")) as work:
        return from_clicks(work.local.create_table("log", rows_of(log).drop(["price"])), prepare, work)


def test_prepare_names_what_it_leaves_out(project, log) -> None:
    found = prepared([event | {"screen_width": 1} for event in log], drop=["hurry"])
    assert found.notes[0] == "no column for price: left out amountBasketSession, totPurchasesAmount"
    assert found.notes[1].startswith("the same in every session: left out ") and "screenWidth" in found.notes[1]
    assert found.roles == {"session": "key", "visitor": "visitor", "time": "time", "Kauf": "target"}
    assert not {"hurry", "screenWidth", "amountBasketSession"} & {*found.table.columns}
    assert [*found.kinds] == [name for name in found.table.columns if name not in found.roles]


def test_a_feature_to_drop_that_is_none_is_an_error_that_names_it(project, log) -> None:
    with pytest.raises(InputError, match=r"no feature 'hury' \(prepare\.drop\)"):
        prepared(log, drop=["hury"])
