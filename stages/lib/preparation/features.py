"""The features of a session at its scored page view, one line each: name, columns of the log it needs, definition.

Ratios to something that is not there are 0; days since something that never was are -1. The page being viewed
has only just opened, so timeOnPage is the time on the page before it, and pageVisitedBeforeSession, which would be
the same for every session, counts different pages.
"""

from collections.abc import Iterator

from ibis import _
from ibis.expr.types import Table, Value

from stages.lib.common.errors import InputError

DAY = 86_400
ORDER = ("time", "visitor", "session")  # of sessions, without ties
Feature = tuple[str, tuple[str, ...], Value]


def session_features(
    measures: Table, missing: tuple[str, ...], target: str | None = None
) -> tuple[Table, dict[str, list[str]]]:
    """The session table: keys, features and, if wanted, the target under this name, a row a session, in no order.

    Beside it, the features left out, by the column of `missing` that they need.
    """
    left_out: dict[str, list[str]] = {}
    kept = {}
    for name, needs, definition in _features():
        lacking = [column for column in needs if column in missing]
        if lacking:
            left_out.setdefault(lacking[0], []).append(name)
        else:
            kept[name] = definition
    keys = {"visitor": _.visitor, "session": _.session, "time": _.start}
    if target in {**keys, **kept}:
        raise InputError(f"prepare.target: '{target}' is the name of another column; choose a different one")
    return measures.select(**keys, **kept, **({target: _.buys} if target else {})), left_out


def _features() -> Iterator[Feature]:
    yield from _now()
    yield from _session_pages()
    yield from _interactions()
    yield from _last_visit()
    yield from _all_visits()
    yield from _device()


def _now() -> Iterator[Feature]:
    yield "month", (), _.start.month().cast("int64")
    yield "sessionStartHour", (), _.start.hour().cast("int64")
    yield "dayOfMonth", (), _.start.day().cast("int64")
    yield "weekday", (), _.start.day_of_week.index().cast("int64")
    yield "sessionTime", (), _seconds
    yield "category", ("page_type",), _.current_type
    yield "pageVisitedBeforeSession", ("page",), _.pages_before
    yield "amountBasketSession", ("price",), _.basket_cents / 100
    yield "totalItemValueBasketSession", (), _.basket_items


def _session_pages() -> Iterator[Feature]:
    yield from (
        (f"session{Role}", ("page_type",), _[f"now_{role}"])
        for Role, role in _roles("Product Search Overview Sale Cart")
    )
    yield from (
        (f"percPage{Role}", ("page_type",), _per(_[f"now_{role}"], _viewed))
        for Role, role in _roles("Product Search Overview Sale Cart")
    )
    yield "countPagesRevisited", ("page",), _.revisits
    yield "timeOnPage", (), _.previous_seconds
    yield "checkoutStep", ("checkout_step",), _.step.fill_null(0)


def _interactions() -> Iterator[Feature]:
    yield "clickEventsSession", (), _.clicks
    yield "scrollEventSession", (), _.scrolls
    yield "tabSwitchSession", (), _.tabs
    for Role, role in _roles("Product Search Overview Sale Cart"):
        switch = "tabswitch" if role in ("sale", "cart") else "tabSwitch"
        for name, event in (("clickEvent", "clicks"), ("scrollEvent", "scrolls"), (switch, "tabs")):
            yield f"{name}{Role}", ("page_type",), _per(_[f"{event}_{role}"], _[f"now_{role}"])
    yield "timeSinceAddToBasket", (), (_.now_second - _.last_add_second).fill_null(-1)
    yield "timeSpentOnCart", ("page_type",), _.seconds_cart.cast("float64")
    yield "timeSpentOnProduct", ("page_type",), _.seconds_product.cast("float64")
    yield "purchaseRecency", (), _days_since(_.bought_second)


def _last_visit() -> Iterator[Feature]:
    for Role, role in _roles("Product Search Overview Sale Cart"):
        yield f"page{Role}LV", ("page_type",), _[f"last_views_{role}"].fill_null(0)
    yield "purchaseLV", (), _.last_purchases.fill_null(0)
    yield "productBasketLV", (), _.last_added_items.fill_null(0)
    yield "exitEqualLanding", ("page",), (_.last_last_page == _.first_page).cast("int64").fill_null(0)
    yield "visitTimeLV", (), _.last_seconds.fill_null(0)
    yield "currentViewCountVsLV", (), _per(_viewed, _.last_views)
    yield "currentVisittimeVsLV", (), _per(_seconds, _.last_seconds)
    yield "recencyVisit", (), _days_since(_.last_start_second)
    yield "countPagesRevisitedLastSession", ("page",), _.shared_pages.fill_null(0)
    yield "currentPageVisitedLastTime", ("page",), _.shared_current.fill_null(0)


def _all_visits() -> Iterator[Feature]:
    yield "frequencyVisit", (), _.ended
    yield "totViewCount", (), _.all_views.fill_null(0)
    yield "totVisitTime", (), _.all_seconds.fill_null(0)
    yield "totPurchasesAmount", ("price",), _.all_purchase_cents.fill_null(0) / 100
    yield "totPurchasesItems", (), _.all_purchase_items.fill_null(0)
    for Role, role in _roles("Product Search Overview Sale Cart"):
        yield f"tot{Role}", ("page_type",), _[f"all_views_{role}"].fill_null(0)
    for Role, role in _roles("Overview Product Search Sale Cart"):
        yield f"totPercPage{Role}", ("page_type",), _per(_[f"all_views_{role}"], _.all_views)
    yield "convertedBefore", (), (_.all_purchases.fill_null(0) > 0).cast("int64")
    faster = (_.all_views > 0) & (_seconds * _.all_views < _.all_seconds * _viewed)
    yield "hurry", (), faster.cast("int64").fill_null(0)
    yield "currentViewCountVsPreviousAvg", (), _per(_viewed * _.ended, _.all_views)
    yield "currentVisitLengthVsAvg", (), _per(_seconds * _.ended, _.all_seconds)
    yield "meanRecencyVisit", (), ((_.start_second - _.first_start_second) / (_.ended * DAY)).fill_null(-1)
    for Role, role in _roles("Product Search Overview Sale Cart"):
        yield f"page{Role}rVisit", ("page_type",), _per(_[f"all_views_{role}"], _.ended)
    yield "purchasesrVisit", (), _per(_.all_purchases, _.ended)


def _device() -> Iterator[Feature]:
    for name, column in (
        ("browser", "browser"),
        ("browserVersion", "browser_version"),
        ("operatingSystem", "operating_system"),
        ("operatingSystemVersion", "operating_system_version"),
        ("majorCity", "major_city"),
        ("screenWidth", "screen_width"),
        ("screenHeight", "screen_height"),
        ("windowWidth", "window_width"),
        ("windowHeight", "window_height"),
    ):
        yield name, (column,), _[column]
    yield "tabVisible", ("tab_visible",), _.current_visible
    yield "visitorKnown", (), (_.ended > 0).cast("int64")


_seconds = _.now_second - _.start_second
_viewed = _.now_views


def _roles(names: str) -> list[tuple[str, str]]:
    return [(name, name.lower()) for name in names.split()]


def _per(part: Value, whole: Value) -> Value:
    return (whole > 0).ifelse(part / whole, 0.0).fill_null(0.0)


def _days_since(second: Value) -> Value:
    return ((_.start_second - second) // DAY).cast("int64").fill_null(-1)
