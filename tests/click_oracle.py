"""What a session table should hold, worked out event by event, and random click logs to work it out for."""

import random
from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise

KINDS = ["view", "click", "scroll", "tab", "add", "remove", "purchase"]
ROLES = ["product", "search", "overview", "sale", "cart"]
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
NEEDED = ["time", "visitor", "session", "event"]
CONTENT = ["page", "page_type", "price", "quantity", "checkout_step", *DEVICE.values()]
COLUMNS = [*NEEDED, *CONTENT]


# The oracle -------------------------------------------------------


def session_rows(log: list[dict], page_view: int) -> list[dict]:
    """A row a scored session: its keys, 95 features and target, ordered by start, visitor and session."""
    visits = visits_of(log)
    rows = []
    for key, visit in visits.items():
        place = scored_place(visit, page_view)
        if place is not None:
            rows.append(session_row(visit, place, earlier_visits(visits, key)))
    return sorted(rows, key=lambda row: (row["time"], row["visitor"], row["session"]))


def visits_of(log: list[dict]) -> dict[tuple, list[dict]]:
    """The events of each visit, in order. Events of no known kind are nothing that happened in it."""
    visits = defaultdict(list)
    for event in log:
        if event["event"] in KINDS:
            visits[event["visitor"], event["session"]].append(event)
    return {key: sorted(events, key=in_order) for key, events in visits.items()}


def in_order(event: dict) -> tuple:
    content = [(event[name] is None, event[name]) for name in CONTENT]
    return event["time"], KINDS.index(event["event"]), content


def scored_place(visit: list[dict], page_view: int) -> int | None:
    """Where in the visit its N-th page view stands; None if it has none or there is a purchase before."""
    places = [place for place, event in enumerate(visit) if event["event"] == "view"]
    if len(places) < page_view or having(visit[: places[page_view - 1]], "purchase"):
        return None
    return places[page_view - 1]


def earlier_visits(visits: dict, key: tuple) -> list[list[dict]]:
    """The visitor's visits that were over before this one started, the last one last."""
    start = second(visits[key][0])
    past = [(second(visit[-1]), other[1], visit) for other, visit in visits.items() if other[0] == key[0]]
    return [visit for end, _, visit in sorted(past, key=lambda one: one[:2]) if end < start]


def session_row(visit: list[dict], place: int, past: list[list[dict]]) -> dict:
    seen, now, start = visit[: place + 1], visit[place], visit[0]["time"]
    views = having(seen, "view")
    stays = [(view["page_type"], second(after) - second(view)) for view, after in pairwise(views)]
    adds = having(seen, "add")
    seconds = second(now) - second(visit[0])
    row = {"visitor": now["visitor"], "session": now["session"], "time": start}
    row |= {
        "month": start.month,
        "sessionStartHour": start.hour,
        "dayOfMonth": start.day,
        "weekday": start.weekday(),
        "sessionTime": seconds,
        "category": now["page_type"],
        "pageVisitedBeforeSession": len(pages(views[:-1])),
        "amountBasketSession": (cents(adds) - cents(having(seen, "remove"))) / 100,
        "totalItemValueBasketSession": items(adds),
        "countPagesRevisited": sum(view["page"] in pages(views[:at]) for at, view in enumerate(views)),
        "timeOnPage": stays[-1][1] if stays else 0,
        "checkoutStep": max([event["checkout_step"] or 0 for event in seen]),
        "clickEventsSession": len(having(seen, "click")),
        "scrollEventSession": len(having(seen, "scroll")),
        "tabSwitchSession": len(having(seen, "tab")),
        "timeSinceAddToBasket": second(now) - second(adds[-1]) if adds else -1,
        "timeSpentOnCart": sum(stay for role, stay in stays if role == "cart"),
        "timeSpentOnProduct": sum(stay for role, stay in stays if role == "product"),
    }
    for role in ROLES:
        viewed, Role = len(having(seen, "view", role)), role.capitalize()
        row[f"session{Role}"] = viewed
        row[f"percPage{Role}"] = ratio(viewed, len(views))
        row[f"clickEvent{Role}"] = ratio(len(having(seen, "click", role)), viewed)
        row[f"scrollEvent{Role}"] = ratio(len(having(seen, "scroll", role)), viewed)
        switch = f"tabswitch{Role}" if role in ("sale", "cart") else f"tabSwitch{Role}"
        row[switch] = ratio(len(having(seen, "tab", role)), viewed)
    row |= against_last_visit(visit, views, seconds, past[-1] if past else [])
    row |= against_all_visits(visit, views, seconds, past)
    row |= {name: now[column] for name, column in DEVICE.items()}
    row["visitorKnown"] = int(bool(past))
    row["Kauf"] = int(bool(having(visit[place + 1 :], "purchase")))
    return row


def against_last_visit(visit: list[dict], views: list[dict], seconds: int, last: list[dict]) -> dict:
    last_views = having(last, "view")
    row = {f"page{role.capitalize()}LV": len(having(last, "view", role)) for role in ROLES}
    return row | {
        "purchaseLV": len(having(last, "purchase")),
        "productBasketLV": items(having(last, "add")),
        "exitEqualLanding": int(bool(last_views) and views[0]["page"] in pages(last_views[-1:])),
        "visitTimeLV": duration(last),
        "currentViewCountVsLV": ratio(len(views), len(last_views)),
        "currentVisittimeVsLV": ratio(seconds, duration(last)),
        "recencyVisit": days(second(visit[0]) - second(last[0])) if last else -1,
        "countPagesRevisitedLastSession": len(pages(views) & pages(last_views)),
        "currentPageVisitedLastTime": int(views[-1]["page"] in pages(last_views)),
    }


def against_all_visits(visit: list[dict], views: list[dict], seconds: int, past: list[list[dict]]) -> dict:
    events = [event for earlier in past for event in earlier]
    purchases, visits = having(events, "purchase"), len(past)
    view_count, visit_time = len(having(events, "view")), sum(duration(earlier) for earlier in past)
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
    for role in ROLES:
        viewed, Role = len(having(events, "view", role)), role.capitalize()
        row[f"tot{Role}"] = viewed
        row[f"totPercPage{Role}"] = ratio(viewed, view_count)
        row[f"page{Role}rVisit"] = ratio(viewed, visits)
    return row


def having(events: list[dict], kind: str, role: str | None = None) -> list[dict]:
    return [event for event in events if event["event"] == kind and role in (None, event["page_type"])]


def pages(views: list[dict]) -> set[str]:
    return {view["page"] for view in views if view["page"] is not None}


def items(events: list[dict]) -> int:
    return sum(quantity(event) for event in events)


def cents(events: list[dict]) -> int:
    return sum(round((event["price"] or 0) * 100) * quantity(event) for event in events)


def quantity(event: dict) -> int:
    return 1 if event["quantity"] is None else event["quantity"]


def duration(visit: list[dict]) -> int:
    return second(visit[-1]) - second(visit[0]) if visit else 0


def second(event: dict) -> int:
    return (event["time"] - datetime(1970, 1, 1)) // timedelta(seconds=1)


def days(seconds: int) -> int:
    return seconds // 86_400


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0


# Random logs ------------------------------------------------------


def random_log(seed: int, visitors: int = 40) -> list[dict]:
    """Sessions that overlap, touch at a second and hold ties in time; visitors share the sessions' names."""
    rng = random.Random(seed)
    log = []
    for visitor in range(visitors):
        start = datetime(2019, 12, 27) + timedelta(seconds=rng.randrange(9 * 86_400))
        for session in rng.sample(range(9), rng.randint(1, 6)):
            visit = random_visit(rng, f"v{visitor}", f"s{session}", start)
            end = visit[-1]["time"]
            log += visit
            between = start + (end - start) * rng.random()
            later = end + timedelta(seconds=rng.choice([0, 1, 900, 86_400 * rng.randint(1, 5)]))
            start = rng.choice([between.replace(microsecond=0), later, later])
    return log


def random_visit(rng: random.Random, visitor: str, session: str, time: datetime) -> list[dict]:
    device = {name: rng.randint(1, 3) for name in DEVICE.values()}
    device |= {name: rng.choice(["a", "b", None]) for name in ("browser", "operating_system")}
    keys = {"visitor": visitor, "session": session}
    steps = [0] if rng.random() < 0.1 else [0, 0, 0, 0.5, 1, 7, 90, 90, 600]
    visit, role = [], None
    for _ in range(rng.randint(1, 22)):
        event = random_event(rng, rng.choices([*KINDS, "hover"], [9, 3, 3, 3, 3, 1, 0.6, 1])[0])
        if event["event"] != "view" and rng.random() < 0.6:
            event["page_type"] = role
        role = event["page_type"]
        visit.append(keys | device | event | {"time": time})
        time += timedelta(seconds=rng.choice(steps) if rng.random() < 0.97 else rng.randrange(2 * 86_400))
    return visit


def random_event(rng: random.Random, kind: str) -> dict:
    basket = kind in ("add", "remove", "purchase")
    return {
        "event": kind,
        "page": rng.choice(["/a", "/b", "/c", "/d", "/e", None]),
        "page_type": rng.choice([*ROLES, "product", "cart", "help", None]),
        "price": round(rng.uniform(0.01, 99), 2) if basket and rng.random() < 0.9 else None,
        "quantity": rng.randint(1, 4) if basket and rng.random() < 0.8 else None,
        "checkout_step": rng.randint(1, 4) if rng.random() < 0.1 else None,
        "window_width": rng.choice([800, 1200]),
        "tab_visible": rng.choice([0, 1, None]),
    }
