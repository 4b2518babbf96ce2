"""A state with more parts: their sessions, and those of earlier parts about which they tell something new."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import Table

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


@dataclass(frozen=True)
class Update:
    """Adds parts to a state.

    A part may have events of any time. What changes in earlier parts are sessions of which it has events, and later
    sessions of its visitors, whose history it is: these rows are made anew, and all others are kept.

    Attributes:
        before: the state.
        new: the parts that it does not know.
        parts: by source, these and those that it knows.
        memo: has the tables.
        engine: DuckDB.
        folder: to write to.
        path: of that folder in the memo, where it will be.
    """

    before: State
    new: Sequence[Part]
    parts: Mapping[str, Part]
    memo: Memo
    engine: Engine
    folder: Path
    path: str

    def run(self) -> State:
        sources = [part.folder for part in self.new]
        new_visits = self._read("visits", sources)
        known, superseded = self._known_visits(new_visits)
        pieces = find_pieces(known, new_visits, superseded, self.memo.settings.clicks)
        merged = self._merge(pieces) if pieces.count().execute() else {}
        if merged:
            superseded = superseded.union(pieces.select(VISIT))
            self.engine.local.to_parquet(superseded, self.folder / SUPERSEDED)
        fresh = self._read("visits", sources, merged).anti_join(pieces, VISIT)
        moments = self._read("moments", sources, merged).anti_join(pieces, VISIT)
        ends = fresh.select("visitor", "end_second").union(pieces.select("visitor", "end_second"))
        changed = ends.group_by("visitor").aggregate(first_end=_.end_second.min()).cache()
        kept = known.semi_join(changed, "visitor").anti_join(superseded, VISIT).cache()
        later = kept.inner_join(changed, "visitor").filter(_.start_second > _.first_end)
        later = later.select(*VISIT, "start_second").cache()
        if later.count().execute():
            moments = moments.union(self._read("moments", self.before.sources).semi_join(later, VISIT))
        rows = self._rows(moments, fresh.union(kept))
        replaced = later.union(pieces.select(*VISIT, "start_second"))
        removed, added = self._totals(pieces.filter(_.source.isin(self.before.sources))), self._totals(fresh)
        return State(
            parts=sorted([*self.before.parts, *(part.content for part in self.new)]),
            sources=[*self.before.sources, *sources, *merged],
            superseded=f"{self.path}/{SUPERSEDED}" if merged else self.before.superseded,
            days=self._write_days(rows, replaced),
            duplicates=self.before.duplicates + added["duplicates"] - removed["duplicates"],
            long_sessions=self.before.long_sessions + added["long_sessions"] - removed["long_sessions"],
        )

    def _read(self, name: str, sources: Sequence[str], others: Mapping[str, Path] | None = None) -> Table:
        """A table of several sources, which the column `source` names; `others` are in folders outside the memo."""
        in_memo = [path for source in sources for path in self.memo.files(self.memo.folder / source / name)]
        self.memo.check(in_memo)
        outside = [path for folder in (others or {}).values() for path in (folder / name).glob("*.parquet")]
        paths = [str(path) for path in (*in_memo, *outside)]
        table = self.engine.local.read_parquet(paths, filename=True, union_by_name=True)
        # All numbers are whole, but engines write some sums as others.
        table = table.cast({column: "int64" for column, type_ in table.schema().items() if type_.is_floating()})
        # From the name, since a list of cases would take longer the more sources there are.
        folder = table.filename.re_replace(f"/{name}/[^/]*(/[^/]*)?$", "")
        source = folder.substr(len(f"{self.memo.folder}/"))
        if others:
            source = folder.cases(*[(str(path), other) for other, path in others.items()], else_=source)
        return table.mutate(source=source).drop("filename")

    def _read_file(self, file: str) -> Table:
        self.memo.check([self.memo.folder / file])
        return self.engine.local.read_parquet(self.memo.folder / file)

    def _known_visits(self, new_visits: Table) -> tuple[Table, Table]:
        """The visits of the state's sources, and those of them that do not count; both without rows if it is empty."""
        known, superseded = new_visits.limit(0), new_visits.select(VISIT).limit(0)
        if self.before.sources:
            known = self._read("visits", self.before.sources)
        if self.before.superseded:
            superseded = self._read_file(self.before.superseded)
        return known, superseded

    def _merge(self, pieces: Table) -> dict[str, Path]:
        """Write the sessions of the pieces as a source of their own; returns its path in the memo and its folder."""
        folder = self.folder / MERGED
        folder.mkdir()
        of_pieces = sorted(pieces.select("source").distinct().to_pyarrow()["source"].to_pylist())
        merge_pieces(pieces, self._read("events", of_pieces), self.parts, self.memo, self.engine, folder)
        return {f"{self.path}/{MERGED}": folder}

    def _rows(self, moments: Table, visits: Table) -> Table:
        """The rows of these moments, with the date on which the session began."""
        settings = self.memo.settings
        if limit := settings.clicks.max_events_per_session:
            visits = visits.filter(_.events <= limit)
            moments = moments.semi_join(visits, SESSION)
        # Half of the visitors have no session that is scored.
        visits = visits.semi_join(moments, "visitor").cache()
        sessions = with_history(moments, visit_history(visits).cache())
        rows, _omitted = session_features(sessions, settings.clicks, self.new[0].missing, settings.target)
        return (
            rows.drop(*[name for name in settings.drop if name in rows.columns])
            .mutate(date=_.time.date().cast("string"))
            .cache()
        )

    def _totals(self, visits: Table) -> dict[str, int]:
        limit = self.memo.settings.clicks.max_events_per_session
        totals = visits.aggregate(
            duplicates=(_.log_events - _.events).sum().fill_null(0),
            long_sessions=_.count(where=_.events > limit) if limit else ibis.literal(0),
        )
        return {name: int(value) for name, value in totals.to_pyarrow().to_pylist()[0].items()}

    def _write_days(self, rows: Table, replaced: Table) -> dict[str, Day]:
        """Write the days that have new rows, or lose some; returns all days."""
        replaced = replaced.mutate(date=_.start_second.as_timestamp("s").date().cast("string")).cache()
        dates = rows.select("date").union(replaced.select("date")).distinct().to_pyarrow()["date"].to_pylist()
        days = dict(self.before.days)
        for date in sorted(dates):
            of_day = rows.filter(_.date == date).drop("date")
            if date in days:
                earlier = self._read_file(days.pop(date).file)
                of_day = earlier.select(of_day.columns).anti_join(replaced, SESSION).union(of_day)
            if day := self._write_day(date, of_day):
                days[date] = day
        return dict(sorted(days.items()))

    def _write_day(self, date: str, rows: Table) -> Day | None:
        """Write the rows of a day, if there are any."""
        file, target = self.folder / f"{date}.parquet", self.memo.settings.target
        (totals,) = rows.aggregate(rows=_.count(), purchases=_[target].sum()).to_pyarrow().to_pylist()
        if not totals["rows"]:
            return None
        write_batches(file, self._schema(rows), rows.order_by(order(rows)).to_pyarrow_batches())
        file.chmod(0o444)  # the output is a hard link to it
        return Day(f"{self.path}/{file.name}", totals["rows"], totals["purchases"])

    def _schema(self, rows: Table) -> pa.Schema:
        """The Arrow schema of the rows, with roles, and with that of the source in its metadata."""
        settings = self.memo.settings
        roles = {name: role for name, role in KEYS.items() if name in rows.columns} | {settings.target: "target"}
        dtypes = {name: dtype_of(rows[name].type()) for name in rows.columns if name not in roles}
        schema = settings.model_copy(update={"features": dtypes})
        return schema.attach(with_roles(rows.schema().to_pyarrow(), roles))
