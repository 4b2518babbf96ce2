"""Turn a click log or a session table into one typed, validated row per session."""

import math
from pathlib import Path

from tqdm import tqdm

from stages.lib.common.cli import run
from stages.lib.common.params import Params, Prepare
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import with_roles, write_batches
from stages.lib.preparation.engine import default_memory_limit, open_engine
from stages.lib.preparation.prepare import Prepared, prepare_clicks, prepare_table
from stages.lib.preparation.reader import read_rows, source_errors

BATCH_ROWS = 2**14


def main(source: Path, sessions: Path) -> None:
    params = Params.load()
    prepare, is_log = params.prepare, params.prepare.source_type == "clicks"
    limit = params.runtime.memory_limit or default_memory_limit(prepare.source_type)
    with open_engine(sessions, params.runtime.engine, limit) as engine:
        rows = read_rows(engine.local, source, prepare.csv, in_order=not is_log)
        with source_errors(source):
            prepared = prepare_clicks(rows, prepare, engine) if is_log else prepare_table(rows, prepare)
            n_sessions = write(prepared, prepare, sessions)
    for note in prepared.notes:
        print(note)
    print(f"{n_sessions} sessions, {len(prepared.dtypes)} features and the target {prepare.target}")


def write(prepared: Prepared, settings: Prepare, path: Path) -> int:
    """Write the session table with its schema; returns the number of rows."""
    rows, batches = prepared.table.count().execute(), prepared.table.to_pyarrow_batches(chunk_size=BATCH_ROWS)
    schema = Schema.of(settings, prepared.dtypes).attach(with_roles(batches.schema, prepared.roles))
    n_batches = math.ceil(rows / BATCH_ROWS)
    # disable=None: on a terminal only
    progress = tqdm(batches, "write", n_batches, unit=" sessions", unit_scale=BATCH_ROWS, disable=None)
    return write_batches(path, schema, progress)


if __name__ == "__main__":
    run(main)
