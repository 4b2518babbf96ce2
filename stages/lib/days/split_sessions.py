"""Sessions of which several parts have events: they are made anew, of all their events."""

from collections.abc import Mapping
from pathlib import Path

import ibis
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


def session_keys(clicks: Clicks) -> list[str]:
    """The columns that identify a session in the log."""
    return ["session"] if clicks.session_ids == "global" else SESSION


def find_pieces(known: Table, new: Table, superseded: Table, clicks: Clicks) -> Table:
    """The visits of sessions that are in a new part and in another one, in each of these parts.

    Args:
        known: visits of parts that were there before.
        new: visits of new parts.
        superseded: those of `known` that do not count.
        clicks: what identifies a session.
    """
    keys = session_keys(clicks)
    before = known.semi_join(new, keys).anti_join(superseded, VISIT).cache()
    several = new.group_by(keys).aggregate(parts=_.count()).filter(_.parts > 1).select(keys)
    return before.union(new.semi_join(before.select(keys).union(several), keys)).cache()


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
    table = table.cache()
    (counted,) = table.aggregate(rows=_.count(), visitors=_.visitor.count()).to_pyarrow().to_pylist()
    rows = counted["rows"]
    missing = next(iter(parts.values())).missing
    normalized = Events(table, rows, rows, missing, Matches(0), Matches(rows - counted["visitors"]))
    write_tables(normalized, clicks, engine, LeftOut(), folder, only_edges=False)


def _write_events_again(part: Part, pieces: Table, memo: Memo, path: Path) -> None:
    """Write all events of these sessions of a part."""
    left_out, wanted = LeftOut(), pieces.select(SESSION).distinct().to_pyarrow()
    with open_source(part.source, memo.settings, path, left_out=left_out) as (rows, other):
        events = normalize_events(rows, memo.settings, left_out, training=False).table
        events = events.mutate(**{key: events[key].cast("string") for key in SESSION})
        # In a log whose sessions have one visitor each, it may be another one than the event names.
        keys = session_keys(memo.settings.clicks)
        named = events.mutate(owner=events.visitor.fill_null(ibis.literal(STAND_IN) + events.session))
        on = [("owner" if key == "visitor" else key, key) for key in keys]
        table = named.semi_join(other.local.create_table("wanted", wanted, temp=True), on)
        other.local.to_parquet(table.drop("owner"), path)
