"""Turn a click log or a table of sessions into one typed, checked row a session."""

from pathlib import Path

import duckdb

from stages.lib import params, source, stage, table
from stages.lib.files import InputError
from stages.lib.preparation import from_clicks, from_sessions
from stages.lib.schema import Schema


def main(clicks_or_sessions: Path, sessions: Path) -> None:
    (settings,) = params.load("prepare")
    connection = source.connect()
    rows = source.read(connection, clicks_or_sessions, settings.csv)
    try:
        prepared = (from_clicks if settings.kind == "clicks" else from_sessions)(rows, settings)
        batches = prepared.table.to_pyarrow_batches()
        schema = Schema.of(settings, prepared.kinds).mark(table.with_roles(batches.schema, prepared.roles))
        written = table.write_batches(sessions, schema, batches)
    except InputError as error:
        raise InputError(f"{clicks_or_sessions}: {error}") from None
    except duckdb.Error as error:
        # What is broken in the middle of a file shows only when it is read.
        raise InputError(f"{clicks_or_sessions}: {source.first_line(error)}") from None
    for note in prepared.notes:
        print(note)
    print(f"{written} sessions, {len(prepared.kinds)} features and the target {settings.target}")


if __name__ == "__main__":
    stage.run(main)
