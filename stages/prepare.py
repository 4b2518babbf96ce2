"""Turn a click log or a table of sessions into one typed, checked row a session."""

from pathlib import Path

import duckdb
from tqdm import tqdm

from stages.lib import engine, params, source, stage, table
from stages.lib.files import InputError
from stages.lib.params import Prepare
from stages.lib.preparation import Prepared, from_clicks, from_sessions
from stages.lib.schema import Schema

AT_ONCE = 2**14  # rows


def main(clicks_or_sessions: Path, sessions: Path) -> None:
    (settings,) = params.load("prepare")
    limit = settings.memory_limit or engine.usual(settings.kind)
    with engine.start(sessions, settings.engine, limit) as work:
        rows = source.read(work.local, clicks_or_sessions, settings.csv, in_order=settings.kind == "sessions")
        try:
            prepared = from_clicks(rows, settings, work) if settings.kind == "clicks" else from_sessions(rows, settings)
            written = write(prepared, settings, sessions)
        except InputError as error:
            raise InputError(f"{clicks_or_sessions}: {error}") from None
        except duckdb.Error as error:
            # What is broken in the middle of a file shows only when it is read.
            raise InputError(f"{clicks_or_sessions}: {engine.reason(error)}") from None
    for note in prepared.notes:
        print(note)
    print(f"{written} sessions, {len(prepared.kinds)} features and the target {settings.target}")


def write(prepared: Prepared, settings: Prepare, path: Path) -> int:
    """Write the session table and what it is; returns the number of its rows."""
    rows, batches = prepared.table.count().execute(), prepared.table.to_pyarrow_batches(chunk_size=AT_ONCE)
    schema = Schema.of(settings, prepared.kinds).mark(table.with_roles(batches.schema, prepared.roles))
    # On a terminal only
    progress = tqdm(batches, "write", -(-rows // AT_ONCE), unit=" sessions", unit_scale=AT_ONCE, disable=None)
    return table.write_batches(path, schema, progress)


if __name__ == "__main__":
    stage.run(main)
