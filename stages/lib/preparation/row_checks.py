"""Conditions on the rows of a log: how many rows meet each of them, with an example, in one pass over the log."""

from dataclasses import dataclass

import ibis
from ibis import _
from ibis.expr.types import BooleanValue, Table, Value


@dataclass(frozen=True)
class Check:
    """A condition, and the column that has the example, if one is of use."""

    condition: BooleanValue
    column: Value | None = None


@dataclass(frozen=True)
class Matches:
    """How many rows meet a condition, and the least value among them as text."""

    count: int
    example: str | None = None


def count_rows(table: Table, checks: dict[str, Check]) -> tuple[int, dict[str, Matches]]:
    """The number of rows, and what each check matches; the table is read again only for examples."""
    counts = table.aggregate(
        rows=_.count(), **{name: check.condition.cast("int64").sum().fill_null(0) for name, check in checks.items()}
    )
    counted = counts.to_pyarrow().to_pylist()[0]
    examples: dict[str, str | None] = {}
    texts = {
        name: check.column.cast("string").min(where=check.condition)
        for name, check in checks.items()
        if check.column is not None and counted[name]
    }
    if texts:
        examples = table.aggregate(**texts).to_pyarrow().to_pylist()[0]
    return int(counted["rows"]), {name: Matches(int(counted[name]), examples.get(name) or None) for name in checks}


def null_where(condition: BooleanValue, column: Value) -> Value:
    """The column, but null where the condition holds."""
    return condition.ifelse(ibis.null(column.type()), column)
