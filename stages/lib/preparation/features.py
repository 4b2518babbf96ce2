"""The features of a session at a scored page view: on each line a name, the columns of the log it needs, its value.

Ratios to something that does not exist are 0; days since something that never happened are -1. The scored page has
only just opened, so timeOnPage is the time on the page before it, and pageVisitedBeforeSession, which would be the same
for every session, counts different pages.
"""

from collections.abc import Iterator

from ibis import _
from ibis.expr.types import Table, Value

from stages.lib.common.errors import InputError
from stages.lib.common.params import Clicks
from stages.lib.preparation.events import PAGE_TYPES, SESSION

SECONDS_PER_DAY = 86_400
# The columns that are no features and no target, by role
KEYS = {"session": "key", "visitor": "visitor", "time": "time", "view": "view", "weight": "weight"}
TITLES = {page_type: page_type.capitalize() for page_type in PAGE_TYPES}
Feature = tuple[str, tuple[str, ...], Value]


def session_features(
    sessions: Table, clicks: Clicks, missing: list[str], target: str | None = None
) -> tuple[Table, dict[str, list[str]]]:
    """Make the session table.

    Args:
        sessions: of `aggregate_sessions`.
        clicks: if sessions are scored at several page views, the number of the view is a key and a feature, and params
            say whether rows get weights.
        missing: columns that the log lacks; features that need one are omitted.
        target: the name of the target's column; None: without a target, as when scoring.

    Returns:
        Keys, features and target of each row, in no order; and the omitted features by missing column.

    Raises:
        InputError: the target has the name of another column.
    """
    omitted = omitted_features(missing)
    left_out = {name for names in omitted.values() for name in names}
    columns = {"visitor": _.visitor, "session": _.session, "time": _.start}
    features = [*all_features()]
    if has_several_views(clicks):
        columns["view"] = _.at_view
        features.append(("viewNumber", (), _.at_view))
        if clicks.sample_weight == "session":
            columns["weight"] = 1 / _.count().over(group_by=SESSION)
    columns |= {name: value for name, _needs, value in features if name not in left_out}
    if target in columns:
        raise InputError(f"prepare.target: '{target}' is the name of another column; choose a different one")
    if target:
        columns[target] = _.buys
    return sessions.select(**columns), omitted


def omitted_features(missing: list[str]) -> dict[str, list[str]]:
    """By missing column of the log, the features that are omitted since they need it."""
    omitted: dict[str, list[str]] = {}
    for name, needs, _value in all_features():
        if lacking := [column for column in needs if column in missing]:
            omitted.setdefault(lacking[0], []).append(name)
    return omitted


def feature_names(clicks: Clicks, missing: list[str]) -> list[str]:
    """The features of a log that lacks these columns."""
    omitted = {name for names in omitted_features(missing).values() for name in names}
    names = [name for name, *_ in all_features() if name not in omitted]
    return [*names, "viewNumber"] if has_several_views(clicks) else names


def has_several_views(clicks: Clicks) -> bool:
    return len(clicks.score_at_views) > 1


def order(sessions: Table) -> list[str]:
    """The columns by which the rows are ordered, without ties: by time first."""
    return [name for name in ("time", *SESSION, "view") if name in sessions.columns]


def all_features() -> Iterator[Feature]:
    """Every feature of a single page view, in the order of the session table."""
    yield from _scored_view()
    yield from _page_views()
    yield from _interactions()
    yield from _last_visit()
    yield from _all_visits()
    yield from _device()


def _scored_view() -> Iterator[Feature]:
    yield "month", (), _.start.month().cast("int64")
    yield "sessionStartHour", (), _.start.hour().cast("int64")
    yield "dayOfMonth", (), _.start.day().cast("int64")
    yield "weekday", (), _.start.day_of_week.index().cast("int64")
    yield "sessionTime", (), _seconds
    yield "category", ("page_type",), _.raw_page_type
    yield "pageVisitedBeforeSession", ("page",), _.pages_before
    yield "amountBasketSession", ("price",), _.basket_cents / 100
    yield "totalItemValueBasketSession", (), _.basket_items


def _page_views() -> Iterator[Feature]:
    for page_type, title in TITLES.items():
        yield f"session{title}", ("page_type",), _[f"views_{page_type}"]
    for page_type, title in TITLES.items():
        yield f"percPage{title}", ("page_type",), _ratio(_[f"views_{page_type}"], _.views)
    yield "countPagesRevisited", ("page",), _.revisits
    yield "timeOnPage", (), _.previous_seconds
    yield "checkoutStep", ("checkout_step",), _.step.fill_null(0)


def _interactions() -> Iterator[Feature]:
    yield "clickEventsSession", (), _.clicks
    yield "scrollEventSession", (), _.scrolls
    yield "tabSwitchSession", (), _.tabs
    for page_type, title in TITLES.items():
        tab_switch = "tabswitch" if page_type in ("sale", "cart") else "tabSwitch"
        for name, event in (("clickEvent", "clicks"), ("scrollEvent", "scrolls"), (tab_switch, "tabs")):
            yield f"{name}{title}", ("page_type",), _ratio(_[f"{event}_{page_type}"], _[f"views_{page_type}"])
    yield "timeSinceAddToBasket", (), (_.scored_second - _.last_add_second).fill_null(-1)
    yield "timeSpentOnCart", ("page_type",), _.seconds_cart.cast("float64")
    yield "timeSpentOnProduct", ("page_type",), _.seconds_product.cast("float64")
    yield "purchaseRecency", (), _days_since(_.bought_second)


def _last_visit() -> Iterator[Feature]:
    for page_type, title in TITLES.items():
        yield f"page{title}LV", ("page_type",), _[f"last_views_{page_type}"].fill_null(0)
    yield "purchaseLV", (), _.last_purchases.fill_null(0)
    yield "productBasketLV", (), _.last_added_items.fill_null(0)
    yield "exitEqualLanding", ("page",), (_.last_last_page == _.first_page).cast("int64").fill_null(0)
    yield "visitTimeLV", (), _.last_seconds.fill_null(0)
    yield "currentViewCountVsLV", (), _ratio(_.views, _.last_views)
    yield "currentVisittimeVsLV", (), _ratio(_seconds, _.last_seconds)
    yield "recencyVisit", (), _days_since(_.last_start_second)
    yield "countPagesRevisitedLastSession", ("page",), _.shared_pages.fill_null(0)
    yield "currentPageVisitedLastTime", ("page",), _.shared_current.fill_null(0)


def _all_visits() -> Iterator[Feature]:
    yield "frequencyVisit", (), _.ended_visits
    yield "totViewCount", (), _.all_views.fill_null(0)
    yield "totVisitTime", (), _.all_seconds.fill_null(0)
    yield "totPurchasesAmount", ("price",), _.all_purchase_cents.fill_null(0) / 100
    yield "totPurchasesItems", (), _.all_purchase_items.fill_null(0)
    for page_type, title in TITLES.items():
        yield f"tot{title}", ("page_type",), _[f"all_views_{page_type}"].fill_null(0)
    for page_type in ("overview", "product", "search", "sale", "cart"):
        share = _ratio(_[f"all_views_{page_type}"], _.all_views)
        yield f"totPercPage{TITLES[page_type]}", ("page_type",), share
    yield "convertedBefore", (), (_.all_purchases.fill_null(0) > 0).cast("int64")
    is_faster = (_.all_views > 0) & (_seconds * _.all_views < _.all_seconds * _.views)
    yield "hurry", (), is_faster.cast("int64").fill_null(0)
    yield "currentViewCountVsPreviousAvg", (), _ratio(_.views * _.ended_visits, _.all_views)
    yield "currentVisitLengthVsAvg", (), _ratio(_seconds * _.ended_visits, _.all_seconds)
    since_first = _.start_second - _.first_start_second
    yield "meanRecencyVisit", (), (since_first / (_.ended_visits * SECONDS_PER_DAY)).fill_null(-1)
    for page_type, title in TITLES.items():
        yield f"page{title}rVisit", ("page_type",), _ratio(_[f"all_views_{page_type}"], _.ended_visits)
    yield "purchasesrVisit", (), _ratio(_.all_purchases, _.ended_visits)


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
        ("tabVisible", "tab_visible"),
    ):
        yield name, (column,), _[column]
    yield "visitorKnown", (), (_.ended_visits > 0).cast("int64")


_seconds = _.scored_second - _.start_second


def _ratio(part: Value, whole: Value) -> Value:
    return (whole > 0).ifelse(part / whole, 0.0).fill_null(0.0)


def _days_since(second: Value) -> Value:
    return ((_.start_second - second) // SECONDS_PER_DAY).cast("int64").fill_null(-1)
