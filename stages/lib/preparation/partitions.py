"""The session table of a click log of any size: so many visitors at a time, or all at once on another engine."""

from pathlib import Path

import ibis
from ibis import _
from ibis.expr.types import Table
from tqdm import tqdm

from stages.lib.common.errors import InputError
from stages.lib.common.params import Clicks
from stages.lib.preparation.clicks import aggregate_sessions, normalize_events
from stages.lib.preparation.engine import Engine
from stages.lib.preparation.features import session_features
from stages.lib.preparation.reader import parquet_files

EVENT = 250  # bytes that DuckDB takes for an event while it measures, with room to spare
ROWS = 20_000  # of a row group: one for each part is held in memory while the log is cut


def sessions_from_clicks(
    log: Table, settings: Clicks, work: Engine, target: str | None = None
) -> tuple[Table, dict[str, list[str]]]:
    """The sessions of `log`, in no order; and the features left out, by missing column.

    A session's features stand on the events of its visitor alone, so the log is cut by visitor into as many parts as
    let one fit into the engine's memory. `target` names the target's column, if it is wanted. Raises InputError where
    the log can't be read or has no session to score.
    """
    events, missing = normalize_events(log, settings)
    count = events.count().execute()
    parts = 1 + count * EVENT // work.memory if work.is_local else 1
    written = work.folder / "sessions"
    written.mkdir()
    left_out: dict[str, list[str]] = {}
    with tqdm(total=1 + parts, desc="cut by visitor", unit=" parts", disable=None) as progress:  # on a terminal only
        cut_out = cut(events, parts, work)
        progress.update()
        progress.set_description("sessions")
        for part in cut_out:
            schema, left_out = _measure(part, written / part.parent.name, settings, missing, target, work)
            part.unlink()
            progress.update()
    if not any(written.iterdir()) or not (sessions := _read(written, work, schema)).count().execute():
        raise InputError(
            f"no session reaches page view {settings.score_at_view} without a purchase; mend "
            "prepare.clicks.score_at_view, or prepare.clicks.events if the log's names are others"
        )
    return sessions, left_out


def cut(events: Table, parts: int, work: Engine) -> list[Path]:
    """`events` as a file for each part, with all events of the part's visitors."""
    folder = work.folder / "events"
    part = (_.visitor.hash() % parts).abs()
    # The newer form takes a quarter less space, and less time, but not all engines read it.
    form = {"partition_by": "part", "row_group_size": ROWS, "parquet_version": "v2" if work.is_local else "v1"}
    work.local.to_parquet(events.mutate(part=part), folder, **form)
    return sorted(folder.rglob("*.parquet"))


def _measure(
    events: Path, sessions: Path, settings: Clicks, missing: tuple[str, ...], target: str | None, work: Engine
) -> tuple[ibis.Schema, dict[str, list[str]]]:
    # What is cached goes with this function's variables.
    with work.errors():
        measures = aggregate_sessions(work.measuring.read_parquet(events), settings)
        table, left_out = session_features(measures, missing, target)
        work.measuring.to_parquet(table, sessions.with_suffix(".parquet"))
    return table.schema(), left_out


def _read(folder: Path, work: Engine, schema: ibis.Schema) -> Table:
    """The sessions of all parts, in the types that they were worked out in."""
    return work.local.read_parquet(parquet_files(folder), hive_partitioning=False).cast(schema)
