"""What is known of a visitor at the moment a session starts: the visits that had ended by then.

A visit is a session seen as part of its visitor's past: it counts as a whole, up to its last event, once it has ended.
"""

import ibis
from ibis import _
from ibis.expr.types import Table

from stages.lib.preparation.aggregates import count, left_join, total
from stages.lib.preparation.events import PAGE_TYPES, SESSION

COUNTS = ["views", *[f"views_{page_type}" for page_type in PAGE_TYPES], "purchases", "purchase_cents", "purchase_items"]


def visit_totals(events: Table, views: Table) -> Table:
    """One row per session: its start and end, the totals of all its events, and its pages.

    Args:
        events: the events of `normalize_events`, with `page_type` and `second`, the time in whole seconds.
        views: the page views of `number_views`.
    """
    view, add, purchase = events.event == "view", events.event == "add", events.event == "purchase"
    totals = events.group_by(SESSION).aggregate(
        events=_.count(),
        start=events.time.min(),
        start_second=events.second.min(),
        end_second=events.second.max(),
        views=count(view),
        **{f"views_{page_type}": count(view & (events.page_type == page_type)) for page_type in PAGE_TYPES},
        purchases=count(purchase),
        purchase_cents=total(events.cents * events.quantity, where=purchase),
        purchase_items=total(events.quantity, where=purchase),
        last_purchase_second=events.second.max(where=purchase),
        added_items=total(events.quantity, where=add),
        first_purchase=events.time.min(where=purchase),
        last_purchase=events.time.max(where=purchase),
    )
    pages = views.group_by(SESSION).aggregate(
        last_page=_.page.argmax(_.number), pages=_.page.collect(where=_.page.notnull(), distinct=True)
    )
    return left_join(totals, pages)


def visit_history(visits: Table) -> Table:
    """One row per session: what its visitor's visits that had ended before it started come to.

    Visits can overlap (two tabs, two devices), so a visit counts by its end, not by its start. On one timeline of
    starts and ends, the number of ends before a start is also the rank, by end, of the last visit that had ended.

    Args:
        visits: the rows of `visit_totals`.

    Returns:
        ended_visits, their number; last_…, the totals of the one that ended last; all_…, the sums over all of them;
        first_start_second and bought_second, the last purchase. All but the first are null where no visit
        had ended.
    """
    ends = visits.select(*SESSION, second=_.end_second, is_end=ibis.literal(1))
    starts = visits.select(*SESSION, second=_.start_second, is_end=ibis.literal(0))
    timeline = ibis.union(ends, starts)
    # In the same second starts come first: a visit that ends just then has not ended yet.
    until_now = ibis.cumulative_window(group_by="visitor", order_by=[_.second, _.is_end, _.session])
    timeline = timeline.mutate(ended_visits=_.is_end.sum().over(until_now))
    at_start = timeline.filter(_.is_end == 0).select(*SESSION, "ended_visits")

    by_end = ibis.cumulative_window(group_by="visitor", order_by=[_.end_second, _.session])
    after_visit = visits.select(
        "visitor",
        ended_visits=_.count().over(by_end),
        **{f"last_{name}": visits[name] for name in (*COUNTS, "added_items", "start_second", "last_page", "pages")},
        last_seconds=_.end_second - _.start_second,
        all_seconds=(_.end_second - _.start_second).sum().over(by_end),
        **{f"all_{name}": visits[name].sum().over(by_end) for name in COUNTS},
        first_start_second=_.start_second.min().over(by_end),
        bought_second=_.last_purchase_second.max().over(by_end),
    )
    return left_join(at_start, after_visit, ["visitor", "ended_visits"])
