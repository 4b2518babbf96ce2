"""Turn a click log or a table of sessions into one typed, checked row a session."""

from pathlib import Path

import duckdb
from ibis.expr.types import Table

from stages.lib import columns, params, source, stage, table
from stages.lib.clicks import measure
from stages.lib.features import features
from stages.lib.files import InputError
from stages.lib.params import Prepare

CLICK_KEYS = {"session": "key", "visitor": "visitor", "time": "time"}


def main(clicks_or_sessions: Path, sessions: Path) -> None:
    (settings,) = params.load("prepare")
    connection = source.connect()
    rows = source.read(connection, clicks_or_sessions, settings.csv)
    try:
        prepared, roles, notes = (from_clicks if settings.kind == "clicks" else from_sessions)(rows, settings)
        batches = prepared.to_pyarrow_batches()
        schema = table.with_roles(batches.schema, roles)
        written = table.write_batches(sessions, schema, batches)
    except InputError as error:
        raise InputError(f"{clicks_or_sessions}: {error}") from None
    except duckdb.Error as error:
        # What is broken in the middle of a file shows only when it is read.
        raise InputError(f"{clicks_or_sessions}: {source.first_line(error)}") from None
    for note in notes:
        print(note)
    print(f"{written} sessions, {len(schema) - len(roles)} features and the target {settings.target}")


def from_clicks(log: Table, settings: Prepare) -> tuple[Table, dict[str, str], list[str]]:
    """The session table, the roles of its keys and target, and what there is to say of it."""
    sessions, left_out = features(measure(log, settings.clicks), settings.target)
    names = [name for name in sessions.columns if name not in (*CLICK_KEYS, settings.target)]
    for name in settings.drop:
        if name not in names:
            raise InputError(f"no feature '{name}' (prepare.drop); there are {', '.join(names)}")
        names.remove(name)
    # The features stand on windows over the whole log: reckon them once, not once a question.
    sessions = sessions.drop(*settings.drop).cache()
    if not sessions.count().execute():
        raise InputError(
            f"no session reaches page view {settings.clicks.page_view} without a purchase; mend "
            "prepare.clicks.page_view, or prepare.clicks.events if the log's names are others"
        )
    columns.target_as_class(sessions, settings)
    notes = [f"no column for {column}: left out {', '.join(names)}" for column, names in left_out.items()]
    sessions, constant = columns.without_constants(sessions, names)
    if constant:
        notes.append(f"the same in every session: left out {', '.join(constant)}")
    return sessions, {**CLICK_KEYS, settings.target: "target"}, notes


def from_sessions(rows: Table, settings: Prepare) -> tuple[Table, dict[str, str], list[str]]:
    """The session table, the roles of its keys and target, and what there is to say of it."""
    sessions, notes = columns.typed(rows, settings)
    roles = {key: "key" if role == "session" else role for role, key in settings.keys if key}
    return sessions, {**roles, settings.target: "target"}, notes


if __name__ == "__main__":
    stage.run(main)
