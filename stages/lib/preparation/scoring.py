"""Rows for a trained model to score, prepared like those that it was trained on, as its schema says."""

import ibis
from ibis import _
from ibis.expr.types import Column, Table

from stages.lib.common.errors import InputError
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Dtype, Schema
from stages.lib.preparation.column_profile import in_groups
from stages.lib.preparation.engine import Engine
from stages.lib.preparation.events import SESSION
from stages.lib.preparation.features import KEYS, order
from stages.lib.preparation.macros import Macro
from stages.lib.preparation.nulls import null_if_missing
from stages.lib.preparation.partitions import sessions_from_clicks
from stages.lib.preparation.side_by_side import join_side_by_side
from stages.lib.preparation.timestamps import FIRST_YEAR, LAST_YEAR, days_since_1970
from stages.lib.preparation.values import can_be, canonical

ROW = "row"  # the key of a session table without one: 0, 1, 2 …
PLURALS = {"number": "numbers", "date": f"dates ({FIRST_YEAR} to {LAST_YEAR})", "category": "categories"}


def sessions_to_score(
    rows: Table, schema: Schema, engine: Engine, left_out: LeftOut, *, latest_view: bool = False
) -> tuple[Table, list[str]]:
    """Make the features of the model.

    Args:
        rows: a click log or a session table, whichever the model was trained on.
        schema: of the model.
        engine: aggregates a click log.
        left_out: gets what is left out or changed.
        latest_view: of a click log, each session only at the last scored page view that it reaches.

    Returns:
        Keys and features of the sessions, and the keys' names. A click log gives a row for each scored page view that a
        session reaches without a purchase, ordered by start; a session table gives its rows, in their order.

    Raises:
        InputError: a column that the model needs is missing or has other values; the message names it.
    """
    if schema.source_type == "clicks":
        return _sessions_of_clicks(rows, schema, engine, left_out, latest_view)
    if latest_view:
        raise InputError("--latest-view: the model was trained on a table of sessions, whose rows have no page views")
    return _sessions_of_table(rows, schema, left_out)


def _sessions_of_clicks(
    log: Table, schema: Schema, engine: Engine, left_out: LeftOut, latest_view: bool
) -> tuple[Table, list[str]]:
    sessions, omitted = sessions_from_clicks(log, schema, engine, left_out)
    for column, names in omitted.items():
        for feature in names:
            if feature in schema.features:
                source_name = schema.clicks.columns.get(column) or column
                raise InputError(
                    f"no column '{source_name}' (prepare.clicks.columns.{column}); the model was trained on {feature}, "
                    f"which needs it; it has {', '.join(log.columns)}"
                )
    return rows_to_score(sessions, schema, latest_view)


def rows_to_score(sessions: Table, schema: Schema, latest_view: bool) -> tuple[Table, list[str]]:
    """The keys and features of the rows of a click log, ordered by start, and the keys' names."""
    if latest_view and "view" in sessions.columns:
        sessions = sessions.filter(_["view"] == _["view"].max().over(group_by=SESSION))
    keys = [name for name in KEYS if name in sessions.columns and name != "weight"]
    return sessions.order_by(order(sessions)).select(*keys, *schema.features), keys


def _sessions_of_table(rows: Table, schema: Schema, left_out: LeftOut) -> tuple[Table, list[str]]:
    keys = [schema.keys.session] if schema.keys.session else []
    for name in (*keys, *schema.features):
        if name not in rows.columns:
            raise InputError(f"no column '{name}', which the model was trained on; it has {', '.join(rows.columns)}")
    for name, dtype in schema.features.items():
        if not can_be(rows[name], dtype):
            raise InputError(f"column '{name}': {rows[name].type()}; the model was trained on {PLURALS[dtype]}")
    normalize = Macro(lambda column: null_if_missing(column, schema.na_values))
    read = {dtype: Macro(lambda column, dtype=dtype: _read(column, dtype, schema)) for dtype in PLURALS}
    row = {name: rows[name] for name in keys} or {_row_name(schema): ibis.row_number()}
    tables = []
    for number, group in enumerate(in_groups([*schema.features])):
        # One query inside the other, so that a column is normalized once, and not wherever `_read` refers to it
        normalized = rows.select(**({} if number else row), **{name: normalize(rows[name]) for name in group})
        features = {name: read[schema.features[name]](normalized[name]) for name in group}
        _check_readable(normalized, features, schema, left_out)
        tables.append(normalized.select(*(() if number else row), **features))
    return join_side_by_side(tables), [*row]


def _read(column: Column, dtype: Dtype, schema: Schema) -> Column:
    """The column as the model's dtype; null for values that can't be read as such."""
    value = canonical(column, dtype, schema)
    return days_since_1970(value) if dtype == "date" else value


def _row_name(schema: Schema) -> str:
    """ROW, or a name like it that no feature has."""
    name, taken = ROW, {feature.lower() for feature in schema.features}
    while name in taken:
        name += "_"
    return name


def _check_readable(normalized: Table, features: dict[str, Column], schema: Schema, left_out: LeftOut) -> None:
    """Every number and date can be read, except in columns that params declare as dates, whose others are missing."""
    checked = [name for name in features if schema.features[name] != "category"]
    if not checked:
        return
    # Numbered, since any name may be the name of a column
    pairs = normalized.select(
        **{f"normalized {i}": normalized[name] for i, name in enumerate(checked)},
        **{f"read {i}": features[name] for i, name in enumerate(checked)},
    )
    unreadable = [_is_unreadable(pairs[f"normalized {i}"], pairs[f"read {i}"]) for i in range(len(checked))]
    counts = pairs.aggregate(
        rows=_.count(), **{str(i): condition.sum().fill_null(0) for i, condition in enumerate(unreadable)}
    )
    (values,) = counts.to_pyarrow().to_pylist()
    for i, name in enumerate(checked):
        if count := values[str(i)]:
            example = pairs[f"normalized {i}"].cast("string").min(where=unreadable[i]).to_pyarrow().as_py()
            if name in schema.dates:
                left_out.add(f"column '{name}': values that are not dates are missing", count, example)
                continue
            problem = f"{count} of {values['rows']} values are not {PLURALS[schema.features[name]]}"
            raise InputError(f"column '{name}': {problem}, such as '{example}'")


def _is_unreadable(normalized: Column, read: Column) -> Column:
    return normalized.notnull() & ~_is_finite(read)


def _is_finite(number: Column) -> Column:
    return number.notnull() & ~number.isinf() & ~number.isnan()
