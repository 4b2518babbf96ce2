"""A small shop's log as trackers write it: with replays, log-ins, missing ids, refunds, and without session ids."""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from helpers import PrepareTable, StageResult

from stages.lib.dataset.sessions import read_sessions

OUTPUT = Path("prepared.parquet")
OPTIONAL = ("left out the features",)  # of columns that the log lacks
PARAMS: dict[str, Any] = {"prepare.source_type": "clicks", "prepare.target": "bought"}
VISITORS, SESSIONS, SCORED, PURCHASES = 50, 100, 75, 25
NO_SESSION = {"prepare.clicks.columns": {"time": "time", "visitor": "visitor", "session": None, "event": "event"}}


def shop_log() -> pd.DataFrame:
    """Each visitor has two sessions, days apart; every fourth session ends early, and every fourth in a purchase."""
    rows = []
    for number in range(SESSIONS):
        visitor, time = number // 2, pd.Timestamp("2024-03-10") + timedelta(hours=30 * number)
        names = ["view", "view"] if number % 4 == 0 else ["view", "add", "view", "view", "view"]
        for position, event in enumerate([*names, *["purchase"] * (number % 4 == 3)]):
            time += timedelta(seconds=10 + 7 * (number % 5) + position)
            page = f"p{(number * 3 + position) % 11}"
            rows.append((time, f"u{visitor:02}", f"s{number:03}", event, page, 5.0 + number % 7, 1))
    return pd.DataFrame(rows, columns=["time", "visitor", "session", "event", "page", "price", "quantity"])


LOG = shop_log()
BUYING = LOG.session.isin(LOG.session[LOG.event == "purchase"])
SOME = LOG.visitor.isin(LOG.visitor.unique()[::4])  # the events of every fourth visitor
FIRST = SOME & (LOG.visitor == "u00")


@dataclass(frozen=True)
class TrackerLog:
    """A log that differs from LOG as some trackers' do, the params to read it, and what is reported of it."""

    rows: pd.DataFrame
    params: dict[str, Any] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    scored: int = SCORED
    purchases: int = PURCHASES


def marked(text: Any, column: str = "visitor") -> pd.DataFrame:
    """The log in which some visitors' events have this text in place of an id."""
    return LOG.assign(**{column: LOG[column].astype(object).mask(SOME, text)})


def with_rows(**changes: Any) -> pd.DataFrame:
    """The log with one more purchase, with these values, in each session of three views without one."""
    last = LOG.groupby("session").tail(1)
    last = last[last.session.str[1:].astype(int) % 4 % 3 > 0]
    return pd.concat([LOG, last.assign(event="purchase", time=last.time + timedelta(seconds=1), **changes)])


def missing_visitors(example: str) -> tuple[str, ...]:
    return (
        "column 'visitor': rows without a visitor; the first one of the session stands for it, or the session itself: "
        f"{SOME.sum()}{example}",
    )


def shared(count: int) -> tuple[str, ...]:
    return (
        f"column 'session': sessions of several visitors count for the first one: {count}, such as 's003' "
        "(prepare.clicks.session_ids)",
    )


LOGGED_IN = LOG.visitor.where(LOG.event != "purchase", "account-" + LOG.visitor)
TWICE = ("left out rows that are the same in every column as another: {} (prepare.clicks.duplicates)",)
REFUNDS = "left out purchases with a negative price or quantity, which are refunds or canceled orders: 50"
MISSING = ["null", "NULL", "None", "NaN", "undefined", "(not set)", "N/A", " null ", "Undefined", "", r"\N"]
NO_EVENT_AGAIN = {"prepare.clicks.missing_session": "drop"}

LOGS = {
    "as it should be": TrackerLog(LOG),
    "visitors that are words for missing values": TrackerLog(
        LOG.assign(visitor=LOG.visitor.replace(dict(zip(LOG.visitor.unique()[::4], cycle(MISSING), strict=False)))),
        findings=missing_visitors(""),  # of which the first, "", makes no example
    ),
    "visitors that are a param's word": TrackerLog(
        marked("guest"), {"prepare.na_values": ["guest"]}, missing_visitors(", such as 'guest'")
    ),
    "visitors that are null": TrackerLog(marked(None), findings=missing_visitors("")),
    "numbered visitors with gaps": TrackerLog(
        LOG.assign(visitor=LOG.visitor.str[1:].astype(int).mask(SOME)), findings=missing_visitors("")
    ),
    "some rows without a session": TrackerLog(
        LOG.assign(session=LOG.session.mask(LOG.index.isin([4, 200]))),
        NO_EVENT_AGAIN,
        ("column 'session': left out the rows without a session: 2 (prepare.clicks.missing_session)",),
    ),
    "some rows with a word for no session": TrackerLog(
        LOG.assign(session=LOG.session.mask(LOG.index.isin([4, 200]), "(not set)")),
        NO_EVENT_AGAIN,
        (
            "column 'session': left out the rows without a session: 2, such as '(not set)' "
            "(prepare.clicks.missing_session)",
        ),
    ),
    "a log-in before the purchase": TrackerLog(LOG.assign(visitor=LOGGED_IN), findings=shared(25)),
    "a log-in and a log-out": TrackerLog(
        LOG.assign(visitor=LOGGED_IN.mask((LOG.event == "add") & BUYING, "x" + LOG.visitor)), findings=shared(25)
    ),
    "ids that are unique within a visitor only": TrackerLog(
        LOG.assign(session=LOG.session.str[1:].astype(int) % 2), {"prepare.clicks.session_ids": "per_visitor"}
    ),
    "no sessions": TrackerLog(LOG[["time", "visitor", "event"]], NO_SESSION),
    "no sessions, and every row twice": TrackerLog(
        pd.concat([LOG, LOG])[["time", "visitor", "event"]], NO_SESSION, (TWICE[0].format(len(LOG)),)
    ),
    "every row twice": TrackerLog(pd.concat([LOG, LOG]), findings=(TWICE[0].format(len(LOG)),)),
    "some rows three times": TrackerLog(
        pd.concat([LOG, LOG[SOME], LOG[SOME]]), findings=(TWICE[0].format(2 * SOME.sum()),)
    ),
    "refunds with a negative price": TrackerLog(with_rows(price=-5.0), findings=(REFUNDS,)),
    "canceled orders with a negative quantity": TrackerLog(with_rows(quantity=-1), findings=(REFUNDS,)),
    "an event that no param maps": TrackerLog(
        pd.concat([LOG, LOG[SOME].assign(event="wishlist")]),
        findings=(f"column 'event': left out the events 'wishlist': {SOME.sum()} (no name in prepare.clicks.events)",),
    ),
    "some events without a name": TrackerLog(
        pd.concat([LOG, LOG[SOME].assign(event=None)]),
        findings=(f"column 'event': left out the rows without an event name: {SOME.sum()}",),
    ),
    "prices that are not numbers": TrackerLog(
        LOG.assign(price=LOG.price.astype(str).mask(SOME, "$5.00")),
        findings=(
            f"column 'price': values that are not numbers up to 1,000,000,000 are missing: {SOME.sum()}, such as "
            "'$5.00' (prepare.decimal, prepare.thousands, prepare.units)",
        ),
    ),
    "a bot": TrackerLog(
        pd.concat([LOG, *[LOG[FIRST].assign(session="bot", page=f"b{number}") for number in range(20)]]),
        {"prepare.clicks.max_events_per_session": 100},
        ("left out sessions of more than 100 events, such as 'bot' (prepare.clicks.max_events_per_session)",),
    ),
}


def prepared_table(prepare: PrepareTable, log: TrackerLog, name: str, **changes: Any) -> tuple[pa.Table, list[str]]:
    """The session table of a log, and what was reported."""
    ran = prepare(log.rows, name, **PARAMS | columns_of(log.rows) | log.params | changes)
    assert ran.code == 0, ran.err
    return read_sessions(OUTPUT).to_arrow(), reported(ran)


def columns_of(rows: pd.DataFrame) -> dict[str, Any]:
    return {"prepare.clicks.columns": {str(name): name for name in rows}}


def reported(ran: StageResult) -> list[str]:
    return [line for line in ran.out.splitlines()[:-1] if not line.startswith(OPTIONAL)]


def file_of(name: str) -> str:
    """The file in which the log of LOGS with this name is written: half of them are csv files."""
    return "a.csv" if len(name) % 2 else "a.parquet"
