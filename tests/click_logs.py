"""Random click logs, and what the project makes of a log: its events and its session table."""

import math
import random
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import pyarrow as pa
from click_oracle import COLUMNS, DEVICE, EVENTS, PAGE_TYPES, Event, Row
from helpers import ROOT
from ibis.expr.types import Table

from stages.lib.common.params import Clicks, Params, Prepare
from stages.lib.dataset.left_out import LeftOut
from stages.lib.preparation.clicks import aggregate_sessions
from stages.lib.preparation.engine import connect_duckdb
from stages.lib.preparation.event_rows import Removed, complete_sessions
from stages.lib.preparation.events import normalize_events
from stages.lib.preparation.features import order, session_features
from stages.lib.preparation.visitors import assign_visitors

Log: TypeAlias = list[Event] | pa.Table

OWN_NAMES: dict[str, str | None] = {name: name for name in COLUMNS}
KEYS = ["visitor", "session", "time"]
TEXTS = ["visitor", "session", "event", "page", "page_type", "browser", "operating_system"]
TYPES = {"time": pa.timestamp("us"), "price": pa.float64()} | dict.fromkeys(TEXTS, pa.string())
SCHEMA = pa.schema([(name, TYPES.get(name, pa.int64())) for name in COLUMNS])


def click_settings(
    at_view: int | list[int] = 3,
    columns: dict[str, str | None] = OWN_NAMES,
    events: dict[str, list[str]] | None = None,
    page_types: dict[str, list[str]] | None = None,
    **changes: Any,
) -> Clicks:
    """Settings for a random log, unless other names are passed: visitors share session ids, and rows may be equal."""
    settings: dict[str, Any] = {
        "days": None,
        "sample_weight": "session",
        "session_ids": "per_visitor",
        "session_gap": 30,
        "missing_session": "error",
        "duplicates": "keep",
        "max_events_per_session": None,
    }
    return Clicks(
        score_at_views=[at_view] if isinstance(at_view, int) else at_view,
        columns=columns,
        events=events or {name: [name] for name in EVENTS},
        page_types=page_types or {name: [name] for name in PAGE_TYPES},
        **settings | changes,
    )


def prepare_settings(clicks: Clicks) -> Prepare:
    """The committed settings of prepare, with these of the log."""
    return Params.load(ROOT / "params.yaml").prepare.model_copy(update={"clicks": clicks})


def as_table(log: Log) -> pa.Table:
    return log if isinstance(log, pa.Table) else pa.Table.from_pylist(log, SCHEMA)


def with_column(log: list[Event], name: str, values: list[Any]) -> pa.Table:
    """The log with other values, of any type, in one column."""
    table = as_table(log)
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def events_of(log: Log) -> list[Row]:
    """The normalized events."""
    table = connect_duckdb().create_table("log", as_table(log))
    events = normalize_events(table, prepare_settings(click_settings()), LeftOut())
    return events.table.to_pyarrow().to_pylist()


def sessions_and_omitted(
    log: Log, settings: Clicks | None = None, sql: str = "SELECT 1", left_out: LeftOut | None = None
) -> tuple[Table, dict[str, list[str]]]:
    """The session table, not computed yet, and the features omitted by missing column; `sql` configures DuckDB."""
    left_out, removed = left_out or LeftOut(), Removed()
    settings, connection = settings or click_settings(), connect_duckdb()
    connection.raw_sql(sql).fetchall()
    normalized = normalize_events(connection.create_table("log", as_table(log)), prepare_settings(settings), left_out)
    events = complete_sessions(assign_visitors(normalized, settings, left_out)[0].cache(), settings, removed)
    removed.report(settings, left_out)
    sessions, omitted = session_features(aggregate_sessions(events, settings), settings, normalized.missing, "Kauf")
    return sessions.order_by(order(sessions)), omitted


def session_table(log: Log, settings: Clicks | None = None, sql: str = "SELECT 1") -> pa.Table:
    return sessions_and_omitted(log, settings, sql)[0].to_pyarrow()


def by_key(table: pa.Table) -> dict[tuple[str, str], Row]:
    return {(row["visitor"], row["session"]): row for row in table.to_pylist()}


def differences(table: pa.Table, expected: list[Row]) -> list[tuple[Any, ...]]:
    """Where the table differs from the expected rows: visitor, session, column, both values."""
    rows = table.to_pylist()
    assert [[row[key] for key in KEYS] for row in rows] == [[row[key] for key in KEYS] for row in expected]
    return [
        (row["visitor"], row["session"], name, row.get(name), want.get(name))
        for row, want in zip(rows, expected, strict=True)
        for name in sorted({*row, *want})
        if not is_same(row.get(name), want.get(name))
    ]


def is_same(value: Any, want: Any) -> bool:
    if isinstance(value, float) and want is not None:
        return math.isclose(value, want, rel_tol=1e-12, abs_tol=1e-12)
    return bool(value == want)


def random_log(seed: int, visitors: int = 40) -> list[Event]:
    """Sessions that overlap, touch at a second and have ties in time; visitors share the sessions' names."""
    rng = random.Random(seed)
    log = []
    for visitor in range(visitors):
        start = datetime(2019, 12, 27) + timedelta(seconds=rng.randrange(9 * 86_400))
        for session in rng.sample(range(9), rng.randint(1, 6)):
            visit = random_visit(rng, f"v{visitor}", f"s{session}", start)
            end = visit[-1]["time"]
            log += visit
            between = start + (end - start) * rng.random()
            later = end + timedelta(seconds=rng.choice([0, 1, 900, 86_400 * rng.randint(1, 5)]))
            start = rng.choice([between.replace(microsecond=0), later, later])
    return log


def random_visit(rng: random.Random, visitor: str, session: str, time: datetime) -> list[Event]:
    """One session that starts at `time`."""
    device: Event = {name: rng.randint(1, 3) for name in DEVICE.values()}
    device |= {name: rng.choice(["a", "b", None]) for name in ("browser", "operating_system")}
    keys = {"visitor": visitor, "session": session}
    steps = [0] if rng.random() < 0.1 else [0, 0, 0, 0.5, 1, 7, 90, 90, 600]
    visit: list[Event] = []
    page_type = None
    for _ in range(rng.randint(1, 22)):
        event = random_event(rng, rng.choices([*EVENTS, "hover"], [9, 3, 3, 3, 3, 1, 0.6, 1])[0])
        if event["event"] != "view" and rng.random() < 0.6:
            event["page_type"] = page_type
        page_type = event["page_type"]
        visit.append(keys | device | event | {"time": time})
        time += timedelta(seconds=rng.choice(steps) if rng.random() < 0.97 else rng.randrange(2 * 86_400))
    return visit


def random_event(rng: random.Random, name: str) -> Event:
    """An event of this name, without keys, time and most of the device."""
    is_basket = name in ("add", "remove", "purchase")
    return {
        "event": name,
        "page": rng.choice(["/a", "/b", "/c", "/d", "/e", None]),
        "page_type": rng.choice([*PAGE_TYPES, "product", "cart", "help", None]),
        "price": round(rng.uniform(0.01, 99), 2) if is_basket and rng.random() < 0.9 else None,
        "quantity": rng.randint(1, 4) if is_basket and rng.random() < 0.8 else None,
        "checkout_step": rng.randint(1, 4) if rng.random() < 0.1 else None,
        "window_width": rng.choice([800, 1200]),
        "tab_visible": rng.choice([0, 1, None]),
    }
