"""The page views of the simulated sessions: which page is viewed, when and for how long.

Columns have shape (views,); the views of a session follow each other.
"""

import numpy as np

from stages.lib.simulation.catalog import (
    CATEGORIES,
    CHECKOUT,
    DESKTOP,
    DWELL_SECONDS,
    INTENT_PAGE,
    LIST_PAGES,
    MISSION_DWELL,
    MISSION_PAGE,
    MISSION_SHORTLIST,
    MISSION_TAB,
    ORDER_PAGES,
    PAGE_COUNT,
    PAGE_OFFSET,
    PRODUCT,
    RANKS,
    SALE,
    SALE_EVERY,
    START,
    TRANSITION_WEIGHTS,
)
from stages.lib.simulation.distributions import categorical, logistic, power_law_rank
from stages.lib.simulation.visits import MAX_VIEWS, Columns

SHORTLIST = 4  # products that a visitor returns to


def simulate_views(rng: np.random.Generator, sessions: Columns) -> Columns:
    """Simulate the page views of sessions whose length and order_start are known."""
    views = _page_types(rng, sessions)
    views |= _pages(rng, sessions, views)
    return views | _times(rng, sessions, views)


def _page_types(rng: np.random.Generator, sessions: Columns) -> Columns:
    """The page types of every session: a Markov chain whose weights depend on mission and intent."""
    length, order_start = sessions["length"], sessions["order_start"]
    preference = MISSION_PAGE[sessions["mission"]] * np.exp(np.outer(sessions["intent"], INTENT_PAGE))
    page_types = np.zeros((len(length), MAX_VIEWS), np.int64)
    previous = np.full(len(length), START)
    for position in range(MAX_VIEWS):
        active = np.flatnonzero(length > position)
        next_type = categorical(rng, TRANSITION_WEIGHTS[previous[active]] * preference[active])
        step = position - order_start[active]
        in_order = (step >= 0) & (step < len(ORDER_PAGES))
        next_type = np.where(in_order, ORDER_PAGES[np.clip(step, 0, len(ORDER_PAGES) - 1)], next_type)
        page_types[active, position] = next_type
        previous[active] = np.where(step == len(ORDER_PAGES) - 1, START, next_type)
    session, positions = np.nonzero(np.arange(MAX_VIEWS) < length[:, None])
    return {"session": session, "position": positions, "page_type": page_types[session, positions]}


def _pages(rng: np.random.Generator, sessions: Columns, views: Columns) -> Columns:
    """The page of every view, the product it may show, and the checkout step."""
    session, position, page_type = views["session"], views["position"], views["page_type"]
    size, view = len(session), np.arange(len(session))
    theme, need = sessions["theme"][session], sessions["need"][session]
    on_theme = np.isin(page_type, LIST_PAGES) & (rng.random(size) < 0.8)
    theme = np.where(on_theme, theme, rng.random(size))
    shortlist = power_law_rank(rng.random((int(need.max()) + 1, SHORTLIST)), RANKS)
    on_shortlist = on_theme & (rng.random(size) < MISSION_SHORTLIST[sessions["mission"][session]])
    listed_rank = shortlist[need, (rng.random(size) * SHORTLIST).astype(int)]
    rank = np.where(on_shortlist, listed_rank, power_law_rank(rng.random(size), RANKS))
    from_sale = (position > 0) & (np.roll(page_type, 1) == SALE)
    rank = np.where(from_sale, rank - rank % SALE_EVERY + SALE_EVERY // 2, rank)
    product = rank * CATEGORIES + power_law_rank(theme, CATEGORIES)

    # The number of checkout views in a row. A session that opens in the checkout is a re-order, and skips two steps.
    is_before = (page_type != CHECKOUT) | (position == 0)
    before = np.maximum.accumulate(np.where(is_before, view, 0))
    is_reorder = page_type[before] == CHECKOUT
    checkout_step = np.where(page_type == CHECKOUT, np.minimum(view - before + 3 * is_reorder, 4), 0)
    number = np.where(page_type == PRODUCT, product, power_law_rank(theme, PAGE_COUNT[page_type]))
    page = PAGE_OFFSET[page_type] + np.where(page_type == CHECKOUT, checkout_step - 1, number)
    return {"product": product, "checkout_step": checkout_step, "page": page}


def _times(rng: np.random.Generator, sessions: Columns, views: Columns) -> Columns:
    """Time and dwell time, in ms, of every view. A page opened in a hidden tab is soon followed by the next one."""
    session, page_type, size = views["session"], views["page_type"], len(views["session"])
    mission, desktop = sessions["mission"][session], (sessions["device_type"] == DESKTOP)[session]
    from_list = np.isin(np.roll(page_type, 1), LIST_PAGES) & (views["position"] > 0)
    starts_order = views["position"] == sessions["order_start"][session]
    tab_probability = 0.3 * MISSION_TAB[mission] * sessions["tab_habit"][session] ** 2
    hidden = (page_type == PRODUCT) & from_list & ~starts_order & desktop & (rng.random(size) < tab_probability)
    log_factor = (
        -0.35 * sessions["hurry"][session]
        + 0.75 * logistic(rng, size)
        + 0.12 * sessions["intent"][session] * (page_type == PRODUCT)
    )
    dwell = DWELL_SECONDS[page_type] * MISSION_DWELL[mission] * np.where(hidden, 0.25, 1) * np.exp(log_factor)
    dwell = np.clip(dwell * 1000, 400, 1_500_000).astype(np.int64)
    elapsed = np.cumsum(dwell) - dwell
    first = np.flatnonzero(views["position"] == 0)
    start = sessions["start"] * 1000 + (rng.random(len(first)) * 1000).astype(np.int64)
    return {"hidden": hidden, "dwell": dwell, "time": elapsed + (start - elapsed[first])[session]}
