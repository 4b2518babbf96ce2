"""Rows for a trained model to score, prepared like those that it was trained on, as its schema says."""

import ibis
from ibis import _
from ibis.expr.types import BooleanColumn, Column, Table

from stages.lib.common.errors import InputError
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Dtype, Schema
from stages.lib.preparation.column_profile import in_groups
from stages.lib.preparation.engine import Engine
from stages.lib.preparation.features import ORDER
from stages.lib.preparation.macros import Macro
from stages.lib.preparation.nulls import null_if_missing
from stages.lib.preparation.partitions import sessions_from_clicks
from stages.lib.preparation.prepare import CLICK_ROLES
from stages.lib.preparation.side_by_side import join_side_by_side
from stages.lib.preparation.timestamps import FIRST_YEAR, LAST_YEAR, days_since_1970
from stages.lib.preparation.values import can_be, canonical

ROW = "row"  # the key of a session table without one: 0, 1, 2 …
PLURALS = {"number": "numbers", "date": f"dates ({FIRST_YEAR} to {LAST_YEAR})", "category": "categories"}


def sessions_to_score(rows: Table, schema: Schema, engine: Engine, left_out: LeftOut) -> tuple[Table, list[str]]:
    """Make the features of the model.

    Args:
        rows: a click log or a session table, whichever the model was trained on.
        schema: of the model.
        engine: aggregates a click log.
        left_out: gets what is left out or changed.

    Returns:
        Keys and features of the sessions, and the keys' names. A click log gives all sessions that reach the scored
        page view without a purchase, ordered by start; a session table gives its rows, in their order.

    Raises:
        InputError: a column that the model needs is missing or has other values; the message names it.
    """
    if schema.source_type == "clicks":
        return _sessions_of_clicks(rows, schema, engine, left_out)
    return _sessions_of_table(rows, schema, left_out)


def _sessions_of_clicks(log: Table, schema: Schema, engine: Engine, left_out: LeftOut) -> tuple[Table, list[str]]:
    sessions, omitted = sessions_from_clicks(log, schema, engine, left_out)
    for column, names in omitted.items():
        for feature in names:
            if feature in schema.features:
                source_name = schema.clicks.columns.get(column) or column
                raise InputError(
                    f"no column '{source_name}' (prepare.clicks.columns.{column}); the model was trained on {feature}, "
                    f"which needs it; it has {', '.join(log.columns)}"
                )
    return sessions.order_by(ORDER).select(*CLICK_ROLES, *schema.features), [*CLICK_ROLES]


def _sessions_of_table(rows: Table, schema: Schema, left_out: LeftOut) -> tuple[Table, list[str]]:
    keys = [schema.keys.session] if schema.keys.session else []
    for name in (*keys, *schema.features):
        if name not in rows.columns:
            raise InputError(f"no column '{name}', which the model was trained on; it has {', '.join(rows.columns)}")
    for name, dtype in schema.features.items():
        if not can_be(rows[name], dtype):
            raise InputError(f"column '{name}': {rows[name].type()}; the model was trained on {PLURALS[dtype]}")
    reads = {
        dtype: Macro(lambda column, dtype=dtype: _read(column, dtype, schema)) for dtype in {*schema.features.values()}
    }
    features = {name: reads[dtype](rows[name]) for name, dtype in schema.features.items()}
    _check_readable(rows, features, schema, left_out)
    row = {name: rows[name] for name in keys} or {ROW: ibis.row_number()}
    first, *others = ({name: features[name] for name in group} for group in in_groups([*features]))
    tables = [rows.select(**row, **first), *(rows.select(**group) for group in others)]
    return join_side_by_side(tables), [*row]


def _read(column: Column, dtype: Dtype, schema: Schema) -> Column:
    """The column as the model's dtype; null for values that can't be read as such."""
    value = canonical(null_if_missing(column, schema.na_values), dtype, schema)
    return days_since_1970(value) if dtype == "date" else value


def _check_readable(rows: Table, features: dict[str, Column], schema: Schema, left_out: LeftOut) -> None:
    """Every number and date can be read, except in columns that params declare as dates, whose others are missing."""
    checked = [name for name, dtype in schema.features.items() if dtype != "category"]
    is_present = Macro(lambda column: null_if_missing(column, schema.na_values).notnull())
    unreadable = Macro(lambda is_present, value: is_present & ~_is_finite(value))
    n_unreadable = Macro(lambda is_unreadable: is_unreadable.sum().fill_null(0), aggregates=True)
    for group in in_groups(checked):
        inner = rows.select(
            **{str(i): unreadable(is_present(rows[name]), features[name]) for i, name in enumerate(group)}
        )
        counts = inner.aggregate(**{key: n_unreadable(inner[key]) for key in inner.columns}, rows=_.count())
        (values,) = counts.to_pyarrow().to_pylist()
        for i, name in enumerate(group):
            if count := values[str(i)]:
                example = _example(rows[name], unreadable(is_present(rows[name]), features[name]))
                if name in schema.dates:
                    left_out.add(f"column '{name}': values that are not dates are missing", count, example)
                    continue
                problem = f"{count} of {values['rows']} values are not {PLURALS[schema.features[name]]}"
                raise InputError(f"column '{name}': {problem}, such as '{example}'")


def _example(column: Column, condition: BooleanColumn) -> str:
    """The least value, as text, of those that meet the condition."""
    text = column.cast("string").min(where=condition)
    return str(text.to_pyarrow().as_py())


def _is_finite(number: Column) -> Column:
    return number.notnull() & ~number.isinf() & ~number.isnan()
