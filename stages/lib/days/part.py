"""A part of a log, such as the file of a day: its visits and moments, which depend on no other part."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ibis import _
from ibis.expr.types import Table

from stages.lib.common.errors import InputError
from stages.lib.common.files import write_json
from stages.lib.common.params import Clicks
from stages.lib.dataset.left_out import Finding, LeftOut
from stages.lib.days.memo import Memo
from stages.lib.preparation.aggregates import left_join
from stages.lib.preparation.clicks import visits_and_moments
from stages.lib.preparation.engine import Engine
from stages.lib.preparation.event_rows import Removed, complete_sessions, cut_sessions
from stages.lib.preparation.events import SESSION, Events, normalize_events
from stages.lib.preparation.partitions import count_partitions, parquet_options, partition_by_visitor
from stages.lib.preparation.reader import open_source
from stages.lib.preparation.visitors import assign_visitors

EDGE_SECONDS = 3600  # from the first and the last event of a part: what is there may go on in another part
FILE = "part.json"
TABLES = ("visits", "moments", "events")


@dataclass(frozen=True)
class Part:
    """A file or folder of the log, and its folder in the memo, with a folder of files for each of TABLES.

    These are the visits of `visit_totals`, the moments of `moment_totals`, and the events of the sessions at the edges
    of the part. Visitors and sessions are texts, since another part may have other types.

    Attributes:
        source: the file or folder.
        content: a hash of it and of all that its tables depend on.
        folder: in the memo.
        n_events: that are used.
        missing: the optional columns that it lacks.
        findings: what was left out.
    """

    source: Path
    content: str
    folder: str
    n_events: int
    missing: list[str]
    findings: list[Finding]


def read_part(source: Path, content: str, memo: Memo, engine_url: str, memory_limit: int | None) -> Part:
    """A part of a log, from the memo or made.

    Args:
        source: a file or a folder.
        content: a hash of it.
        memo: gets what is made, with its settings.
        engine_url: aggregates it.
        memory_limit: bytes of this process.

    Raises:
        InputError: the log can't be read, or has no event that is used.
    """

    def make(folder: Path, _: str) -> None:
        left_out = LeftOut()
        with open_source(
            source,
            memo.settings,
            folder / "tables",
            left_out=left_out,
            engine_url=engine_url,
            memory_limit=memory_limit,
        ) as (rows, engine):
            normalized = normalize_events(rows, memo.settings, left_out, training=False)
            n_events = write_tables(normalized, memo.settings.clicks, engine, left_out, folder)
        findings = [vars(finding) for finding in left_out.findings]
        write_json(folder / FILE, {"missing": normalized.missing, "findings": findings, "n_events": n_events})

    path = memo.get("parts", content, make)
    memo.check([memo.folder / path / FILE])
    written: dict[str, Any] = json.loads((memo.folder / path / FILE).read_bytes())
    findings = [Finding(**finding) for finding in written.pop("findings")]
    return Part(source, path.split("/")[1], path, findings=findings, **written)


def write_tables(
    normalized: Events, clicks: Clicks, engine: Engine, left_out: LeftOut, folder: Path, *, only_edges: bool = True
) -> int:
    """Write the tables of a part, by partitions of its visitors; returns the number of events.

    Args:
        normalized: the events.
        clicks: what is done to them. Sessions of bots are left out later, where their number of events is known.
        engine: aggregates them.
        left_out: gets what is left out.
        folder: to write to.
        only_edges: keep the events of sessions at the edges only.
    """
    with_log_visitor = replace(normalized, table=normalized.table.mutate(log_visitor=_.visitor.cast("string")))
    events, n_events = assign_visitors(with_log_visitor, clicks, left_out)
    if not n_events:
        raise InputError("none of its events is used; see prepare.clicks.events")
    for name in TABLES:
        (folder / name).mkdir()
    partitions = partition_by_visitor(events, count_partitions(n_events, clicks, engine), engine)
    ends = _edges(engine.local.read_parquet(partitions), clicks) if only_edges else None
    options = parquet_options(engine.is_local)
    for number, partition in enumerate(partitions):
        with engine.errors():
            tables = _aggregate(engine.compute.read_parquet(partition), clicks, ends)
            for name, table in tables.items():
                engine.compute.to_parquet(table, folder / name / f"{number}.parquet", **options)
            del tables  # with the tables that are cached
        partition.unlink()
    return n_events


def _edges(events: Table, clicks: Clicks) -> tuple[int, int]:
    """The second until which a session is at the first edge, and that from which it is at the last."""
    (ends,) = events.aggregate(first=_.time.min(), last=_.time.max()).to_pyarrow().to_pylist()
    width = EDGE_SECONDS if clicks.columns["session"] else max(EDGE_SECONDS, round(clicks.session_gap * 60))
    return int(ends["first"].timestamp()) + width, int(ends["last"].timestamp()) - width


def _aggregate(events: Table, clicks: Clicks, edges: tuple[int, int] | None) -> dict[str, Table]:
    clicks = clicks.model_copy(update={"max_events_per_session": None})
    if "microsecond" in events.columns:
        events = cut_sessions(events, clicks.session_gap)
    in_log = events.group_by(SESSION).aggregate(log_events=_.count())
    visits, moments = visits_and_moments(complete_sessions(events, clicks, Removed()), clicks)
    visits = left_join(visits.drop("start", "first_purchase", "last_purchase"), in_log)
    if edges:
        at_edge = (visits.start_second <= edges[0]) | (visits.end_second >= edges[1])
        events = events.semi_join(visits.filter(at_edge), SESSION)
    tables = dict(zip(TABLES, (visits, moments, events), strict=True))
    return {name: table.mutate(**{key: table[key].cast("string") for key in SESSION}) for name, table in tables.items()}
