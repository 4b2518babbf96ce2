"""A click log becomes a row of totals per session and page view at which it is scored, as they are known then.

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
from stages.lib.preparation.visit_history import visit_history, visit_totals

MOMENT = [*SESSION, "at_view"]  # a session at the page view of this number, from 1, at which it is scored

DEVICE = (
    "browser", "operating_system", "browser_version", "operating_system_version", "major_city", "screen_width",
    "screen_height", "window_width", "window_height",
)  # fmt: skip
# Orders page views of the same time
CONTENT = ("page", "raw_page_type", "checkout_step", *DEVICE, "tab_visible")


def aggregate_sessions(events: Table, settings: Clicks) -> Table:
    """Aggregate the events of each session up to each scored page view that it reaches without a purchase.

    Args:
        events: of `normalize_events`; a session depends on the events of its own visitor only.
        settings: the page views to score at, and the page types.

    Returns:
        One row per session and scored page view: visitor, session, at_view and start, the totals that features are made
        of, and the target `buys`.
    """
    visits, moments = visits_and_moments(events, settings)
    return with_history(moments, visit_history(visits))


def visits_and_moments(events: Table, settings: Clicks) -> tuple[Table, Table]:
    """One row per session, and one per session and scored page view; each depends on its own session's events only."""
    events = events.mutate(
        page_type=map_names(_.raw_page_type, settings.page_types), second=_.time.epoch_seconds().floor().cast("int64")
    )
    # Cached tables are computed once, though several queries use them.
    views = number_views(events).cache()
    visits = visit_totals(events, views).cache()
    return visits, moment_totals(events, views, visits, settings)


def with_history(moments: Table, history: Table) -> Table:
    """The rows of `moment_totals`, with what `visit_history` knows of the visitor when the session starts."""
    sessions = left_join(moments, history).mutate(both=_.pages.intersect(_.last_pages))
    return sessions.mutate(
        shared_pages=_.both.notnull().ifelse(_.both.length(), 0),  # to Spark, null has a length of -1
        shared_current=_.last_pages.contains(_.page).cast("int64"),
    )


def moment_totals(events: Table, views: Table, visits: Table, settings: Clicks) -> Table:
    """One row per moment, with all that is known of the session itself then, and whether it buys."""
    scored = views.filter(_.number.isin(settings.score_at_views)).select(
        *SESSION,
        *DEVICE,
        *("page", "raw_page_type", "tab_visible"),
        at_view="number",
        scored_time="time",
        scored_second="second",
    )
    early_views = views.filter(_.number <= max(settings.score_at_views))
    views_until_scoring = early_views.inner_join(scored.select(*MOMENT), SESSION).filter(_.number <= _.at_view)
    # What was clicked on the scored page came after it opened, at the same time at the earliest.
    interactions = events.filter(_.event != "view").inner_join(scored, SESSION).filter(_.time < _.scored_time)
    sessions = scored_sessions(visits, scored)
    sessions = left_join(sessions, view_totals(views_until_scoring), MOMENT)
    sessions = _with_counts(sessions, interaction_totals(interactions), no_count=["last_add_second", "event_step"])
    sessions = _with_counts(sessions, page_totals(views_until_scoring), no_count=["pages"])
    return sessions.mutate(step=_greatest(_.event_step, _.view_step))


def number_views(events: Table) -> Table:
    """The page views, with their number within the session, from 1, and the seconds until the next one.

    Views of the same time are ordered by their content; those that are equal even so are equal in every column here.
    """
    views = events.filter(_.event == "view").select(*SESSION, "time", "second", "page_type", *CONTENT)
    in_order = ibis.window(group_by=SESSION, order_by=["time", *CONTENT])
    return views.mutate(number=ibis.row_number().over(in_order) + 1, seconds=_.second.lead().over(in_order) - _.second)


def scored_sessions(visits: Table, scored: Table) -> Table:
    """The scored views before which nothing was bought: when the session started, the view, and whether it buys."""
    visits = visits.select(*SESSION, "start", "start_second", "first_purchase", "last_purchase")
    sessions = visits.inner_join(scored, SESSION)
    bought_before = (sessions.first_purchase < sessions.scored_time).fill_null(False)
    buys = (sessions.last_purchase >= sessions.scored_time).fill_null(False).cast("int64")
    return sessions.filter(~bought_before).mutate(buys=buys).drop("first_purchase", "last_purchase")


def view_totals(views_until_scoring: Table) -> Table:
    """One row per moment: the page views up to the scored one, and how long those before it lasted."""
    has_ended = _.number < _.at_view
    return views_until_scoring.group_by(MOMENT).aggregate(
        views=_.count(),
        **{f"views_{page_type}": count(_.page_type == page_type) for page_type in PAGE_TYPES},
        first_page=_.page.max(where=_.number == 1),
        view_step=_.checkout_step.max(),
        seconds_product=total(_.seconds, where=has_ended & (_.page_type == "product")),
        seconds_cart=total(_.seconds, where=has_ended & (_.page_type == "cart")),
        previous_seconds=_.seconds.max(where=_.number == _.at_view - 1).fill_null(0),
    )


def interaction_totals(interactions: Table) -> Table:
    """One row per moment with interactions before the scored view: basket, clicks, scrolls and tab switches."""
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
    return interactions.group_by(MOMENT).aggregate(**totals)


def page_totals(views_until_scoring: Table) -> Table:
    """One row per moment: its pages, repeated views of one, and the number of pages viewed before the scored view."""
    by_page = views_until_scoring.filter(_.page.notnull()).group_by([*MOMENT, "page"])
    pages = by_page.aggregate(times=_.count(), first_view=_.number.min())
    return pages.group_by(MOMENT).aggregate(
        pages=_.page.collect(),
        revisits=total(_.times) - _.count(),
        pages_before=count(_.first_view < _.at_view),
    )


def _with_counts(sessions: Table, counts: Table, no_count: list[str] | None = None) -> Table:
    """The sessions with counts that are 0 where `counts` has no row for them, but for the columns `no_count`."""
    names = [name for name in counts.columns if name not in (*MOMENT, *(no_count or []))]
    return left_join(sessions, counts, MOMENT).fill_null(dict.fromkeys(names, 0))


def _greatest(one: Value, other: Value) -> Value:
    """The greater of the two, or the one that is not null."""
    return (other.isnull() | (one > other)).ifelse(one, other)
