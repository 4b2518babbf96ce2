"""A click log becomes one row of totals per session, as they are known at its N-th page view, when it is scored.

They use the events of the session up to that view and the visits that had ended when the session started; only the
target, whether a purchase follows, uses later events. Totals are integers (cents, seconds, counts) and every order is
total, so that the result does not depend on the engine or its threads.
"""

import ibis
from ibis import _
from ibis.expr.types import Table, Value

from stages.lib.common.params import Clicks
from stages.lib.preparation.aggregates import count, left_join, total
from stages.lib.preparation.events import PAGE_TYPES, SESSION, map_names
from stages.lib.preparation.visit_history import pages_of_last_visit, visit_history, visit_totals

DEVICE = (
    "browser", "operating_system", "browser_version", "operating_system_version", "major_city", "screen_width",
    "screen_height", "window_width", "window_height",
)  # fmt: skip
# Orders page views of the same time
CONTENT = ("page", "raw_page_type", "checkout_step", *DEVICE, "tab_visible")


def aggregate_sessions(events: Table, settings: Clicks) -> Table:
    """Aggregate the events of each session that reaches the scored page view without a purchase.

    Args:
        events: of `normalize_events`; a session depends on the events of its own visitor only.
        settings: the page view to score at, and the page types.

    Returns:
        One row per session: visitor, session and start, the totals that features are made of, and the target `buys`.
    """
    at_view = settings.score_at_view
    events = events.mutate(
        page_type=map_names(_.raw_page_type, settings.page_types), second=_.time.epoch_seconds().floor().cast("int64")
    )
    # Cached tables are computed once, though several queries use them.
    views = number_views(events).cache()
    visits = visit_totals(events, views).cache()
    history = visit_history(visits).cache()

    scored_view = views.filter(_.number == at_view).select(
        *SESSION, *DEVICE, "raw_page_type", "tab_visible", scored_time="time", scored_second="second"
    )
    views_until_scoring = views.filter(_.number <= at_view).semi_join(scored_view, SESSION)
    # What was clicked on the scored page came after it opened, at the same time at the earliest.
    interactions = events.filter(_.event != "view").inner_join(scored_view, SESSION).filter(_.time < _.scored_time)
    pages = viewed_pages(views_until_scoring)

    sessions = scored_sessions(visits, scored_view)
    sessions = left_join(sessions, view_totals(views_until_scoring, at_view))
    sessions = _with_counts(sessions, interaction_totals(interactions), no_count=["last_add_second", "event_step"])
    sessions = _with_counts(sessions, page_totals(pages, at_view))
    sessions = left_join(sessions, history)
    sessions = left_join(sessions, pages_of_last_visit(history, pages, views, at_view))
    return sessions.mutate(step=_greatest(_.event_step, _.view_step))


def number_views(events: Table) -> Table:
    """The page views, with their number within the session, from 1, and the seconds until the next one.

    Views of the same time are ordered by their content; those that are equal even so are equal in every column here.
    """
    views = events.filter(_.event == "view").select(*SESSION, "time", "second", "page_type", *CONTENT)
    in_order = ibis.window(group_by=SESSION, order_by=["time", *CONTENT])
    return views.mutate(number=ibis.row_number().over(in_order) + 1, seconds=_.second.lead().over(in_order) - _.second)


def scored_sessions(visits: Table, scored_view: Table) -> Table:
    """The sessions without a purchase before the scored view: when they started, that view, and whether they buy."""
    visits = visits.select(*SESSION, "start", "start_second", "first_purchase", "last_purchase")
    sessions = visits.inner_join(scored_view, SESSION)
    bought_before = (sessions.first_purchase < sessions.scored_time).fill_null(False)
    buys = (sessions.last_purchase >= sessions.scored_time).fill_null(False).cast("int64")
    return sessions.filter(~bought_before).mutate(buys=buys).drop("first_purchase", "last_purchase")


def view_totals(views_until_scoring: Table, at_view: int) -> Table:
    """One row per session: its page views up to the scored one, and how long those before it lasted."""
    has_ended = _.number < at_view
    return views_until_scoring.group_by(SESSION).aggregate(
        views=_.count(),
        **{f"views_{page_type}": count(_.page_type == page_type) for page_type in PAGE_TYPES},
        first_page=_.page.max(where=_.number == 1),
        view_step=_.checkout_step.max(),
        seconds_product=total(_.seconds, where=has_ended & (_.page_type == "product")),
        seconds_cart=total(_.seconds, where=has_ended & (_.page_type == "cart")),
        previous_seconds=_.seconds.max(where=_.number == at_view - 1).fill_null(0),
    )


def interaction_totals(interactions: Table) -> Table:
    """One row per session with interactions before the scored view: basket, clicks, scrolls and tab switches."""
    add, quantity = interactions.event == "add", interactions.quantity
    net_quantity = ibis.cases((add, quantity), (interactions.event == "remove", -quantity), else_=0)
    totals = {
        "basket_items": total(quantity, where=add),
        "basket_cents": total(net_quantity * interactions.cents),
        "last_add_second": interactions.second.max(where=add),
        "event_step": interactions.checkout_step.max(),
    }
    for event in ("click", "scroll", "tab"):
        happened = interactions.event == event
        totals[f"{event}s"] = count(happened)
        for page_type in PAGE_TYPES:
            totals[f"{event}s_{page_type}"] = count(happened & (interactions.page_type == page_type))
    return interactions.group_by(SESSION).aggregate(**totals)


def viewed_pages(views_until_scoring: Table) -> Table:
    """One row per session and page viewed: how often, and the numbers of its first and last view."""
    pages = views_until_scoring.filter(_.page.notnull()).group_by([*SESSION, "page"])
    return pages.aggregate(times=_.count(), first_view=_.number.min(), last_view=_.number.max())


def page_totals(pages: Table, at_view: int) -> Table:
    """One row per session: repeated views of a page, and the number of pages viewed before the scored view."""
    return pages.group_by(SESSION).aggregate(
        revisits=total(_.times) - _.count(), pages_before=count(_.first_view < at_view)
    )


def _with_counts(sessions: Table, counts: Table, no_count: list[str] | None = None) -> Table:
    """The sessions with counts that are 0 where `counts` has no row for them, but for the columns `no_count`."""
    names = [name for name in counts.columns if name not in (*SESSION, *(no_count or []))]
    return left_join(sessions, counts).fill_null(dict.fromkeys(names, 0))


def _greatest(one: Value, other: Value) -> Value:
    """The greater of the two, or the one that is not null."""
    return (other.isnull() | (one > other)).ifelse(one, other)
