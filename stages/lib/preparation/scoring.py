"""Rows that a trained model is to score, prepared as those were that it was trained on: its schema decides."""

import ibis
from ibis import _
from ibis.expr.types import Column, Table

from stages.lib.common.errors import InputError
from stages.lib.dataset.schema import Schema
from stages.lib.preparation.column_types import days
from stages.lib.preparation.engine import Engine
from stages.lib.preparation.features import ORDER
from stages.lib.preparation.nulls import with_nulls
from stages.lib.preparation.partitions import sessions_from_clicks
from stages.lib.preparation.prepare import CLICK_KEYS

ROW = "row"  # names the rows of a table of sessions without a key: 0, 1, 2 ...
WORDS = {"number": "numbers", "date": "dates (YYYY-MM-DD)"}
TRUTH = {"true": 1.0, "false": 0.0}


def sessions_to_score(rows: Table, schema: Schema, work: Engine) -> tuple[Table, list[str]]:
    """The sessions of `rows` with the columns that name them and the model's features; and the names of the former.

    A click log's are all that reach the scored page view without a purchase, in order of their start; a table of
    sessions is scored as it is. Raises InputError, naming the column, where the model can't be asked about these rows.
    """
    return _of_clicks(rows, schema, work) if schema.source_type == "clicks" else _of_sessions(rows, schema)


def _of_clicks(log: Table, schema: Schema, work: Engine) -> tuple[Table, list[str]]:
    sessions, left_out = sessions_from_clicks(log, schema.clicks, work)
    lacking = [(ours, name) for ours, names in left_out.items() for name in names if name in schema.features]
    if lacking:
        ours, name = lacking[0]
        theirs = schema.clicks.columns.get(ours) or ours
        raise InputError(
            f"no column '{theirs}' (prepare.clicks.columns.{ours}), without which there is no {name}, which the model "
            f"was trained on; it has {', '.join(log.columns)}"
        )
    return sessions.order_by(ORDER).select(*CLICK_KEYS, *schema.features), list(CLICK_KEYS)


def _of_sessions(rows: Table, schema: Schema) -> tuple[Table, list[str]]:
    named = [schema.keys.session] if schema.keys.session else []
    for name in (*named, *schema.features):
        if name not in rows.columns:
            raise InputError(f"no column '{name}', which the model was trained on; it has {', '.join(rows.columns)}")
    if not named:
        rows, named = rows.mutate(**{ROW: ibis.row_number()}), [ROW]
    values = rows.mutate(**with_nulls(rows, [*schema.features], schema.na_values))
    read = {name: _read(values[name], name, schema) for name in schema.features}
    _check_readable(values, read, schema)
    return values.select(*named, **read), named


def _read(column: Column, name: str, schema: Schema) -> Column:
    """The column as the model's kind of it; null for what can't be read so."""
    given, kind = column.type(), schema.features[name]
    moment = given.is_date() or given.is_timestamp()
    if kind == "category" and given.is_floating():
        # A whole number that a missing value has made a float is the level that it was as a whole number.
        whole = (column % 1 == 0).ifelse(column.try_cast("int64").cast("string"), ibis.null("string"))
        return whole.coalesce(column.cast("string"))
    if kind == "category":
        return column.cast("string")
    if kind == "date" and (moment or given.is_string()):
        return days(column)
    if kind == "number" and given.is_string():
        truth = ibis.cases(*[(column.lower() == word, value) for word, value in TRUTH.items()])
        return column.try_cast("float64").coalesce(truth)
    if kind == "number" and (given.is_numeric() or given.is_boolean()):
        return column.cast("float64")
    raise InputError(f"column '{name}': {given}; the model was trained on {WORDS[kind]}")


def _check_readable(values: Table, read: dict[str, Column], schema: Schema) -> None:
    """Every value of a number or a date can be read as one, but for dates that training took as missing if not."""
    checked = [name for name, kind in schema.features.items() if kind != "category" and name not in schema.dates]
    unread = {name: values[name].notnull() & ~_finite(read[name]) for name in checked}
    counts = values.aggregate(rows=_.count(), **{f"of {name}": unread[name].sum() for name in checked})
    found = counts.to_pyarrow().to_pylist()[0]
    for name in checked:
        if count := found[f"of {name}"]:
            example = values.aggregate(text=values[name].cast("string").min(where=unread[name])).to_pyarrow()
            words = WORDS[schema.features[name]]
            raise InputError(
                f"column '{name}': {count} of {found['rows']} values are no {words}, such as '{example['text'][0]}'"
            )


def _finite(number: Column) -> Column:
    return number.notnull() & ~number.isinf() & ~number.isnan()
