"""Turn a click log or a session table into one typed, validated row per session."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
from ibis import _

from stages.lib.common.cli import run
from stages.lib.common.params import Params, Prepare
from stages.lib.common.progress import advance, show_progress
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import read_sessions, with_roles, write_batches
from stages.lib.days.prepare_days import prepare_days
from stages.lib.preparation.prepare import Prepared, prepare_clicks, prepare_table
from stages.lib.preparation.reader import open_source

BATCH_ROWS = 2**14


def main(source: Path, sessions: Path) -> None:
    params = Params.load()
    settings, runtime, left_out = params.prepare, params.runtime, LeftOut()
    if settings.source_type == "clicks" and settings.clicks.days:
        state, hints = prepare_days(source, settings, runtime, sessions, left_out)
        for line in [*left_out.findings, *hints]:
            print(line)
        n_rows = sum(day.rows for day in state.days.values())
        print(f"{n_rows} rows of {len(state.days)} days")
        return
    with open_source(
        source,
        settings,
        sessions,
        left_out=left_out,
        engine_url=runtime.engine,
        memory_limit=runtime.memory_limit,
    ) as (rows, engine):
        is_log = settings.source_type == "clicks"
        if is_log:
            prepared = prepare_clicks(rows, settings, engine, left_out)
        else:
            prepared = prepare_table(rows, settings, left_out)
        if settings.strict:
            left_out.check_nothing()
        n_rows = write(prepared, settings, left_out, sessions)
        by_view = count_by_view(prepared, settings)
    for line in [*left_out.findings, *prepared.hints]:
        print(line)
    for view, (rows, purchases) in by_view.items():
        print(f"page view {view}: {rows} rows, {purchases} purchases")
    n_sessions = read_sessions(sessions).n_sessions if by_view else n_rows
    total = f"{n_rows} rows of {n_sessions} sessions" if by_view else f"{n_rows} sessions"
    print(f"{total}, {len(prepared.dtypes)} features and the target {settings.target}")


def count_by_view(prepared: Prepared, settings: Prepare) -> dict[int, tuple[int, int]]:
    """The rows and the purchases at each listed page view, even if there are none; nothing for a single view."""
    if "view" not in prepared.roles.values():
        return {}
    by_view = prepared.table.group_by("view").aggregate(rows=_.count(), purchases=_[settings.target].sum())
    counts = {row["view"]: (row["rows"], row["purchases"]) for row in by_view.to_pyarrow().to_pylist()}
    return {view: counts.get(view, (0, 0)) for view in settings.clicks.score_at_views}


def write(prepared: Prepared, settings: Prepare, left_out: LeftOut, path: Path) -> int:
    """Write the session table with its schema and what was left out; returns the number of rows."""
    rows, batches = prepared.table.count().execute(), prepared.table.to_pyarrow_batches(chunk_size=BATCH_ROWS)
    schema = Schema.of(settings, prepared.dtypes).attach(with_roles(batches.schema, prepared.roles))
    schema = left_out.attach(schema)
    with show_progress("writing", rows, "rows" if "view" in prepared.roles.values() else "sessions"):
        return write_batches(path, schema, counted(batches))


def counted(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches; the rows of each are progress when the next one is due."""
    for batch in batches:
        yield batch
        advance(len(batch))


if __name__ == "__main__":
    run(main)
