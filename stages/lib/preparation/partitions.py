"""The sessions of a click log of any size: a partition of its visitors at a time, or all at once on another engine."""

from pathlib import Path

import ibis
from ibis import _
from ibis.expr.types import Table

from stages.lib.common.errors import InputError
from stages.lib.common.params import Clicks, Prepare
from stages.lib.common.progress import advance, show_progress
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.preparation.clicks import aggregate_sessions
from stages.lib.preparation.engine import Engine
from stages.lib.preparation.event_rows import Removed, complete_sessions
from stages.lib.preparation.events import normalize_events
from stages.lib.preparation.features import session_features
from stages.lib.preparation.visitors import assign_visitors

BYTES_PER_EVENT = 350  # that DuckDB uses while it aggregates, with room to spare: it can not spill lists of pages
ROW_GROUP = 20_000  # events; one row group per partition is in memory while the log is partitioned


def sessions_from_clicks(
    log: Table, settings: Prepare | Schema, engine: Engine, left_out: LeftOut, target: str | None = None
) -> tuple[Table, dict[str, list[str]]]:
    """Make the session table of a click log.

    A session depends on the events of its own visitor only, so the log is partitioned by visitor, into so many parts
    that each fits into the engine's memory.

    Args:
        log: one row per event.
        settings: the log's names, how it writes values, and the page views to score at.
        engine: aggregates the events.
        left_out: gets what is left out or changed.
        target: the name of the target's column; None: without a target.

    Returns:
        Keys, features and target of each row, in no order; and the omitted features by missing column.

    Raises:
        InputError: the log can't be read, or no session reaches a scored page view.
    """
    clicks, removed = settings.clicks, Removed()
    normalized = normalize_events(log, settings, left_out, training=target is not None)
    events, n_events = assign_visitors(normalized, clicks, left_out)
    n_partitions = count_partitions(n_events, clicks, engine)
    folder = engine.folder / "sessions"
    folder.mkdir()
    with show_progress("partitioning by visitor and aggregating", 1 + n_partitions, "parts"):
        partitions = partition_by_visitor(events, n_partitions, engine)
        advance()
        for number, partition in enumerate(partitions):
            output = folder / f"{number}.parquet"
            schema, omitted = _aggregate(partition, output, clicks, removed, normalized.missing, target, engine)
            partition.unlink()
            advance()
    removed.report(clicks, left_out)
    if partitions:
        # Engines may write some types as others.
        sessions = engine.local.read_parquet(sorted(folder.glob("*.parquet"))).cast(schema)
        if sessions.count().execute():
            return sessions, omitted
    raise no_sessions(clicks)


def no_sessions(clicks: Clicks) -> InputError:
    """The error of a log none of whose sessions is scored."""
    return InputError(
        f"no session reaches page view {min(clicks.score_at_views)} without a purchase; fix "
        "prepare.clicks.score_at_views, or prepare.clicks.events if the log has other names of events"
    )


def count_partitions(n_events: int, clicks: Clicks, engine: Engine) -> int:
    """As many as it takes for each to fit into the engine's memory, in which each scored page view adds rows."""
    if not engine.is_local:
        return 1
    bytes_per_event = BYTES_PER_EVENT * (3 + len(clicks.score_at_views)) // 4
    return 1 + n_events * bytes_per_event // engine.memory


def partition_by_visitor(events: Table, n_partitions: int, engine: Engine) -> list[Path]:
    """Write the events to a file per partition, each with all events of its visitors; an empty one has no file."""
    folder = engine.folder / "events"
    partition = (_.visitor.hash() % n_partitions).abs()
    engine.local.to_parquet(
        events.mutate(partition=partition),
        folder,
        partition_by="partition",
        row_group_size=ROW_GROUP,
        **parquet_options(engine.is_local),
    )
    return sorted(folder.rglob("*.parquet"))


def parquet_options(is_local: bool) -> dict[str, str]:
    """How files that DuckDB alone reads are written: fast to read, but not by all engines."""
    return {"parquet_version": "v2", "compression": "lz4_raw"} if is_local else {}


def _aggregate(
    path: Path,
    output: Path,
    clicks: Clicks,
    removed: Removed,
    missing: list[str],
    target: str | None,
    engine: Engine,
) -> tuple[ibis.Schema, dict[str, list[str]]]:
    # A function of its own, since cached tables are freed with its variables.
    with engine.errors():
        events = complete_sessions(engine.compute.read_parquet(path), clicks, removed)
        sessions = aggregate_sessions(events, clicks)
        table, omitted = session_features(sessions, clicks, missing, target)
        engine.compute.to_parquet(table, output)
    return table.schema(), omitted
