"""What the session table of a click log should be, worked out event by event."""

from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

Event = dict[str, Any]
Row = dict[str, Any]  # of the session table
Visits = dict[tuple[str, str], list[Event]]  # by visitor and session

EVENTS = ["view", "click", "scroll", "tab", "add", "remove", "purchase"]
PAGE_TYPES = ["product", "search", "overview", "sale", "cart"]
DEVICE = {
    "browser": "browser",
    "browserVersion": "browser_version",
    "operatingSystem": "operating_system",
    "operatingSystemVersion": "operating_system_version",
    "majorCity": "major_city",
    "screenWidth": "screen_width",
    "screenHeight": "screen_height",
    "windowWidth": "window_width",
    "windowHeight": "window_height",
    "tabVisible": "tab_visible",
}
REQUIRED = ["time", "visitor", "session", "event"]
CONTENT = ["page", "page_type", "price", "quantity", "checkout_step", *DEVICE.values()]
COLUMNS = [*REQUIRED, *CONTENT]


def session_rows(log: list[Event], at_view: int) -> list[Row]:
    """A row per scored session: its keys, 95 features and target, ordered by start, visitor and session."""
    visits = visits_of(log)
    rows = []
    for key, visit in visits.items():
        position = scored_position(visit, at_view)
        if position is not None:
            rows.append(session_row(visit, position, earlier_visits(visits, key)))
    return sorted(rows, key=lambda row: (row["time"], row["visitor"], row["session"]))


def visits_of(log: list[Event]) -> Visits:
    """The events of each visit, in order, without those of an unknown type."""
    visits: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in log:
        if event["event"] in EVENTS:
            visits[event["visitor"], event["session"]].append(event)
    return {key: sorted(events, key=in_order) for key, events in visits.items()}


def in_order(event: Event) -> tuple[Any, ...]:
    content = [(event[name] is None, event[name]) for name in CONTENT]
    return event["time"], EVENTS.index(event["event"]), content


def scored_position(visit: list[Event], at_view: int) -> int | None:
    """The position in the visit of its N-th page view; None if there is none, or a purchase before it."""
    positions = [position for position, event in enumerate(visit) if event["event"] == "view"]
    if len(positions) < at_view or of_type(visit[: positions[at_view - 1]], "purchase"):
        return None
    return positions[at_view - 1]


def earlier_visits(visits: Visits, key: tuple[str, str]) -> list[list[Event]]:
    """The visitor's visits that had ended before this one started, in the order of their ends."""
    start = second(visits[key][0])
    past = [(second(visit[-1]), other[1], visit) for other, visit in visits.items() if other[0] == key[0]]
    return [visit for end, _, visit in sorted(past, key=lambda visit: visit[:2]) if end < start]


def session_row(visit: list[Event], position: int, past: list[list[Event]]) -> Row:
    seen, scored_view, start = visit[: position + 1], visit[position], visit[0]["time"]
    views = of_type(seen, "view")
    durations = [(view["page_type"], second(after) - second(view)) for view, after in pairwise(views)]
    adds = of_type(seen, "add")
    seconds = second(scored_view) - second(visit[0])
    row = {"visitor": scored_view["visitor"], "session": scored_view["session"], "time": start}
    row |= {
        "month": start.month,
        "sessionStartHour": start.hour,
        "dayOfMonth": start.day,
        "weekday": start.weekday(),
        "sessionTime": seconds,
        "category": scored_view["page_type"],
        "pageVisitedBeforeSession": len(pages(views[:-1])),
        "amountBasketSession": (cents(adds) - cents(of_type(seen, "remove"))) / 100,
        "totalItemValueBasketSession": items(adds),
        "countPagesRevisited": sum(view["page"] in pages(views[:at]) for at, view in enumerate(views)),
        "timeOnPage": durations[-1][1] if durations else 0,
        "checkoutStep": max([event["checkout_step"] or 0 for event in seen]),
        "clickEventsSession": len(of_type(seen, "click")),
        "scrollEventSession": len(of_type(seen, "scroll")),
        "tabSwitchSession": len(of_type(seen, "tab")),
        "timeSinceAddToBasket": second(scored_view) - second(adds[-1]) if adds else -1,
        "timeSpentOnCart": sum(duration for page_type, duration in durations if page_type == "cart"),
        "timeSpentOnProduct": sum(duration for page_type, duration in durations if page_type == "product"),
    }
    for page_type in PAGE_TYPES:
        viewed, title = len(of_type(seen, "view", page_type)), page_type.capitalize()
        row[f"session{title}"] = viewed
        row[f"percPage{title}"] = ratio(viewed, len(views))
        row[f"clickEvent{title}"] = ratio(len(of_type(seen, "click", page_type)), viewed)
        row[f"scrollEvent{title}"] = ratio(len(of_type(seen, "scroll", page_type)), viewed)
        switch = f"tabswitch{title}" if page_type in ("sale", "cart") else f"tabSwitch{title}"
        row[switch] = ratio(len(of_type(seen, "tab", page_type)), viewed)
    row |= against_last_visit(visit, views, seconds, past[-1] if past else [])
    row |= against_all_visits(visit, views, seconds, past)
    row |= {name: scored_view[column] for name, column in DEVICE.items()}
    row["visitorKnown"] = int(bool(past))
    row["Kauf"] = int(bool(of_type(visit[position + 1 :], "purchase")))
    return row


def against_last_visit(visit: list[Event], views: list[Event], seconds: int, last: list[Event]) -> Row:
    last_views = of_type(last, "view")
    row = {f"page{page_type.capitalize()}LV": len(of_type(last, "view", page_type)) for page_type in PAGE_TYPES}
    return row | {
        "purchaseLV": len(of_type(last, "purchase")),
        "productBasketLV": items(of_type(last, "add")),
        "exitEqualLanding": int(bool(last_views) and views[0]["page"] in pages(last_views[-1:])),
        "visitTimeLV": duration(last),
        "currentViewCountVsLV": ratio(len(views), len(last_views)),
        "currentVisittimeVsLV": ratio(seconds, duration(last)),
        "recencyVisit": days(second(visit[0]) - second(last[0])) if last else -1,
        "countPagesRevisitedLastSession": len(pages(views) & pages(last_views)),
        "currentPageVisitedLastTime": int(views[-1]["page"] in pages(last_views)),
    }


def against_all_visits(visit: list[Event], views: list[Event], seconds: int, past: list[list[Event]]) -> Row:
    events = [event for earlier in past for event in earlier]
    purchases, visits = of_type(events, "purchase"), len(past)
    view_count, visit_time = len(of_type(events, "view")), sum(duration(earlier) for earlier in past)
    starts = sorted([second(earlier[0]) for earlier in past] + [second(visit[0])])
    gaps = [after - before for before, after in pairwise(starts)]
    row = {
        "purchaseRecency": days(starts[-1] - max(second(event) for event in purchases)) if purchases else -1,
        "frequencyVisit": visits,
        "totViewCount": view_count,
        "totVisitTime": visit_time,
        "totPurchasesAmount": cents(purchases) / 100,
        "totPurchasesItems": items(purchases),
        "convertedBefore": int(bool(purchases)),
        "hurry": int(ratio(seconds, len(views)) < ratio(visit_time, view_count)),
        "currentViewCountVsPreviousAvg": ratio(len(views), ratio(view_count, visits)),
        "currentVisitLengthVsAvg": ratio(seconds, ratio(visit_time, visits)),
        "meanRecencyVisit": sum(gaps) / len(gaps) / 86_400 if gaps else -1,
        "purchasesrVisit": ratio(len(purchases), visits),
    }
    for page_type in PAGE_TYPES:
        viewed, title = len(of_type(events, "view", page_type)), page_type.capitalize()
        row[f"tot{title}"] = viewed
        row[f"totPercPage{title}"] = ratio(viewed, view_count)
        row[f"page{title}rVisit"] = ratio(viewed, visits)
    return row


def of_type(events: list[Event], type_: str, page_type: str | None = None) -> list[Event]:
    return [event for event in events if event["event"] == type_ and page_type in (None, event["page_type"])]


def pages(views: list[Event]) -> set[str]:
    return {view["page"] for view in views if view["page"] is not None}


def items(events: list[Event]) -> int:
    return sum(quantity(event) for event in events)


def cents(events: list[Event]) -> int:
    return sum(round((event["price"] or 0) * 100) * quantity(event) for event in events)


def quantity(event: Event) -> int:
    return 1 if event["quantity"] is None else event["quantity"]


def duration(visit: list[Event]) -> int:
    return second(visit[-1]) - second(visit[0]) if visit else 0


def second(event: Event) -> int:
    return (event["time"] - datetime(1970, 1, 1)) // timedelta(seconds=1)


def days(seconds: int) -> int:
    return seconds // 86_400


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0
