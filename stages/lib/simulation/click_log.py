"""A simulated online shop: the click log a shop would keep, with the number of purchases set beforehand.

Sessions (see shop_visits) have a latent intent. It shapes how a session begins (bounce, pages, dwell,
baskets) and shifts the odds of a purchase; buyers then walk through cart and checkout, later than the third
page view. Most baskets are abandoned, and a few loyal visitors re-order before the third view.

A session is scored when it has a third page view and no purchase before it. The number of scored sessions is
exact because the log ends with the last one wanted, the number of buyers because they are the top k of a
Gumbel draw.

The log is the same to the bit on every machine (see draws): times and prices are rounded so far that the last
bit of an exponential does not show. A large one is made block by block, each with visitors of its own, so that
memory does not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.common.params import Simulate
from stages.lib.simulation import distributions as draws
from stages.lib.simulation.catalog import (
    ADD,
    BROWSERS,
    CART,
    CATEGORIES,
    CHECKOUT,
    CLICK,
    DESKTOP,
    DWELL,
    EVENTS,
    INTENT_PAGE,
    MISSION_ADD,
    MISSION_HURRY,
    MISSION_LENGTH,
    MISSION_PAGE,
    MISSION_SHORTLIST,
    MISSION_TAB,
    OVERVIEW,
    PAGE_COUNT,
    PAGE_OFFSET,
    PAGE_TYPES,
    PAGES,
    PRICE,
    PRODUCT,
    PURCHASE,
    RANKS,
    REMOVE,
    SALE,
    SALE_EVERY,
    SCROLL,
    SEARCH,
    START,
    SYSTEMS,
    TAB,
    TRANSITION,
    VIEW,
)
from stages.lib.simulation.visits import EXPRESS, MAX_VIEWS, NEVER, SCORED_AT, Columns, sessions_of

BLOCK = 100_000  # scored sessions made at a time, at most
SHORTLIST = 4  # products a visitor keeps returning to
BUYER_SCALE = 2.0  # log odds of a purchase per unit of intent, at signal 1
LATEST_BASKET = 30  # leaves room for the order within MAX_VIEWS
LISTS = (SEARCH, OVERVIEW, PRODUCT, SALE)  # pages that lead to products
ORDER = np.array([PRODUCT, CART] + [CHECKOUT] * 4)  # pages seen from basket_at on


def blocks(settings: Simulate, seed: int, size: int) -> Iterator[pa.Table]:
    """The click log in tables of up to `size` scored sessions; visitors and sessions are numbered on and on.

    The counts of sessions and purchases are exact over all of them. A log of one block is that of `simulate`.
    """
    count = -(-settings.sessions // size)
    bounds = [settings.sessions * number // count for number in range(count + 1)]
    bought = [settings.purchases * bound // settings.sessions for bound in bounds]
    visitors = sessions = 0
    for number in range(count):
        share = {
            "sessions": bounds[number + 1] - bounds[number],
            "purchases": bought[number + 1] - bought[number],
        }
        log = simulate(settings.model_copy(update=share), [seed, number] if count > 1 else seed)
        last = [pc.max(log[name]).as_py() for name in ("visitor", "session")]
        yield _shifted(log, visitor=visitors, session=sessions)
        visitors, sessions = visitors + last[0], sessions + last[1]


def _shifted(log: pa.Table, **offsets: int) -> pa.Table:
    for name, offset in offsets.items():
        log = log.set_column(log.column_names.index(name), name, pc.add(log[name], offset))
    return log


def simulate(settings: Simulate, seed: int | list[int]) -> pa.Table:
    """The click log in one: a row an event, ordered by time, visitor and session."""
    rng = draws.generator(seed)
    sessions = _cut(sessions_of(rng, settings), settings.sessions)
    sessions |= _buyers(rng, sessions, settings)
    views = _views(rng, sessions)
    views |= _pages(rng, sessions, views)
    views |= _timing(rng, sessions, views)
    blocks = [_view_rows(views), *_interactions(rng, sessions, views), *_baskets(rng, sessions, views)]
    events = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    return _log(sessions, views, events, settings)


def _cut(sessions: Columns, wanted: int) -> Columns:
    """End the log with the last scored session wanted."""
    order = np.lexsort((sessions["visitor"], sessions["start"]))
    scored = (sessions["length"] >= SCORED_AT) & (sessions["basket_at"] != EXPRESS)
    running = np.cumsum(scored[order])
    if running[-1] < wanted:
        raise RuntimeError(f"only {running[-1]} of {wanted} scored sessions came about")
    order = order[: np.searchsorted(running, wanted) + 1]
    return {name: column[order] for name, column in sessions.items()} | {"scored": scored[order]}


def _buyers(rng: np.random.Generator, sessions: Columns, settings: Simulate) -> Columns:
    """The buyers: the first k by log odds plus Gumbel noise. Their order begins after the scored view."""
    scored = np.flatnonzero(sessions["scored"])
    gumbel = -np.log(draws.exponential(rng, np.ones(len(scored))) + 1e-12)
    odds = settings.signal * BUYER_SCALE * sessions["intent"][scored] + gumbel
    buyers = scored[np.argsort(-odds, kind="stable")[: settings.purchases]]
    before = draws.count(rng, 0.6 * MISSION_LENGTH[sessions["mission"][buyers]])
    basket_at = np.minimum(SCORED_AT + before, LATEST_BASKET)
    after = np.minimum(draws.count(rng, np.full(len(buyers), 0.8)), 3)
    columns = {name: sessions[name].copy() for name in ("basket_at", "length")}
    columns["basket_at"][buyers] = basket_at
    columns["length"][buyers] = basket_at + len(ORDER) + after
    return columns


# Views ------------------------------------------------------------


def _views(rng: np.random.Generator, sessions: Columns) -> Columns:
    """The page types of every session, view after view: a Markov chain tilted by mission and intent."""
    length, basket_at = sessions["length"], sessions["basket_at"]
    wish = MISSION_PAGE[sessions["mission"]] * np.exp(np.outer(sessions["intent"], INTENT_PAGE))
    types = np.zeros((len(length), MAX_VIEWS), np.int64)
    previous = np.full(len(length), START)
    for position in range(MAX_VIEWS):
        here = np.flatnonzero(length > position)
        drawn = draws.pick(rng, TRANSITION[previous[here]] * wish[here])
        step = position - basket_at[here]
        ordering = (step >= 0) & (step < len(ORDER))
        types[here, position] = np.where(ordering, ORDER[np.clip(step, 0, len(ORDER) - 1)], drawn)
        previous[here] = np.where(step == len(ORDER) - 1, START, types[here, position])
    session, place = np.nonzero(np.arange(MAX_VIEWS) < length[:, None])
    return {"session": session, "position": place, "type": types[session, place]}


def _pages(rng: np.random.Generator, sessions: Columns, views: Columns) -> Columns:
    """Which page of its type a view shows, the product at hand, and the checkout step."""
    session, position, page_type = views["session"], views["position"], views["type"]
    size, index = len(session), np.arange(len(session))
    theme, need = sessions["theme"][session], sessions["need"][session]
    on_theme = np.isin(page_type, LISTS) & (rng.random(size) < 0.8)
    theme = np.where(on_theme, theme, rng.random(size))
    shortlist = draws.rank(rng.random((int(need.max()) + 1, SHORTLIST)), RANKS)
    listed = on_theme & (rng.random(size) < MISSION_SHORTLIST[sessions["mission"][session]])
    rank = np.where(
        listed, shortlist[need, (rng.random(size) * SHORTLIST).astype(int)], draws.rank(rng.random(size), RANKS)
    )
    from_sale = (position > 0) & (np.roll(page_type, 1) == SALE)
    rank = np.where(from_sale, rank - rank % SALE_EVERY + SALE_EVERY // 2, rank)
    product = rank * CATEGORIES + draws.rank(theme, CATEGORIES)

    elsewhere = np.maximum.accumulate(np.where((page_type != CHECKOUT) | (position == 0), index, 0))
    entered = page_type[elsewhere] == CHECKOUT  # the session opens in the checkout: a re-order
    checkout_step = np.where(page_type == CHECKOUT, np.minimum(index - elsewhere + 3 * entered, 4), 0)
    number = np.where(page_type == PRODUCT, product, draws.rank(theme, PAGE_COUNT[page_type]))
    page = PAGE_OFFSET[page_type] + np.where(page_type == CHECKOUT, checkout_step - 1, number)
    return {"product": product, "checkout_step": checkout_step, "page": page}


def _timing(rng: np.random.Generator, sessions: Columns, views: Columns) -> Columns:
    """Time (ms) and dwell of every view. A page opened in a hidden tab is soon followed by the next one."""
    session, page_type, size = views["session"], views["type"], len(views["session"])
    mission, desktop = sessions["mission"][session], (sessions["kind"] == DESKTOP)[session]
    from_list = np.isin(np.roll(page_type, 1), LISTS) & (views["position"] > 0)
    ordering = views["position"] == sessions["basket_at"][session]
    tabs = 0.3 * MISSION_TAB[mission] * sessions["habit"][session] ** 2
    hidden = (page_type == PRODUCT) & from_list & ~ordering & desktop & (rng.random(size) < tabs)
    dwell = (
        DWELL[page_type]
        * MISSION_HURRY[mission]
        * np.where(hidden, 0.25, 1)
        * np.exp(
            -0.35 * sessions["hurry"][session]
            + 0.75 * draws.bell(rng, size)
            + 0.12 * sessions["intent"][session] * (page_type == PRODUCT)
        )
    )
    dwell = np.clip(dwell * 1000, 400, 1_500_000).astype(np.int64)
    walked = np.cumsum(dwell) - dwell
    first = np.flatnonzero(views["position"] == 0)
    start = sessions["start"] * 1000 + (rng.random(len(first)) * 1000).astype(np.int64)
    return {"hidden": hidden, "dwell": dwell, "time": walked + (start - walked[first])[session]}


# Events ------------------------------------------------------------


def _event(
    kind: int,
    view: np.ndarray,
    share: float | np.ndarray,
    product: np.ndarray | int = -1,
    quantity: np.ndarray | int = -1,
    visible: np.ndarray | bool = True,
) -> Columns:
    """Events of a kind: on which view, after which share of its dwell; -1 is none."""
    columns: dict[str, np.ndarray | float] = {"kind": kind, "view": view, "share": share}
    columns |= {"product": product, "quantity": quantity, "visible": visible}
    return {name: np.broadcast_to(column, len(view)) for name, column in columns.items()}


def _view_rows(views: Columns) -> Columns:
    product = np.where(views["type"] == PRODUCT, views["product"], -1)
    return _event(VIEW, np.arange(len(product)), 0.0, product, visible=~views["hidden"])


def _interactions(rng: np.random.Generator, sessions: Columns, views: Columns) -> list[Columns]:
    """Clicks, scrolls and switches of the tab; a hidden page has but the switch to it."""
    hidden, dwell = views["hidden"], views["dwell"]
    habit = sessions["habit"][views["session"]]
    counts = {
        CLICK: draws.count(rng, np.where(hidden, 0, 0.7)),
        SCROLL: draws.count(rng, np.where(hidden, 0, np.minimum(dwell / 35_000, 2))),
        TAB: (rng.random(len(hidden)) < np.where(hidden, 0.8, 0.12 * habit)).astype(int),
    }
    events = []
    for kind, times in counts.items():
        view = np.repeat(np.arange(len(hidden)), np.minimum(times, 6))
        away = (kind == TAB) & ~hidden[view]
        events.append(_event(kind, view, 0.05 + 0.9 * rng.random(len(view)), visible=~away))
    return events


def _baskets(rng: np.random.Generator, sessions: Columns, views: Columns) -> tuple[Columns, Columns, Columns]:
    """Items put into the basket, taken out again at a later look at it, and bought."""
    session, position, size = views["session"], views["position"], len(views["session"])
    basket_at, mission = sessions["basket_at"][session], sessions["mission"][session]
    due = position == np.maximum(basket_at, 0)  # a buyer has at least this one
    liking = draws.chance(MISSION_ADD[mission] + 0.4 * sessions["intent"][session] - 2.1)
    wanted = (views["type"] == PRODUCT) & ~views["hidden"] & (rng.random(size) < liking)
    add = np.flatnonzero(due | wanted)
    item, quantity = views["product"][add], 1 + np.minimum(draws.count(rng, np.full(len(add), 0.45)), 4)

    cart = np.where(views["type"] == CART, np.arange(size), size - 1)
    look = np.minimum.accumulate(cart[::-1])[::-1][add]  # the next view of the basket
    out = (rng.random(len(add)) < 0.2) & ~due[add] & (session[look] == session[add]) & (views["type"][look] == CART)
    bought = (basket_at[add] != NEVER) & (position[add] <= np.maximum(basket_at[add], 0)) & ~out
    till = (add - position[add] + basket_at[add] + len(ORDER) - 1)[bought]  # the last page of the order
    return (
        _event(ADD, add, 0.1 + 0.8 * rng.random(len(add)), item, quantity),
        _event(REMOVE, look[out], 0.1 + 0.8 * rng.random(out.sum()), item[out], quantity[out]),
        _event(PURCHASE, till, 0.97, item[bought], quantity[bought]),
    )


def _log(sessions: Columns, views: Columns, events: Columns, settings: Simulate) -> pa.Table:
    """The events as a table. Within a session times are made to differ, so that the order is total."""
    view = events["view"]
    time = views["time"][view] + (events["share"] * views["dwell"][view]).astype(np.int64)
    order = np.lexsort((events["product"], events["kind"], time, view))
    time, view = time[order], view[order]
    session, index = views["session"][view], np.arange(len(order))
    lift = session * (1 << 40) - index  # lets the running maximum start anew in a session
    time = np.maximum.accumulate(time + lift) - lift
    last = np.lexsort((session, sessions["visitor"][session], time))
    order, time, view, session = order[last], time[last], view[last], session[last]
    product, quantity = events["product"][order], events["quantity"][order]

    def levels(codes: np.ndarray, names: list[str] | tuple[str, ...]) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(names, pa.string()))

    return pa.table(
        {
            "time": pa.array(np.datetime64(settings.start, "ms") + time.astype("timedelta64[ms]")),
            "visitor": sessions["visitor"][session] + 1,
            "session": session + 1,
            "event": levels(events["kind"][order], EVENTS),
            "page_type": levels(views["type"][view], PAGE_TYPES),
            "page": levels(views["page"][view], PAGES),
            "price": pa.array(PRICE[product], mask=product < 0),
            "quantity": pa.array(quantity, mask=quantity < 0),
            "checkout_step": views["checkout_step"][view],
            "browser": levels(sessions["browser"][session], BROWSERS),
            "browser_version": sessions["browser_version"][session],
            "operating_system": levels(sessions["operating_system"][session], SYSTEMS),
            **{
                name: sessions[name][session]
                for name in (
                    "operating_system_version",
                    "major_city",
                    "screen_width",
                    "screen_height",
                    "window_width",
                    "window_height",
                )
            },
            "tab_visible": events["visible"][order].astype(np.int64),
        }
    )
