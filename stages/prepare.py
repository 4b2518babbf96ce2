"""Turn a click log or a session table into one typed, validated row per session."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from stages.lib.common.cli import run
from stages.lib.common.params import Params, Prepare
from stages.lib.common.progress import advance, show_progress
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import with_roles, write_batches
from stages.lib.days.prepare_days import prepare_days
from stages.lib.preparation.prepare import Prepared, prepare_clicks, prepare_table
from stages.lib.preparation.reader import open_source

BATCH_ROWS = 2**14


def main(source: Path, sessions: Path) -> None:
    params = Params.load()
    settings, runtime, left_out = params.prepare, params.runtime, LeftOut()
    if settings.source_type == "clicks" and settings.clicks.days:
        state = prepare_days(source, settings, runtime, sessions, left_out)
        for finding in left_out.findings:
            print(finding)
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
        n_sessions = write(prepared, settings, left_out, sessions)
    for line in [*left_out.findings, *prepared.hints]:
        print(line)
    print(f"{n_sessions} sessions, {len(prepared.dtypes)} features and the target {settings.target}")


def write(prepared: Prepared, settings: Prepare, left_out: LeftOut, path: Path) -> int:
    """Write the session table with its schema and what was left out; returns the number of rows."""
    rows, batches = prepared.table.count().execute(), prepared.table.to_pyarrow_batches(chunk_size=BATCH_ROWS)
    schema = Schema.of(settings, prepared.dtypes).attach(with_roles(batches.schema, prepared.roles))
    schema = left_out.attach(schema)
    with show_progress("writing", rows, "sessions"):
        return write_batches(path, schema, counted(batches))


def counted(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches; the rows of each are progress when the next one is due."""
    for batch in batches:
        yield batch
        advance(len(batch))


if __name__ == "__main__":
    run(main)
