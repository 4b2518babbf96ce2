"""Sessions of a log that grows by parts, for a trained model to score: with all that is known of their visitors."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import ibis
from ibis import _
from ibis.expr.types import Table

from stages.lib.common.errors import InputError
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.days.known_days import open_days
from stages.lib.preparation.engine import connect_duckdb
from stages.lib.preparation.scoring import rows_to_score


@contextmanager
def open_days_to_score(
    source: Path, schema: Schema, memo_folder: Path, since: date | None, left_out: LeftOut, *, latest_view: bool
) -> Iterator[tuple[Table, list[str]]]:
    """The features of the sessions that began on a day or later, for as long as the block lasts.

    Args:
        source: a folder of parts, such as that of the training log with a further day.
        schema: of the model.
        memo_folder: see `open_days`.
        since: the first day; None: all.
        left_out: gets what is left out or changed.
        latest_view: see `sessions_to_score`.

    Yields:
        Keys and features of the sessions, and the keys' names, as `sessions_to_score` does.

    Raises:
        InputError: a part can't be read, lacks a column that the model needs, or no session began since then.
    """
    with open_days(source, schema, memo_folder, left_out) as (memo, parts, state):
        first = "" if since is None else since.isoformat()
        files = [memo.folder / day.file for name, day in state.days.items() if name >= first]
        if not files:
            raise InputError(f"{source}: no session reaches a scored page view{f' since {first}' if first else ''}")
        memo.check(files)
        sessions = connect_duckdb().read_parquet([str(file) for file in files])
        for feature in schema.features:
            if feature not in sessions.columns:
                lacking = ", ".join(parts[0].missing)
                raise InputError(f"{source}: no columns for {lacking}; the model was trained on {feature}")
        if since is not None:
            sessions = sessions.filter(_.time >= ibis.timestamp(f"{first} 00:00:00"))
        yield rows_to_score(sessions, schema, latest_view)
