"""A simulated online shop: the click log that a shop would keep, with an exact number of purchases.

Sessions (see visits) have a latent intent. It affects how a session begins (bounce, pages, dwell times, carts) and
shifts the odds of a purchase; buyers then go through cart and checkout, later than the third page view. Most carts are
abandoned, and a few loyal visitors re-order before the third view.

A session is scored if it has a third page view and no purchase before it. The number of scored sessions is exact
because the log ends with the last one needed, and the number of buyers because they are the k sessions with the highest
log odds plus Gumbel noise (the Gumbel-top-k trick).

The log is the same to the bit on every machine (see distributions), because times and prices are rounded so coarsely
that a difference in the last bit of an exponential is lost. A large log is simulated block by block, each with its own
visitors, so that memory does not grow with it.
"""

import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.common.params import Simulate
from stages.lib.simulation.catalog import (
    BROWSERS,
    EVENTS,
    MISSION_LENGTH,
    ORDER_PAGES,
    PAGE_TYPES,
    PAGES,
    PRICE,
    SYSTEMS,
)
from stages.lib.simulation.distributions import exponential, geometric, new_generator
from stages.lib.simulation.events import simulate_events
from stages.lib.simulation.page_views import simulate_views
from stages.lib.simulation.visits import REORDER, SCORED_VIEW, Columns, simulate_visits

BLOCK_SESSIONS = 100_000  # scored sessions in a block, at most
INTENT_LOG_ODDS = 2.0  # of a purchase, per unit of intent, at signal 1
MAX_ORDER_START = 30  # leaves room for the order within MAX_VIEWS
MAX_VIEWS_AFTER_ORDER = 3


def simulate_blocks(settings: Simulate, seed: int, block_sessions: int) -> Iterator[pa.Table]:
    """Simulate the click log block by block; a log of one block is that of `simulate_log`.

    Args:
        settings: of which sessions and purchases are exact over all blocks together.
        seed: of all random numbers.
        block_sessions: scored sessions in a block, at most.

    Yields:
        The log of each block, with its own visitors and sessions, numbered consecutively over the blocks.
    """
    n_blocks = math.ceil(settings.sessions / block_sessions)
    sessions = [settings.sessions * number // n_blocks for number in range(n_blocks + 1)]
    purchases = [settings.purchases * count // settings.sessions for count in sessions]
    last_visitor = last_session = 0
    for number in range(n_blocks):
        share = {
            "sessions": sessions[number + 1] - sessions[number],
            "purchases": purchases[number + 1] - purchases[number],
        }
        log = simulate_log(settings.model_copy(update=share), [seed, number] if n_blocks > 1 else seed)
        log = _add_to_column(log, "visitor", last_visitor)
        log = _add_to_column(log, "session", last_session)
        last_visitor, last_session = pc.max(log["visitor"]).as_py(), pc.max(log["session"]).as_py()
        yield log


def _add_to_column(table: pa.Table, name: str, offset: int) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pc.add(table[name], offset))


def simulate_log(settings: Simulate, seed: int | list[int]) -> pa.Table:
    """Simulate the whole click log: one row per event, ordered by time, visitor and session."""
    rng = new_generator(seed)
    sessions = _end_after(settings.sessions, simulate_visits(rng, settings))
    sessions |= _choose_buyers(rng, sessions, settings)
    views = simulate_views(rng, sessions)
    return _to_table(sessions, views, simulate_events(rng, sessions, views), settings)


def _end_after(n_scored: int, sessions: Columns) -> Columns:
    """The sessions in order of time, up to the last of `n_scored` scored ones."""
    order = np.lexsort((sessions["visitor"], sessions["start"]))
    scored = (sessions["length"] >= SCORED_VIEW) & (sessions["order_start"] != REORDER)
    cumulative = np.cumsum(scored[order])
    if cumulative[-1] < n_scored:
        raise RuntimeError(f"only {cumulative[-1]} of {n_scored} scored sessions were simulated")
    order = order[: np.searchsorted(cumulative, n_scored) + 1]
    return {name: column[order] for name, column in sessions.items()} | {"scored": scored[order]}


def _choose_buyers(rng: np.random.Generator, sessions: Columns, settings: Simulate) -> Columns:
    """When the order of each session begins, and how long the session is with it.

    Buyers are the scored sessions with the highest log odds plus Gumbel noise; they order after the scored view.
    """
    scored = np.flatnonzero(sessions["scored"])
    gumbel = -np.log(exponential(rng, np.ones(len(scored))) + 1e-12)
    log_odds = settings.signal * INTENT_LOG_ODDS * sessions["intent"][scored] + gumbel
    buyers = scored[np.argsort(-log_odds, kind="stable")[: settings.purchases]]
    views_before = geometric(rng, 0.6 * MISSION_LENGTH[sessions["mission"][buyers]])
    order_start = np.minimum(SCORED_VIEW + views_before, MAX_ORDER_START)
    views_after = np.minimum(geometric(rng, np.full(len(buyers), 0.8)), MAX_VIEWS_AFTER_ORDER)
    columns = {name: sessions[name].copy() for name in ("order_start", "length")}
    columns["order_start"][buyers] = order_start
    columns["length"][buyers] = order_start + len(ORDER_PAGES) + views_after
    return columns


def _to_table(sessions: Columns, views: Columns, events: Columns, settings: Simulate) -> pa.Table:
    """The events as a table, in order."""
    time, idx = _order_events(sessions, views, events)
    view = events["view"][idx]
    session, product, quantity = views["session"][view], events["product"][idx], events["quantity"][idx]

    def dictionary(codes: np.ndarray, values: list[str] | tuple[str, ...]) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(values, pa.string()))

    return pa.table(
        {
            "time": pa.array(np.datetime64(settings.start, "ms") + time.astype("timedelta64[ms]")),
            "visitor": sessions["visitor"][session] + 1,
            "session": session + 1,
            "event": dictionary(events["event"][idx], EVENTS),
            "page_type": dictionary(views["page_type"][view], PAGE_TYPES),
            "page": dictionary(views["page"][view], PAGES),
            "price": pa.array(PRICE[product], mask=product < 0),
            "quantity": pa.array(quantity, mask=quantity < 0),
            "checkout_step": views["checkout_step"][view],
            "browser": dictionary(sessions["browser"][session], BROWSERS),
            "browser_version": sessions["browser_version"][session],
            "operating_system": dictionary(sessions["operating_system"][session], SYSTEMS),
            "operating_system_version": sessions["operating_system_version"][session],
            "major_city": sessions["major_city"][session],
            "screen_width": sessions["screen_width"][session],
            "screen_height": sessions["screen_height"][session],
            "window_width": sessions["window_width"][session],
            "window_height": sessions["window_height"][session],
            "tab_visible": events["visible"][idx].astype(np.int64),
        }
    )


def _order_events(sessions: Columns, views: Columns, events: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Time (ms since the start) and index of the events, ordered by time, visitor and session.

    Times that are equal within a session are moved 1 ms apart, so that the order is total.
    """
    time = views["time"][events["view"]] + (events["moment"] * views["dwell"][events["view"]]).astype(np.int64)
    by_session = np.lexsort((events["product"], events["event"], time, events["view"]))
    time, session = time[by_session], views["session"][events["view"][by_session]]
    # A time must exceed the one before by at least 1. Less its index it must not fall, which is a cumulative maximum;
    # an offset that is larger than any time makes it start anew with each session.
    offset = session * (1 << 40) - np.arange(len(time))
    time = np.maximum.accumulate(time + offset) - offset
    by_time = np.lexsort((session, sessions["visitor"][session], time))
    return time[by_time], by_session[by_time]
