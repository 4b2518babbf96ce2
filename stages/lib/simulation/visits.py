"""The sessions of the simulated shop: who comes when, on which device, with which mission and intent.

Visitors come back in their own rhythm, own one or two devices and have habits (pace, tabs). A visit serves a
need (a theme and a short list of products, kept over several visits) and has a mission: buy, compare, browse,
hunt bargains, seek service. Mission, loyalty, hour, season, recency, device, prices, hurry and chance make
the latent intent of the session.
"""

from __future__ import annotations

import numpy as np

from stages.lib.common.params import Simulate
from stages.lib.simulation.catalog import (
    APPLE,
    BARGAIN,
    BROWSERS,
    BUY,
    CATEGORIES,
    DEAR,
    DESKTOP,
    DEVICES,
    HOUR,
    MISSION_BOUNCE,
    MISSION_INTENT,
    MISSION_LENGTH,
    MISSION_LOYALTY,
    MISSION_PHONE,
    MISSION_RETURN,
    MISSION_WEIGHT,
    MONTH,
    PHONE,
    SCREENS,
    SYSTEMS,
    WEEKDAY,
)
from stages.lib.simulation.distributions import bell, chance, count, pick, rank

Columns = dict[str, np.ndarray]

DAY = 86_400  # seconds
WARM_UP = 365  # days before the log in which visitors may already have come
SCORED_PER_VISITOR = 0.95  # calibration: scored sessions of a visitor, all told
MAX_VISITS = 30
SCORED_AT = 3  # the page view at which a session is scored
MAX_VIEWS = 40
EXPRESS, NEVER = -4, 10 * MAX_VIEWS  # basket_at of a re-order and of a session without a purchase


def sessions_of(rng: np.random.Generator, settings: Simulate) -> Columns:
    """One entry a session, somewhat more than needed, in no special order."""
    columns = _visits(rng, settings)
    columns |= _devices(rng, columns)
    columns |= _intents(rng, columns)
    return columns | _lengths(rng, columns)


def _visits(rng: np.random.Generator, settings: Simulate) -> Columns:
    """Who comes when. Visits are laid out evenly, then bent to the calendar of busy and quiet hours."""
    reserve = 1.005 + 6 / np.sqrt(settings.sessions)
    visitors = int(settings.sessions * reserve / SCORED_PER_VISITOR * (1 + WARM_UP / settings.days)) + 10
    loyalty = bell(rng, visitors)
    times = np.minimum(1 + count(rng, np.exp(0.7 * loyalty + 0.1)), MAX_VISITS)
    visitor = np.repeat(np.arange(visitors), times)
    first = np.cumsum(times) - times
    number = np.arange(len(visitor)) - first[visitor]

    rhythm = np.exp(1.8 - 0.2 * loyalty + 0.7 * bell(rng, visitors))  # median days between visits
    gap = np.maximum(rhythm[visitor] * np.exp(bell(rng, len(visitor))), 0.1)
    two_devices = rng.random(visitors) < 0.3
    together = two_devices[visitor] & (number > 0) & (rng.random(len(visitor)) < 0.03)
    gap = np.where(together, 0.002 + 0.006 * rng.random(len(visitor)), gap)
    arrival = (rng.random(visitors) * (settings.days + WARM_UP) - WARM_UP)[visitor]
    # Whole seconds, so that the running sum is exact
    steps = np.floor(np.where(number == 0, arrival, gap) * DAY).astype(np.int64)
    walked = np.cumsum(steps)
    even = walked - (walked - steps)[first][visitor]

    second = two_devices[visitor] & (rng.random(len(visitor)) < 0.3)
    second = np.where(together, ~np.roll(second, 1), second)  # two sessions at once are on two devices
    need = np.cumsum((number == 0) | (rng.random(len(visitor)) < 0.35)) - 1
    back = np.concatenate([[False], need[1:] == need[:-1]])
    columns = {
        "visitor": visitor,
        "loyalty": loyalty[visitor],
        "number": number,
        "gap": gap,
        "need": need,
        "back": back,
        "device": 2 * visitor + second,
        "theme": rng.random(len(visitor))[need],
        "pace": bell(rng, visitors)[visitor],
        "habit": rng.random(visitors)[visitor],
        "major_city": (rng.random(visitors) < 0.37).astype(np.int64)[visitor],
    }
    inside = (even >= 0) & (even < settings.days * DAY)
    columns = {name: column[inside] for name, column in columns.items()}
    return columns | _calendar(even[inside], settings)


def _calendar(even: np.ndarray, settings: Simulate) -> Columns:
    """Start times, bent so that they follow the profiles of hour, weekday and month."""
    days = np.datetime64(settings.start) + np.arange(settings.days)
    month = days.astype("M8[M]")
    weekday = (settings.start.weekday() + np.arange(settings.days)) % 7
    busy = (WEEKDAY[weekday] * MONTH[month.astype(int) % 12])[:, None] * HOUR
    shares = np.concatenate([[0], np.cumsum(busy)]) / busy.sum()
    start = np.interp(even / (settings.days * DAY), shares, np.arange(len(shares)) * 3600).astype(np.int64)
    day_of_month = (days - month).astype(int)
    day = start // DAY
    return {
        "start": start,
        "day": day,
        "hour": start % DAY / 3600,
        "weekday": weekday[day],
        "month": month[day].astype(int) % 12,
        "payday": (day_of_month[day] + 5) % 31 < 8,
    }


def _devices(rng: np.random.Generator, sessions: Columns) -> Columns:
    """The device of every session. Desktop windows are smaller than the screen and now and then resized."""
    kinds, systems, system_range, browsers, browser_range, growth, weights = zip(*DEVICES, strict=True)
    devices, size = int(sessions["device"].max()) + 1, len(sessions["device"])
    cumulated = np.cumsum(weights)
    model = np.searchsorted(cumulated, rng.random(devices) * cumulated[-1], side="right")
    row = np.array(kinds) + APPLE * (np.array(systems) == "iOS")
    screen = SCREENS[row[model], (rng.random(devices) * SCREENS.shape[1]).astype(int)]

    def version(ranges: tuple) -> np.ndarray:
        low, high = np.array(ranges)[model].T
        return low + (rng.random(devices) * (high - low + 1)).astype(np.int64)

    system_version, browser_version = version(system_range), version(browser_range)
    window, device = rng.random(devices), sessions["device"]
    model, (width, height) = model[device], screen[device].T
    kind = np.array(kinds)[model]
    window = np.where(rng.random(size) < 0.1, rng.random(size), window[device])
    # Half of the windows fill the screen
    filled = np.where((window < 0.5) | (kind != DESKTOP), 1, 1.25 - window / 2)
    bars = np.where(kind == DESKTOP, 96 + (window * 80).astype(np.int64), 64)
    return {
        "kind": kind,
        "browser": np.array([BROWSERS.index(name) for name in browsers])[model],
        "browser_version": browser_version[device] + sessions["day"] * np.array(growth)[model] // 365,
        "operating_system": np.array([SYSTEMS.index(name) for name in systems])[model],
        "operating_system_version": system_version[device],
        "screen_width": width,
        "screen_height": height,
        "window_width": (width * filled).astype(np.int64),
        "window_height": (height * filled).astype(np.int64) - bars,
    }


def _intents(rng: np.random.Generator, sessions: Columns) -> Columns:
    """Mission and latent intent of every session; the effects interact, as they do in a shop."""
    s, size = sessions, len(sessions["visitor"])
    phone, desktop, back = s["kind"] == PHONE, s["kind"] == DESKTOP, s["back"]
    mission = pick(
        rng,
        MISSION_WEIGHT
        * np.exp(
            np.outer(s["loyalty"], MISSION_LOYALTY) + np.outer(back, MISSION_RETURN) + np.outer(phone, MISSION_PHONE)
        ),
    )
    dear = DEAR[rank(s["theme"], CATEGORIES)]
    hurry = s["pace"] + 0.6 * bell(rng, size)
    office = (s["weekday"] < 5) & (s["hour"] > 8) & (s["hour"] < 17)
    evening = np.cos((s["hour"] - 20.5) * (np.pi / 12))
    days_ago = np.where(s["number"] > 0, np.log(s["gap"] / 3), 9.0)
    focused = (mission == BUY) | (mission == BARGAIN)
    intent = (
        MISSION_INTENT[mission]
        + 0.45 * np.minimum(s["loyalty"], 1)
        + 0.8 * np.exp(-(days_ago**2)) * np.where(back, 1, 0.3)  # after some days a need has ripened
        + np.where(phone, 0.5 * evening - 0.5, 0.1 * evening)
        + 0.5 * (desktop & office)
        + np.where(focused, 0.6, -0.5) * hurry  # who knows what to buy is quick
        - np.where(mission == BARGAIN, 0.7, 0.15) * dear
        + s["payday"] * (0.3 + 0.5 * dear)
        + 0.25 * (s["month"] >= 10)
        + 0.15 * (s["weekday"] == 6)
        + 0.1 * s["major_city"]
        + 0.45 * bell(rng, size)
    )
    return {"mission": mission, "hurry": hurry, "intent": (intent - intent.mean()) / intent.std()}


def _lengths(rng: np.random.Generator, sessions: Columns) -> Columns:
    """How many pages each session would see without buying; a few loyal visitors re-order at once."""
    mission, intent, size = sessions["mission"], sessions["intent"], len(sessions["mission"])
    phone = sessions["kind"] == PHONE
    bounce = chance(MISSION_BOUNCE[mission] - 0.4 * intent + 0.3 * phone - 0.6)
    drawn = rng.random(size)
    length = np.minimum(SCORED_AT + count(rng, MISSION_LENGTH[mission]), MAX_VIEWS)
    length = np.where(drawn < bounce, 1, np.where(drawn < bounce + 0.25 * (1 - bounce), 2, length))
    express = (sessions["number"] > 1) & (mission == BUY) & (rng.random(size) < 0.04)
    length = np.where(express, 2 + (rng.random(size) < 0.4), length)
    return {"length": length, "basket_at": np.where(express, EXPRESS, NEVER)}
