"""The events of the simulated page views: the views themselves, interactions with the page, the cart and purchases.

Columns have shape (events,). An event has its view, its moment as a fraction of the view's dwell time, a product and a
quantity (-1 for none), and whether the tab is visible.
"""

import numpy as np

from stages.lib.simulation.catalog import (
    ADD,
    CART,
    CLICK,
    MISSION_ADD,
    ORDER_PAGES,
    PRODUCT,
    PURCHASE,
    REMOVE,
    SCROLL,
    TAB,
    VIEW,
)
from stages.lib.simulation.distributions import geometric, sigmoid
from stages.lib.simulation.visits import NO_ORDER, Columns

MAX_INTERACTIONS = 6  # of a kind on a page view


def simulate_events(rng: np.random.Generator, sessions: Columns, views: Columns) -> Columns:
    """Simulate all events of the views, in no particular order."""
    groups = [_view_events(views), *_interactions(rng, sessions, views), *_cart_events(rng, sessions, views)]
    return {name: np.concatenate([group[name] for group in groups]) for name in groups[0]}


def _event_columns(
    event: int,
    view: np.ndarray,
    moment: float | np.ndarray,
    product: np.ndarray | int = -1,
    quantity: np.ndarray | int = -1,
    visible: np.ndarray | bool = True,
) -> Columns:
    columns: dict[str, np.ndarray | float] = {"event": event, "view": view, "moment": moment}
    columns |= {"product": product, "quantity": quantity, "visible": visible}
    return {name: np.broadcast_to(column, len(view)) for name, column in columns.items()}


def _view_events(views: Columns) -> Columns:
    product = np.where(views["page_type"] == PRODUCT, views["product"], -1)
    return _event_columns(VIEW, np.arange(len(product)), 0.0, product, visible=~views["hidden"])


def _interactions(rng: np.random.Generator, sessions: Columns, views: Columns) -> list[Columns]:
    """Clicks, scrolls and tab switches; on a hidden page, only the switch to its tab."""
    hidden, dwell = views["hidden"], views["dwell"]
    tab_habit = sessions["tab_habit"][views["session"]]
    counts = {
        CLICK: geometric(rng, np.where(hidden, 0, 0.7)),
        SCROLL: geometric(rng, np.where(hidden, 0, np.minimum(dwell / 35_000, 2))),
        TAB: (rng.random(len(hidden)) < np.where(hidden, 0.8, 0.12 * tab_habit)).astype(int),
    }
    groups = []
    for event, count in counts.items():
        view = np.repeat(np.arange(len(hidden)), np.minimum(count, MAX_INTERACTIONS))
        leaves_tab = (event == TAB) & ~hidden[view]
        groups.append(_event_columns(event, view, 0.05 + 0.9 * rng.random(len(view)), visible=~leaves_tab))
    return groups


def _cart_events(rng: np.random.Generator, sessions: Columns, views: Columns) -> tuple[Columns, Columns, Columns]:
    """Products added to the cart, removed from it at the next view of the cart, and bought."""
    session, position, size = views["session"], views["position"], len(views["session"])
    order_start, mission = sessions["order_start"][session], sessions["mission"][session]
    starts_order = position == np.maximum(order_start, 0)  # buyers buy at least this product
    probability = sigmoid(MISSION_ADD[mission] + 0.4 * sessions["intent"][session] - 2.1)
    likes = (views["page_type"] == PRODUCT) & ~views["hidden"] & (rng.random(size) < probability)
    added = np.flatnonzero(starts_order | likes)
    product, quantity = views["product"][added], 1 + np.minimum(geometric(rng, np.full(len(added), 0.45)), 4)

    cart_view = np.where(views["page_type"] == CART, np.arange(size), size - 1)
    next_cart = np.minimum.accumulate(cart_view[::-1])[::-1][added]
    sees_cart = (session[next_cart] == session[added]) & (views["page_type"][next_cart] == CART)
    removed = (rng.random(len(added)) < 0.2) & ~starts_order[added] & sees_cart
    in_time = position[added] <= np.maximum(order_start[added], 0)
    bought = (order_start[added] != NO_ORDER) & in_time & ~removed
    last_order_view = (added - position[added] + order_start[added] + len(ORDER_PAGES) - 1)[bought]
    return (
        _event_columns(ADD, added, 0.1 + 0.8 * rng.random(len(added)), product, quantity),
        _event_columns(
            REMOVE, next_cart[removed], 0.1 + 0.8 * rng.random(removed.sum()), product[removed], quantity[removed]
        ),
        _event_columns(PURCHASE, last_order_view, 0.97, product[bought], quantity[bought]),
    )
