"""A state with more parts: their sessions, and those of earlier parts about which they tell something new."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import Table

from stages.lib.common.progress import advance
from stages.lib.dataset.sessions import with_roles, write_batches
from stages.lib.days.memo import Memo
from stages.lib.days.part import Part
from stages.lib.days.split_sessions import VISIT, find_pieces, merge_pieces
from stages.lib.days.state import Day, State
from stages.lib.preparation.clicks import with_history
from stages.lib.preparation.column_types import dtype_of
from stages.lib.preparation.engine import Engine
from stages.lib.preparation.events import SESSION
from stages.lib.preparation.features import KEYS, order, session_features
from stages.lib.preparation.visit_history import visit_history

MERGED = "merged"
SUPERSEDED = "superseded.parquet"


def add_parts(
    before: State, new: Sequence[Part], parts: Mapping[str, Part], memo: Memo, engine: Engine, folder: Path, path: str
) -> State:
    """Make the state that knows more parts.

    A part may have events of any time. What changes in earlier parts are sessions of which it has events, and later
    sessions of its visitors, whose history it is: these rows are made anew, and all others are kept.

    Args:
        before: the state.
        new: the parts that it does not know.
        parts: by source, these and those that it knows.
        memo: has the tables.
        engine: DuckDB.
        folder: to write to.
        path: of that folder in the memo, where it will be.
    """
    clicks = memo.settings.clicks
    sources = [part.folder for part in new]
    new_visits = read_tables("visits", sources, memo, engine)
    known = read_tables("visits", before.sources, memo, engine) if before.sources else new_visits.limit(0)
    superseded = (
        engine.local.read_parquet(memo.folder / before.superseded)
        if before.superseded
        else new_visits.select(VISIT).limit(0)
    )
    pieces = find_pieces(known, new_visits, superseded, clicks)
    if pieces.count().execute():
        of_pieces = sorted(pieces.source.as_table().distinct().to_pyarrow()["source"].to_pylist())
        (folder / MERGED).mkdir()
        merge_pieces(pieces, read_tables("events", of_pieces, memo, engine), parts, memo, engine, folder / MERGED)
        superseded = superseded.union(pieces.select(VISIT))
        engine.local.to_parquet(superseded, folder / SUPERSEDED)
    merged = {f"{path}/{MERGED}": folder / MERGED} if (folder / MERGED).exists() else {}
    fresh = read_tables("visits", sources, memo, engine, merged).anti_join(pieces, VISIT)
    moments = read_tables("moments", sources, memo, engine, merged).anti_join(pieces, VISIT)
    ends = fresh.select("visitor", "end_second").union(pieces.select("visitor", "end_second"))
    changed = ends.group_by("visitor").aggregate(first_end=_.end_second.min()).cache()
    kept = known.semi_join(changed, "visitor").anti_join(superseded, VISIT).cache()
    history = visit_history(_without_bots(fresh.union(kept), clicks.max_events_per_session)).cache()
    later = kept.inner_join(changed, "visitor").filter(_.start_second > _.first_end)
    later = later.select(*VISIT, "start_second").cache()
    if later.count().execute():
        moments = moments.union(read_tables("moments", before.sources, memo, engine).semi_join(later, VISIT))
    if clicks.max_events_per_session:
        moments = moments.semi_join(history, SESSION)
    replaced = later.union(pieces.select(*VISIT, "start_second"))
    days = _write_days(before, with_history(moments, history), replaced, new[0].missing, memo, engine, folder, path)
    removed = _totals(pieces.filter(_.source.isin(before.sources)), clicks.max_events_per_session)
    added = _totals(fresh, clicks.max_events_per_session)
    return State(
        parts=sorted([*before.parts, *(part.content for part in new)]),
        sources=[*before.sources, *sources, *merged],
        superseded=f"{path}/{SUPERSEDED}" if merged else before.superseded,
        days=days,
        duplicates=before.duplicates + added["duplicates"] - removed["duplicates"],
        long_sessions=before.long_sessions + added["long_sessions"] - removed["long_sessions"],
    )


def read_tables(
    name: str, sources: Sequence[str], memo: Memo, engine: Engine, others: Mapping[str, Path] | None = None
) -> Table:
    """A table of several sources, which the column `source` names; `others` are in folders outside the memo."""
    folders = {source: memo.folder / source for source in sources} | dict(others or {})
    paths = {str(folder / f"{name}.parquet"): source for source, folder in folders.items()}
    table = engine.local.read_parquet(list(paths), filename=True, union_by_name=True)
    return table.mutate(source=table.filename.cases(*paths.items())).drop("filename")


def _without_bots(visits: Table, limit: int | None) -> Table:
    return visits if limit is None else visits.filter(_.events <= limit)


def _totals(visits: Table, limit: int | None) -> dict[str, int]:
    totals = visits.aggregate(
        duplicates=(_.log_events - _.events).sum().fill_null(0),
        long_sessions=_.count(where=_.events > limit) if limit else ibis.literal(0),
    )
    return {name: int(value) for name, value in totals.to_pyarrow().to_pylist()[0].items()}


def _write_days(
    before: State,
    sessions: Table,
    replaced: Table,
    missing: list[str],
    memo: Memo,
    engine: Engine,
    folder: Path,
    path: str,
) -> dict[str, Day]:
    """Write the days that have new rows, or lose some, and return all."""
    settings = memo.settings
    rows, _omitted = session_features(sessions, settings.clicks, missing, settings.target)
    rows = rows.drop(*settings.drop)
    schema = schema_of(rows, memo)
    names = rows.columns
    rows = rows.mutate(date=_.time.date().cast("string")).cache()
    replaced = replaced.mutate(date=_.start_second.as_timestamp("s").date().cast("string")).cache()
    dates = rows.select("date").union(replaced.select("date")).distinct().to_pyarrow()["date"].to_pylist()
    days = dict(before.days)
    for date in sorted(dates):
        of_day = rows.filter(_.date == date).select(names)
        if date in days:
            earlier = engine.local.read_parquet(memo.folder / days.pop(date).file).select(names)
            of_day = earlier.anti_join(replaced, SESSION).union(of_day)
        batches = of_day.order_by(order(of_day)).to_pyarrow_batches()
        file = folder / f"{date}.parquet"
        n_rows = write_batches(file, schema, batches)
        purchases = int(engine.local.read_parquet(file)[settings.target].sum().execute() or 0)
        if n_rows:
            days[date] = Day(f"{path}/{file.name}", n_rows, purchases)
            file.chmod(0o444)  # the output is a hard link to it
        else:
            file.unlink()
        advance()
    return dict(sorted(days.items()))


def schema_of(rows: Table, memo: Memo) -> pa.Schema:
    """The Arrow schema of the rows, with roles, and with that of the source in its metadata."""
    roles = {name: role for name, role in KEYS.items() if name in rows.columns} | {memo.settings.target: "target"}
    dtypes = {name: dtype_of(rows[name].type()) for name in rows.columns if name not in roles}
    return memo.settings.model_copy(update={"features": dtypes}).attach(with_roles(rows.schema().to_pyarrow(), roles))
