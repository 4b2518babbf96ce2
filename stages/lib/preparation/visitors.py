"""Each session gets one visitor, also if its events name several of them, or none."""

import ibis
from ibis import _
from ibis.expr.types import Table

from stages.lib.common.errors import InputError
from stages.lib.common.params import Clicks
from stages.lib.dataset.left_out import LeftOut
from stages.lib.preparation.events import Events

MAX_VISITORS = 20  # of one session; more of them share an id such as 1, not a session
SESSION_IDS = "prepare.clicks.session_ids"
STAND_IN = "session "  # before the id of a session that stands for its visitor


def assign_visitors(events: Events, clicks: Clicks, left_out: LeftOut) -> tuple[Table, int]:
    """Complete the visitors and sessions of the events, so that each session has one visitor.

    Events of one session may name several visitors, such as an anonymous one and the account that she logs in to. They
    are one session, of the first visitor that was known when it is first scored: a later one may be known only because
    of a purchase. Where no visitor is known by then, the session stands for the visitor.

    Args:
        events: of `normalize_events`.
        clicks: whether sessions of two visitors may have the same id, and what to do about a missing session.
        left_out: gets what is left out or changed.

    Returns:
        The events, and their number. If the log has no sessions, they are still null.

    Raises:
        InputError: an event has no session, unless params say to drop it, or an id is that of very many visitors.
    """
    table, n_events = _with_session(events, clicks, left_out)
    if clicks.columns["session"] is None:
        return table, n_events
    shared = _shared_sessions(table, bool(events.without_visitor.count)) if clicks.session_ids == "global" else None
    if events.without_visitor.count:
        # The word keeps a session apart from a visitor with the same id.
        stand_in = ibis.literal(STAND_IN) + table.session.cast("string")
        table = table.mutate(visitor=table.visitor.cast("string"), stand_in=stand_in)
        left_out.add(
            f"column '{clicks.columns['visitor']}': rows without a visitor; the first one of the session stands for "
            "it, or the session itself",
            events.without_visitor.count,
            events.without_visitor.example,
        )
    if shared is not None:
        owners = _first_visitors(table.semi_join(shared, "session"), min(clicks.score_at_views)).cache()
        _report_shared(owners, clicks, left_out)
        table = table.left_join(owners.select("session", "owner", is_shared=True), "session").drop("session_right")
        owner = table.owner if "stand_in" in table.columns else table.owner.coalesce(table.visitor)
        table = table.mutate(visitor=table.is_shared.notnull().ifelse(owner, table.visitor)).drop("owner", "is_shared")
    if "stand_in" in table.columns:
        table = table.mutate(visitor=table.visitor.coalesce(table.stand_in)).drop("stand_in")
    return table, n_events


def _with_session(events: Events, clicks: Clicks, left_out: LeftOut) -> tuple[Table, int]:
    """The events with a session, or with a visitor of whose events sessions can be made, and their number."""
    role = "session" if clicks.columns["session"] is not None else "visitor"
    without = events.without_session if role == "session" else events.without_visitor
    if not without.count:
        return events.table, events.count
    column, hint = clicks.columns[role], "prepare.clicks.missing_session"
    if clicks.missing_session == "error":
        problem = f"no {role} in {without.count} of {events.n_rows} rows"
        raise InputError(f"column '{column}': {problem}; set {hint} to drop to leave them out")
    left_out.add(f"column '{column}': left out the rows without a {role}", without.count, without.example, hint)
    return events.table.filter(events.table[role].notnull()), events.count - without.count


def _shared_sessions(events: Table, some_without_visitor: bool) -> Table | None:
    """The sessions whose events name several visitors, or one in some rows only; None if there are none."""
    by_session = events.group_by("session")
    if some_without_visitor:
        sessions = by_session.aggregate(
            first=_.visitor.min(), last=_.visitor.max(), named=_.visitor.count(), rows=_.count()
        )
        shared = sessions.filter((_.first != _.last) | ((_.named > 0) & (_.named < _.rows)))
    else:
        sessions = by_session.aggregate(first=_.visitor.min(), last=_.visitor.max())
        shared = sessions.filter(_.first != _.last)
    shared = shared.select("session").cache()
    return shared if shared.count().execute() else None


def _first_visitors(events: Table, at_view: int) -> Table:
    """For each session its number of visitors, and its owner, the first that was known at the scored view, or null."""
    in_order = ibis.window(group_by="session", order_by="time")
    views = events.filter(_.event == "view").mutate(number=ibis.row_number().over(in_order) + 1)
    scored = views.filter(_.number == at_view).select("session", scored_time="time")
    events = events.select("session", "visitor", "time").left_join(scored, "session").drop("session_right")
    is_known = events.visitor.notnull() & (events.scored_time.isnull() | (events.time <= events.scored_time))
    events = events.mutate(known_time=is_known.ifelse(events.time, ibis.null(events.time.type())))
    events = events.mutate(first_time=_.known_time.min().over(ibis.window(group_by="session")))
    return events.group_by("session").aggregate(
        visitors=_.visitor.nunique(), owner=_.visitor.min(where=_.known_time == _.first_time)
    )


def _report_shared(owners: Table, clicks: Clicks, left_out: LeftOut) -> None:
    shared = owners.filter(_.visitors > 1)
    counts = shared.aggregate(sessions=_.count(), most=_.visitors.max(), example=_.session.cast("string").min())
    (row,) = counts.to_pyarrow().to_pylist()
    if row["most"] and row["most"] > MAX_VISITORS:
        most = shared.filter(_.visitors == row["most"]).aggregate(session=_.session.cast("string").min())
        session = most.to_pyarrow()["session"][0].as_py()
        raise InputError(
            f"column '{clicks.columns['session']}': '{session}' is the session of {row['most']} visitors; if other "
            f"visitors may use the same id, set {SESSION_IDS} to per_visitor; if it stands for a missing one, add it "
            "to prepare.na_values"
        )
    left_out.add(
        f"column '{clicks.columns['session']}': sessions of several visitors count for the first one",
        row["sessions"],
        row["example"],
        SESSION_IDS,
    )
