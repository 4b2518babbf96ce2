"""Sums, counts and joins that give the same on every engine."""

from ibis.expr.types import Table, Value

from stages.lib.preparation.events import SESSION


def total(value: Value, where: Value | None = None) -> Value:
    """The sum as an int64, which is 0, not null, where there are no rows."""
    return value.sum(where=where).fill_null(0).cast("int64")


def count(where: Value) -> Value:
    """How many rows fulfil the condition; a condition that is null does not."""
    return where.cast("int64").sum().fill_null(0).cast("int64")


def left_join(left: Table, right: Table, keys: list[str] = SESSION) -> Table:
    """All rows of `left`, with the columns of `right` that it does not have."""
    return left.left_join(right, keys).drop([f"{key}_right" for key in keys])
