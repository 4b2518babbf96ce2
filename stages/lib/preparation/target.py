"""The target as 0 or 1: whether it equals the positive class, or by its meaning (1, true, yes, y; 0, false, no, n)."""

import re

from ibis import _
from ibis.expr.types import Column, Table

from stages.lib.common.errors import InputError
from stages.lib.preparation.nulls import null_if_missing
from stages.lib.preparation.numbers import FLAGS
from stages.lib.preparation.values import as_category

MEANINGS = {"1": 1, "true": 1, "yes": 1, "y": 1, "1.0": 1, "0": 0, "false": 0, "no": 0, "n": 0, "0.0": 0}
MAX_EXAMPLES = 10

PositiveClass = str | int | float | bool | None


def check_target(table: Table, name: str, positive_class: PositiveClass) -> None:
    """Check that every row has a target, and that both classes occur.

    Args:
        table: the sessions.
        name: the target's column.
        positive_class: the value to predict; None: by meaning.

    Raises:
        InputError: a value is missing or has no known meaning, or all rows are of one class.
    """
    # The rows are counted once; what follows queries the few different values.
    counts = table.group_by(value=table[name]).aggregate(rows=_.count()).cache()
    counts = counts.mutate(value=_text(counts.value), meaning=as_category(null_if_missing(counts.value, [])))
    if missing := counts.filter(_.value.isnull()).rows.sum().execute():
        raise InputError(f"target '{name}': no value in {missing} of {counts.rows.sum().execute()} rows")
    classes = counts.group_by("value").aggregate(
        rows=_.rows.sum(), is_positive=_is_positive(counts.meaning, positive_class).max()
    )
    # The most frequent values show best why a column is not a target.
    examples = classes.order_by(_.rows.desc(), "value").limit(MAX_EXAMPLES + 1).to_pyarrow()["value"].to_pylist()
    shown = ", ".join(f"'{value}'" for value in examples[:MAX_EXAMPLES])
    if len(examples) > MAX_EXAMPLES:
        shown += ", …"
    n_positive = classes.filter(_.is_positive).count().execute()
    if positive_class is None and any(value.lower() not in MEANINGS for value in examples):
        raise InputError(
            f"target '{name}': expected two classes, such as 0 and 1 or yes and no, got {shown}; set "
            "prepare.positive_class to the one to predict"
        )
    if positive_class is not None and not n_positive:
        hint = "; a text needs quotes" if isinstance(positive_class, bool) else ""
        raise InputError(
            f"target '{name}': no row is {positive_class!r} (prepare.positive_class{hint}); it has {shown}"
        )
    if n_positive in (0, classes.count().execute()):
        raise InputError(f"target '{name}': all rows are of one class, {shown}")


def encode_target(column: Column, positive_class: PositiveClass) -> Column:
    """The target as int64: 1 where it is the positive class, else 0."""
    return _is_positive(as_category(null_if_missing(column, [])), positive_class).cast("int64")


def _is_positive(text: Column, positive_class: PositiveClass) -> Column:
    if positive_class is None:
        return text.lower().isin([value for value, meaning in MEANINGS.items() if meaning])
    positive = str(positive_class)
    # As `as_category` writes flags and whole numbers
    return text == (positive.upper() if positive in FLAGS else re.sub(r"^(-?(?:0|[1-9]\d*))\.0+$", r"\1", positive))


def _text(column: Column) -> Column:
    """The values as errors show them; null where they are missing."""
    return null_if_missing(column, []).cast("string").strip()
