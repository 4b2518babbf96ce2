"""The sessions of the simulated shop: who comes when, on which device, on which mission and with how much intent.

Visitors return at a rhythm of their own, own one or two devices, and have habits (their pace, their use of tabs). A
visit serves a need, a theme and a shortlist of products that may last for several visits, and has a mission: to buy,
compare, browse, find bargains or get service. Mission, loyalty, hour, season, recency, device, prices, hurry and chance
add up to the session's latent intent to buy.
"""

import numpy as np

from stages.lib.common.params import Simulate
from stages.lib.simulation.catalog import (
    BARGAIN,
    BROWSERS,
    BUY,
    CATEGORIES,
    DESKTOP,
    DEVICES,
    HOUR_WEIGHTS,
    IOS_OFFSET,
    MISSION_BOUNCE,
    MISSION_INTENT,
    MISSION_LENGTH,
    MISSION_LOYALTY,
    MISSION_PHONE,
    MISSION_RETURN,
    MISSION_WEIGHT,
    MONTH_WEIGHTS,
    PHONE,
    PRICE_LEVEL,
    SCREENS,
    SYSTEMS,
    WEEKDAY_WEIGHTS,
)
from stages.lib.simulation.distributions import categorical, geometric, logistic, power_law_rank, sigmoid

Columns = dict[str, np.ndarray]

DAY_SECONDS = 86_400
WARM_UP_DAYS = 365  # before the log begins, in which visitors may already have come
SCORED_PER_VISITOR = 0.95  # mean number of scored sessions, which sets how many visitors are drawn
MAX_VISITS = 30
SCORED_VIEW = 3  # the page view at which a session is scored
MAX_VIEWS = 40
# `order_start` is the view at which a session's order begins: that of the product, then the cart and the checkout.
REORDER = -4  # the session opens in the middle of the checkout
NO_ORDER = 10 * MAX_VIEWS


def simulate_visits(rng: np.random.Generator, settings: Simulate) -> Columns:
    """Simulate all sessions, somewhat more than needed, in no particular order.

    Returns:
        Columns of shape (sessions,).
    """
    columns = _arrivals(rng, settings)
    columns |= _devices(rng, columns)
    columns |= _intents(rng, columns)
    return columns | _lengths(rng, columns)


def _arrivals(rng: np.random.Generator, settings: Simulate) -> Columns:
    """Who comes when, and with which need; visits are spread evenly first, then moved to the busy hours."""
    margin = 1.005 + 6 / np.sqrt(settings.sessions)
    visitors = int(settings.sessions * margin / SCORED_PER_VISITOR * (1 + WARM_UP_DAYS / settings.days)) + 10
    loyalty = logistic(rng, visitors)
    n_visits = np.minimum(1 + geometric(rng, np.exp(0.7 * loyalty + 0.1)), MAX_VISITS)
    visitor = np.repeat(np.arange(visitors), n_visits)
    first = np.cumsum(n_visits) - n_visits
    visit = np.arange(len(visitor)) - first[visitor]

    rhythm = np.exp(1.8 - 0.2 * loyalty + 0.7 * logistic(rng, visitors))  # median days between visits
    gap = np.maximum(rhythm[visitor] * np.exp(logistic(rng, len(visitor))), 0.1)
    has_two_devices = rng.random(visitors) < 0.3
    overlaps = has_two_devices[visitor] & (visit > 0) & (rng.random(len(visitor)) < 0.03)
    gap = np.where(overlaps, 0.002 + 0.006 * rng.random(len(visitor)), gap)
    first_arrival = (rng.random(visitors) * (settings.days + WARM_UP_DAYS) - WARM_UP_DAYS)[visitor]
    # In whole seconds, so that the cumulative sum is exact.
    steps = np.floor(np.where(visit == 0, first_arrival, gap) * DAY_SECONDS).astype(np.int64)
    elapsed = np.cumsum(steps)
    arrival = elapsed - (elapsed - steps)[first][visitor]

    on_second = has_two_devices[visitor] & (rng.random(len(visitor)) < 0.3)
    # Of two overlapping sessions, one is on the other device.
    on_second = np.where(overlaps, ~np.roll(on_second, 1), on_second)
    need = np.cumsum((visit == 0) | (rng.random(len(visitor)) < 0.35)) - 1
    columns = {
        "visitor": visitor,
        "loyalty": loyalty[visitor],
        "visit": visit,
        "gap": gap,
        "need": need,
        "same_need": np.concatenate([[False], need[1:] == need[:-1]]),  # as that of the visit before
        "device": 2 * visitor + on_second,
        "theme": rng.random(len(visitor))[need],
        "pace": logistic(rng, visitors)[visitor],
        "tab_habit": rng.random(visitors)[visitor],
        "major_city": (rng.random(visitors) < 0.37).astype(np.int64)[visitor],
    }
    in_log = (arrival >= 0) & (arrival < settings.days * DAY_SECONDS)
    columns = {name: column[in_log] for name, column in columns.items()}
    return columns | _calendar(arrival[in_log], settings)


def _calendar(arrival: np.ndarray, settings: Simulate) -> Columns:
    """Move evenly spread arrivals (seconds) so that they follow the weights of hour, weekday and month."""
    days = np.datetime64(settings.start) + np.arange(settings.days)
    month = days.astype("M8[M]")
    weekday = (settings.start.weekday() + np.arange(settings.days)) % 7
    weights = (WEEKDAY_WEIGHTS[weekday] * MONTH_WEIGHTS[month.astype(int) % 12])[:, None] * HOUR_WEIGHTS
    cumulative = np.concatenate([[0], np.cumsum(weights)]) / weights.sum()
    hours = np.arange(len(cumulative))
    start = np.interp(arrival / (settings.days * DAY_SECONDS), cumulative, hours * 3600).astype(np.int64)
    day_of_month = (days - month).astype(int)
    day = start // DAY_SECONDS
    return {
        "start": start,
        "day": day,
        "hour": start % DAY_SECONDS / 3600,
        "weekday": weekday[day],
        "month": month[day].astype(int) % 12,
        "payday": (day_of_month[day] + 5) % 31 < 8,
    }


def _devices(rng: np.random.Generator, sessions: Columns) -> Columns:
    """The device of every session. Windows on a desktop may be smaller than the screen, and are sometimes resized."""
    devices, size = int(sessions["device"].max()) + 1, len(sessions["device"])
    cumulative = np.cumsum([model.weight for model in DEVICES])
    model = np.searchsorted(cumulative, rng.random(devices) * cumulative[-1], side="right")
    device_types = np.array([model.device_type for model in DEVICES])
    screen_rows = device_types + IOS_OFFSET * np.array([model.system == "iOS" for model in DEVICES])
    screen = SCREENS[screen_rows[model], (rng.random(devices) * SCREENS.shape[1]).astype(int)]

    def draw_version(ranges: list[tuple[int, int]]) -> np.ndarray:
        low, high = np.array(ranges)[model].T
        return low + (rng.random(devices) * (high - low + 1)).astype(np.int64)

    system_version = draw_version([model.system_versions for model in DEVICES])
    browser_version = draw_version([model.browser_versions for model in DEVICES])
    window, device = rng.random(devices), sessions["device"]
    model, (width, height) = model[device], screen[device].T
    device_type = device_types[model]
    updates = np.array([model.browser_versions_per_year for model in DEVICES])
    window = np.where(rng.random(size) < 0.1, rng.random(size), window[device])
    # Half of the windows fill the screen.
    scale = np.where((window < 0.5) | (device_type != DESKTOP), 1, 1.25 - window / 2)
    toolbars = np.where(device_type == DESKTOP, 96 + (window * 80).astype(np.int64), 64)
    return {
        "device_type": device_type,
        "browser": np.array([BROWSERS.index(model.browser) for model in DEVICES])[model],
        "browser_version": browser_version[device] + sessions["day"] * updates[model] // 365,
        "operating_system": np.array([SYSTEMS.index(model.system) for model in DEVICES])[model],
        "operating_system_version": system_version[device],
        "screen_width": width,
        "screen_height": height,
        "window_width": (width * scale).astype(np.int64),
        "window_height": (height * scale).astype(np.int64) - toolbars,
    }


def _intents(rng: np.random.Generator, sessions: Columns) -> Columns:
    """Mission and latent intent (standardized) of every session; their causes interact, as they do in a shop."""
    s, size = sessions, len(sessions["visitor"])
    phone, desktop, same_need = s["device_type"] == PHONE, s["device_type"] == DESKTOP, s["same_need"]
    log_weights = (
        np.outer(s["loyalty"], MISSION_LOYALTY) + np.outer(same_need, MISSION_RETURN) + np.outer(phone, MISSION_PHONE)
    )
    mission = categorical(rng, MISSION_WEIGHT * np.exp(log_weights))
    price_level = PRICE_LEVEL[power_law_rank(s["theme"], CATEGORIES)]
    hurry = s["pace"] + 0.6 * logistic(rng, size)
    office_hours = (s["weekday"] < 5) & (s["hour"] > 8) & (s["hour"] < 17)
    evening = np.cos((s["hour"] - 20.5) * (np.pi / 12))
    recency = np.where(s["visit"] > 0, np.log(s["gap"] / 3), 9.0)
    focused = (mission == BUY) | (mission == BARGAIN)
    intent = (
        MISSION_INTENT[mission]
        + 0.45 * np.minimum(s["loyalty"], 1)
        + 0.8 * np.exp(-(recency**2)) * np.where(same_need, 1, 0.3)  # highest three days after the last visit
        + np.where(phone, 0.5 * evening - 0.5, 0.1 * evening)
        + 0.5 * (desktop & office_hours)
        + np.where(focused, 0.6, -0.5) * hurry  # visitors who know what they want are quick
        - np.where(mission == BARGAIN, 0.7, 0.15) * price_level
        + s["payday"] * (0.3 + 0.5 * price_level)
        + 0.25 * (s["month"] >= 10)
        + 0.15 * (s["weekday"] == 6)
        + 0.1 * s["major_city"]
        + 0.45 * logistic(rng, size)
    )
    return {"mission": mission, "hurry": hurry, "intent": (intent - intent.mean()) / intent.std()}


def _lengths(rng: np.random.Generator, sessions: Columns) -> Columns:
    """The number of page views of each session if nothing is bought; a few loyal visitors re-order at once."""
    mission, intent, size = sessions["mission"], sessions["intent"], len(sessions["mission"])
    phone = sessions["device_type"] == PHONE
    bounce = sigmoid(MISSION_BOUNCE[mission] - 0.4 * intent + 0.3 * phone - 0.6)
    uniform = rng.random(size)
    length = np.minimum(SCORED_VIEW + geometric(rng, MISSION_LENGTH[mission]), MAX_VIEWS)
    length = np.where(uniform < bounce, 1, np.where(uniform < bounce + 0.25 * (1 - bounce), 2, length))
    reorders = (sessions["visit"] > 1) & (mission == BUY) & (rng.random(size) < 0.04)
    length = np.where(reorders, 2 + (rng.random(size) < 0.4), length)
    return {"length": length, "order_start": np.where(reorders, REORDER, NO_ORDER)}
