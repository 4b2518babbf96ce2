"""Sessions of which several parts have events: they are made anew, of all their events."""

import math
from collections.abc import Mapping
from pathlib import Path

import ibis
import ibis.expr.types as ir
from ibis import _
from ibis.expr.types import Table

from stages.lib.common.params import Clicks
from stages.lib.dataset.left_out import LeftOut
from stages.lib.days.memo import Memo
from stages.lib.days.part import Part, write_tables
from stages.lib.preparation.engine import Engine
from stages.lib.preparation.events import SESSION, Events, normalize_events
from stages.lib.preparation.reader import open_source
from stages.lib.preparation.row_checks import Matches
from stages.lib.preparation.visitors import STAND_IN

VISIT = ["source", *SESSION]
OF_PIECES = [*VISIT, "start_second", "end_second", "events", "log_events"]


def session_keys(clicks: Clicks) -> list[str]:
    """The columns that identify a session in the log."""
    return ["session"] if clicks.session_ids == "global" else SESSION


def find_pieces(known: Table, new: Table, superseded: Table, clicks: Clicks) -> Table:
    """The visits of sessions that are in a new part and in another one, in each of these parts.

    Args:
        known: visits of parts that were there before.
        new: visits of new parts.
        superseded: those of `known` that do not count.
        clicks: what identifies a session: an id or, in a log without, that no pause ends it.

    Returns:
        The columns OF_PIECES of these visits; of all columns, the search through the past would take twice the time.
    """
    known, new = known.select(OF_PIECES), new.select(OF_PIECES)
    other_new = new.view()
    before = known.semi_join(new, _same_session(known, new, clicks)).anti_join(superseded, VISIT).cache()
    in_known = new.semi_join(before, _same_session(new, before, clicks))
    in_new = new.semi_join(other_new, [*_same_session(new, other_new, clicks), new.source != other_new.source])
    return before.union(in_known, in_new, distinct=False).distinct(on=VISIT).cache()


def _same_session(one: Table, other: Table, clicks: Clicks) -> list[ir.BooleanValue]:
    """The conditions under which two visits are of the same session, or may be."""
    if clicks.columns["session"] is not None:
        return [one[key] == other[key] for key in session_keys(clicks)]
    gap = math.ceil(clicks.session_gap * 60) + 1  # times are in whole seconds here
    return [
        one.visitor == other.visitor,
        one.start_second <= other.end_second + gap,
        other.start_second <= one.end_second + gap,
    ]


def merge_pieces(
    pieces: Table, events: Table, parts: Mapping[str, Part], memo: Memo, engine: Engine, folder: Path
) -> None:
    """Write the tables of the sessions that these pieces belong to, with all their events.

    Args:
        pieces: of `find_pieces`.
        events: of the same sources, which may lack events that are not at the edge of a part; these are read again.
        parts: by source.
        memo: of these parts.
        engine: DuckDB.
        folder: to write to.
    """
    clicks = memo.settings.clicks
    of_pieces = events.semi_join(pieces, VISIT)
    counts = of_pieces.group_by(VISIT).aggregate(found=_.count())
    found = pieces.left_join(counts, VISIT).select("source", complete=(_.found == _.log_events).fill_null(False))
    lacking = found.filter(~_.complete).select("source").distinct().to_pyarrow()["source"].to_pylist()
    columns = [name for name in events.columns if name not in ("source", "partition", "visitor", "log_visitor")]
    whole = of_pieces.filter(_.source.notin(lacking)) if lacking else of_pieces
    table = whole.select(visitor="log_visitor", **{name: name for name in columns})
    for number, source in enumerate(sorted(lacking)):
        path = engine.folder / f"again-{number}.parquet"
        _write_events_again(parts[source], pieces.filter(pieces.source == source), memo, path)
        table = table.union(engine.local.read_parquet(path).select(table.columns))
    if clicks.columns["session"] is None:
        since_1970 = table.time.delta(ibis.timestamp("1970-01-01"), unit="microsecond").cast("int64")
        table = table.mutate(session=ibis.null("string"), microsecond=since_1970)
    table = table.cache()
    (counted,) = table.aggregate(rows=_.count(), visitors=_.visitor.count()).to_pyarrow().to_pylist()
    rows = counted["rows"]
    missing = next(iter(parts.values())).missing
    normalized = Events(table, rows, rows, missing, Matches(0), Matches(rows - counted["visitors"]))
    write_tables(normalized, clicks, engine, LeftOut(), folder, only_edges=False)


def _write_events_again(part: Part, pieces: Table, memo: Memo, path: Path) -> None:
    """Write all events of these sessions of a part."""
    clicks, left_out = memo.settings.clicks, LeftOut()
    visits = pieces.select(*SESSION, "start_second", "end_second").distinct().to_pyarrow()
    with open_source(part.source, memo.settings, path, left_out=left_out) as (rows, other):
        wanted = other.local.create_table("wanted", visits, temp=True)
        events = normalize_events(rows, memo.settings, left_out, training=False).table
        events = events.mutate(**{key: events[key].cast("string") for key in SESSION})
        # In a log whose sessions have one visitor each, it may be another one than the event names.
        owner = events.visitor.fill_null(ibis.literal(STAND_IN) + events.session)
        if clicks.columns["session"] is None:
            second = events.time.epoch_seconds().floor()
            during = [second >= wanted.start_second, second <= wanted.end_second]
            same = [events.visitor == wanted.visitor, *during]
        else:
            sides = {"visitor": owner, "session": events.session}
            same = [sides[key] == wanted[key] for key in session_keys(clicks)]
        other.local.to_parquet(events.semi_join(wanted, same), path)
