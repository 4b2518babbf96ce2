"""What is done to the events of whole visitors: duplicates left out, sessions made, sessions of bots left out."""

from dataclasses import dataclass

import ibis
from ibis import _
from ibis.expr.types import Table

from stages.lib.common.params import Clicks
from stages.lib.dataset.left_out import LeftOut
from stages.lib.preparation.events import SESSION

MICROSECONDS_PER_MINUTE = 60 * 10**6


@dataclass
class Removed:
    """How many rows and sessions were left out, over all partitions of a log."""

    duplicates: int = 0
    long_sessions: int = 0
    long_session: str | None = None  # one of them

    def report(self, clicks: Clicks, left_out: LeftOut) -> None:
        left_out.add(
            "left out rows that are the same in every column as another",
            self.duplicates,
            hint="prepare.clicks.duplicates",
        )
        left_out.add(
            f"left out sessions of more than {clicks.max_events_per_session} events",
            self.long_sessions,
            self.long_session,
            "prepare.clicks.max_events_per_session",
        )


def complete_sessions(events: Table, clicks: Clicks, removed: Removed) -> Table:
    """The events with a session each, without duplicates and without the sessions of bots.

    Args:
        events: all events of some visitors.
        clicks: what to leave out, and what ends a session.
        removed: its counts are increased.
    """
    if "row" in events.columns:
        events = _without_duplicates(events, removed)
    if "microsecond" in events.columns:
        events = cut_sessions(events, clicks.session_gap)
    if clicks.max_events_per_session is not None:
        events = _without_long_sessions(events, clicks.max_events_per_session, removed)
    return events


def cut_sessions(events: Table, gap: float) -> Table:
    """Cut each visitor's events into sessions: one ends where no event follows within `gap` minutes.

    A session is called by the time of its first event, in microseconds since 1970: unlike a number, this does not
    depend on earlier sessions.
    """
    in_order = ibis.window(group_by="visitor", order_by="microsecond")
    pause = events.microsecond - events.microsecond.lag().over(in_order)
    events = events.mutate(is_start=(pause > round(gap * MICROSECONDS_PER_MINUTE)).fill_null(True).cast("int64"))
    # By range, not by rows: events of the same time are in no order, and the first of them starts the session of all.
    until_now = ibis.range_window(following=0, group_by="visitor", order_by="microsecond")
    events = events.mutate(number=events.is_start.sum().over(until_now))
    start = events.microsecond.min().over(group_by=["visitor", "number"])
    return events.mutate(session=start).drop("is_start", "number", "microsecond")


def _without_duplicates(events: Table, removed: Removed) -> Table:
    same = ["visitor", "time", "row"]
    distinct = events.select(same).distinct()
    counts = events.aggregate(rows=_.count()).cross_join(distinct.aggregate(distinct=_.count()))
    (row,) = counts.to_pyarrow().to_pylist()
    duplicates = row["rows"] - row["distinct"]
    removed.duplicates += duplicates
    return (events.distinct(on=same) if duplicates else events).drop("row")


def _without_long_sessions(events: Table, limit: int, removed: Removed) -> Table:
    long_sessions = events.group_by(SESSION).aggregate(events=_.count()).filter(_.events > limit).cache()
    counts = long_sessions.aggregate(sessions=_.count(), example=_.session.cast("string").min())
    (row,) = counts.to_pyarrow().to_pylist()
    removed.long_sessions += row["sessions"]
    removed.long_session = removed.long_session or row["example"]
    return events.anti_join(long_sessions, SESSION) if row["sessions"] else events
