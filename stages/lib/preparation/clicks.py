"""A click log becomes one row of measures a session, as they stand at the session's N-th page view.

Nothing later than that view is seen, but for the target: whether a purchase follows it. What is known of the
visitor's past are the visits that had ended before the session started. The measures are whole numbers (cents,
seconds, counts) and every order is total, so the result does not depend on the engine or its threads.
"""

import ibis
from ibis import _
from ibis.expr.types import Table, Value

from stages.lib.common.errors import InputError
from stages.lib.common.params import Clicks
from stages.lib.preparation.timestamps import parse_timestamp

NEEDED = ("time", "visitor", "session", "event")
NUMBERS = (
    "quantity", "checkout_step", "browser_version", "operating_system_version", "major_city", "screen_width",
    "screen_height", "window_width", "window_height", "tab_visible",
)  # fmt: skip
TEXTS = ("page", "page_type", "browser", "operating_system")
ATTRIBUTES = (*TEXTS[2:], *NUMBERS[2:-1])
EVENTS = ("view", "click", "scroll", "tab", "add", "remove", "purchase")
# What orders page views of one moment
CONTENT = ("page", "page_type", "checkout_step", *ATTRIBUTES, "tab_visible")
PAGE_TYPES = ("product", "search", "overview", "sale", "cart")
SESSION = ["visitor", "session"]


def aggregate_sessions(events: Table, settings: Clicks) -> Table:
    """One row of whole-number measures for each session of the normalised `events` that reaches the scored page view.

    Sessions that end or buy sooner are left out. What a session comes to depends on its visitor's events only.
    """
    at_view = settings.score_at_view
    events = events.mutate(
        role=_renamed(events.page_type, settings.page_types), second=_.time.epoch_seconds().floor().cast("int64")
    )
    # What several questions are asked of is worked out once.
    views = number_views(events).cache()
    # The moment of scoring is the N-th view itself: what is on that page already, clicks say, comes after it.
    now = views.filter(_.number == at_view).select(
        *SESSION, *ATTRIBUTES, scored_time="time", now_second="second", current_type="page_type",
        current_visible="tab_visible",
    )  # fmt: skip
    opening = views.filter(_.number <= at_view).semi_join(now, SESSION)
    visits = events.group_by(SESSION).aggregate(**visit_totals(events))
    visits = _join(visits, views.group_by(SESSION).aggregate(last_page=_.page.argmax(_.number))).cache()
    past = history(visits).cache()
    scored = visits.inner_join(now, SESSION)
    bought_before = (scored.first_purchase < scored.scored_time).fill_null(False)
    buys = (scored.last_purchase >= scored.scored_time).fill_null(False).cast("int64")
    scored = scored.filter(~bought_before).mutate(buys=buys)
    seen = seen_totals(events.filter(_.event != "view").inner_join(now, SESSION).filter(_.time < _.scored_time))
    pages = pages_so_far(opening)
    paged = pages_totals(pages, at_view)
    for more in (opening_totals(opening, at_view), seen, paged, past, seen_in_last_visit(past, pages, views, at_view)):
        scored = _join(scored, more)
    counts = {*seen.columns, *paged.columns} - {*SESSION, "last_add_second", "event_step"}
    return scored.fill_null(dict.fromkeys(counts, 0)).mutate(step=_later(_.event_step, _.view_step))


def normalize_events(log: Table, settings: Clicks) -> tuple[Table, tuple[str, ...]]:
    """The events of `log` under this module's names and types, and the optional columns it lacks, which are null.

    Raises InputError when a needed column is not there or a value in it can't be read.
    """
    names = settings.columns
    _check_names(log, settings)

    def present(name: str) -> bool:
        return names.get(name) in log.columns

    def given(name: str, kind: str = "string") -> Value:
        return log[names[name]] if present(name) else ibis.null(kind)

    def whole(name: str) -> Value:
        value = given(name, "int64")
        return value.cast("int64") if value.type().is_signed_integer() else _whole(value.cast("string"))

    price = given("price")
    events = log.select(
        time=_moment(log[names["time"]]),
        visitor=log[names["visitor"]],
        session=log[names["session"]],
        event=_renamed(log[names["event"]], settings.events),
        cents=(_number(price if price.type().is_numeric() else price.cast("string")) * 100).round().cast("int64"),
        **{name: whole(name) for name in NUMBERS},
        **{name: given(name).cast("string") for name in TEXTS},
    )
    broken = events.aggregate(
        time=_.time.isnull().sum(), session=_.session.isnull().sum(), visitor=_.visitor.isnull().sum()
    )
    for name, count in broken.to_pyarrow().to_pylist()[0].items():
        if count:
            raise InputError(f"column '{names[name]}': {count} rows without a {'readable ' * (name == 'time')}{name}")
    events = events.filter(_.event.notnull()).mutate(quantity=_.quantity.fill_null(1))
    return events, tuple(name for name in (*TEXTS, *NUMBERS, "price") if not present(name))


def _check_names(log: Table, settings: Clicks) -> None:
    known = {"columns": (*NEEDED, *TEXTS, *NUMBERS, "price"), "events": EVENTS, "page_types": PAGE_TYPES}
    for section, ours in known.items():
        for name in getattr(settings, section):
            if name not in ours:
                raise InputError(f"prepare.clicks.{section}.{name}: unknown; known are {', '.join(ours)}")
    for name in NEEDED:
        theirs = settings.columns.get(name)
        if theirs not in log.columns:
            raise InputError(f"no column '{theirs}' for prepare.clicks.columns.{name}; it has {', '.join(log.columns)}")


def _moment(column: Value) -> Value:
    """A time from a time, a text or the seconds or milliseconds since 1970."""
    if column.type().is_numeric():
        return _since_1970(column)
    moment = column.try_cast("timestamp(6)")
    if column.type().is_string():
        # All columns of a csv are text. So many digits are no date such as 20191001.
        digits = column.re_search(r"^\d{10}(\d{3})?$").ifelse(column, ibis.null("string"))
        # Offsets are heeded where they stand as in ISO 8601; the cast would drop them.
        moment = parse_timestamp(column).coalesce(moment, _since_1970(digits))
    return moment


def _since_1970(number: Value) -> Value:
    number = _number(number)
    # Seconds reach 10^11 in the year 5138 only.
    return (number > 10**11).ifelse(number, number * 1000).round().cast("int64").as_timestamp("ms")


def _number(value: Value) -> Value:
    """A number, or null for what is none, NaN and infinity too."""
    number = value.try_cast("float64")
    return (number.isnan() | number.isinf()).ifelse(ibis.null("float64"), number)


def _whole(text: Value) -> Value:
    """A whole number from the text of a number, or of true or false."""
    return text.try_cast("int64").coalesce(text.try_cast("boolean").cast("int64"))


def _renamed(column: Value, names: dict[str, list[str]]) -> Value:
    cases = [(column.cast("string").isin(theirs), ours) for ours, theirs in names.items() if theirs]
    return ibis.cases(*cases, else_=ibis.null("string"))


def number_views(events: Table) -> Table:
    """The page views, numbered within their session from 1 on, in an order without ties, and the seconds to the next.

    Views at the same moment are ordered by their content; rows that tie even so are alike in every column that counts.
    """
    views = events.filter(_.event == "view").select(*SESSION, "time", "second", "role", *CONTENT)
    in_order = ibis.window(group_by=SESSION, order_by=["time", *CONTENT])
    return views.mutate(number=ibis.row_number().over(in_order) + 1, seconds=_.second.lead().over(in_order) - _.second)


def visit_totals(t: Table) -> dict[str, Value]:
    """What a visit comes to as a whole: the past of the visits after it, and the target of this one."""
    view, add, purchase = t.event == "view", t.event == "add", t.event == "purchase"
    return {
        "start": t.time.min(),
        "start_second": t.second.min(),
        "end_second": t.second.max(),
        "views": _count(view),
        **{f"views_{role}": _count(view & (t.role == role)) for role in PAGE_TYPES},
        "purchases": _count(purchase),
        "purchase_cents": _sum(t.cents * t.quantity, purchase),
        "purchase_items": _sum(t.quantity, purchase),
        "last_purchase_second": t.second.max(where=purchase),
        "added_items": _sum(t.quantity, add),
        "first_purchase": t.time.min(where=purchase),
        "last_purchase": t.time.max(where=purchase),
    }


def seen_totals(seen: Table) -> Table:
    """A row a session: what its events other than views have come to at the scored view."""
    add = seen.event == "add"
    signed = ibis.cases((add, seen.quantity), (seen.event == "remove", -seen.quantity), else_=0)
    measures = {
        "basket_items": _sum(seen.quantity, add),
        "basket_cents": _sum(signed * seen.cents),
        "last_add_second": seen.second.max(where=add),
        "event_step": seen.checkout_step.max(),
    }
    for event in ("click", "scroll", "tab"):
        happened = seen.event == event
        measures[f"{event}s"] = _count(happened)
        measures |= {f"{event}s_{role}": _count(happened & (seen.role == role)) for role in PAGE_TYPES}
    return seen.group_by(SESSION).aggregate(**measures)


def opening_totals(opening: Table, at_view: int) -> Table:
    """A row a session: what its page views up to the scored one come to, and how long those before it lasted."""
    before = _.number < at_view
    return opening.group_by(SESSION).aggregate(
        **{f"now_{role}": _count(_.role == role) for role in PAGE_TYPES},
        now_views=_.count(),
        first_page=_.page.max(where=_.number == 1),
        view_step=_.checkout_step.max(),
        seconds_product=_sum(_.seconds, before & (_.role == "product")),
        seconds_cart=_sum(_.seconds, before & (_.role == "cart")),
        previous_seconds=_.seconds.max(where=_.number == at_view - 1).fill_null(0),
    )


def pages_so_far(opening: Table) -> Table:
    """A row a session and page that it viewed up to the scored view: how often, and at which view first and last."""
    return (
        opening.filter(_.page.notnull())
        .group_by([*SESSION, "page"])
        .aggregate(times=_.count(), first_view=_.number.min(), last_view=_.number.max())
    )


def pages_totals(pages: Table, at_view: int) -> Table:
    """A row a session: how often it came back to a page, and how many pages it had viewed before the scored view."""
    return pages.group_by(SESSION).aggregate(
        revisits=_sum(pages.times) - pages.count(), pages_before=_count(pages.first_view < at_view)
    )


def history(visits: Table) -> Table:
    """A row a session: the visitor's last visit (last_…) and all visits (all_…) that had ended before it started.

    Sessions can overlap (two tabs, two devices), so a visit counts by its end, not by its start. With starts and
    ends on one line of time, the number of ends before a start is also the rank of the last visit that ended.
    """
    ends = visits.select(*SESSION, second=_.end_second, is_end=ibis.literal(1))
    starts = visits.select(*SESSION, second=_.start_second, is_end=ibis.literal(0))
    line = ibis.union(ends, starts)
    # At the same second the start comes first: a visit that ends just then is not yet over.
    until_now = ibis.cumulative_window(group_by="visitor", order_by=[_.second, _.is_end, _.session])
    line = line.mutate(ended=_.is_end.sum().over(until_now))
    before = line.filter(_.is_end == 0).select(*SESSION, "ended")

    by_end = ibis.cumulative_window(group_by="visitor", order_by=[_.end_second, _.session])
    counted = ["views", *[f"views_{role}" for role in PAGE_TYPES], "purchases", "purchase_cents", "purchase_items"]
    past = visits.select(
        "visitor",
        ended=_.count().over(by_end),
        last_session=_.session,
        **{f"last_{name}": visits[name] for name in (*counted, "added_items", "start_second", "last_page")},
        last_seconds=_.end_second - _.start_second,
        all_seconds=(_.end_second - _.start_second).sum().over(by_end),
        **{f"all_{name}": visits[name].sum().over(by_end) for name in counted},
        first_start_second=_.start_second.min().over(by_end),
        bought_second=_.last_purchase_second.max().over(by_end),
    )
    return _join(before, past, ["visitor", "ended"])


def seen_in_last_visit(past: Table, so_far: Table, views: Table, at_view: int) -> Table:
    """A row a session: how many of its pages so far, and whether the current one, were also in the last visit."""
    pages = views.filter(_.page.notnull()).select(*SESSION, "page").distinct()
    last = past.select(*SESSION, "last_session").filter(_.last_session.notnull())
    return (
        so_far.inner_join(last, SESSION)
        .inner_join(pages.rename(last_session="session"), ["visitor", "last_session", "page"])
        .group_by(SESSION)
        .aggregate(shared_pages=_.count(), shared_current=(_.last_view == at_view).any().cast("int64"))
    )


def _join(left: Table, right: Table, keys: list[str] = SESSION) -> Table:
    return left.left_join(right, keys).drop([f"{key}_right" for key in keys])


def _later(one: Value, other: Value) -> Value:
    """The greater, or the one that there is."""
    return (other.isnull() | (one > other)).ifelse(one, other)


def _sum(value: Value, where: Value | None = None) -> Value:
    """A sum that is 0, not null, where there is nothing to add, and a whole number on every engine."""
    return value.sum(where=where).fill_null(0).cast("int64")


def _count(where: Value) -> Value:
    return where.cast("int64").sum().fill_null(0).cast("int64")
