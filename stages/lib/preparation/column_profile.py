"""Counts over columns, from which their types are inferred."""

from dataclasses import dataclass

import ibis
from ibis import _
from ibis.expr.types import Column, Table, Value

from stages.lib.preparation.timestamps import parse_timestamp

MAX_EXACT = 2**53  # from here on float64 does not hold every integer


@dataclass(frozen=True)
class ColumnProfile:
    """Counts of values in one column; those of numbers and dates are 0 where the type can't hold any."""

    rows: int
    missing: int
    distinct: int
    numbers: int = 0
    integers: int = 0
    infinite: int = 0
    dates: int = 0
    not_a_number: str | None = None  # an example
    not_a_date: str | None = None

    @property
    def present(self) -> int:
        return self.rows - self.missing


def profile_columns(table: Table, names: list[str]) -> dict[str, ColumnProfile]:
    """The profile of each of the columns, all computed in one pass over the table."""
    aggregates = {name: _aggregates(table[name]) for name in names}
    # Numbered, since any name may be the name of a column.
    numbered = {
        f"{statistic} {number}": value
        for number, column in enumerate(aggregates.values())
        for statistic, value in column.items()
    }
    values = table.aggregate(rows=_.count(), **numbered).to_pyarrow().to_pylist()[0]
    return {
        name: ColumnProfile(
            rows=values["rows"], **{statistic: values[f"{statistic} {number}"] for statistic in aggregates[name]}
        )
        for number, name in enumerate(names)
    }


def constant_columns(table: Table, names: list[str]) -> list[str]:
    """The columns that have the same value, or none, in every row."""
    aggregates = {
        f"{statistic} {name}": getattr(table[name], statistic)()
        for name in names
        for statistic in ("min", "max", "count")
    }
    values = table.aggregate(rows=_.count(), **aggregates).to_pyarrow().to_pylist()[0]
    return [
        name
        for name in names
        if values[f"min {name}"] == values[f"max {name}"] and values[f"count {name}"] in (0, values["rows"])
    ]


def _aggregates(column: Column) -> dict[str, Value]:
    aggregates = {"missing": _count(column.isnull()), "distinct": column.nunique()}
    if column.type().is_numeric():
        aggregates |= _number_aggregates(_without_nan(column.cast("float64")))
    if column.type().is_string():
        number, date = _without_nan(column.try_cast("float64")), parse_timestamp(column)
        aggregates |= _number_aggregates(number)
        aggregates["dates"] = _count(date.notnull())
        aggregates["not_a_number"] = column.min(where=column.notnull() & number.isnull())
        aggregates["not_a_date"] = column.min(where=column.notnull() & date.isnull())
    return aggregates


def _number_aggregates(number: Column) -> dict[str, Value]:
    return {
        "numbers": _count(number.notnull()),
        "integers": _count((number % 1 == 0) & (number.abs() < MAX_EXACT)),
        "infinite": _count(number.isinf()),
    }


def _without_nan(number: Column) -> Column:
    return number.isnan().ifelse(ibis.null("float64"), number)


def _count(condition: Column) -> Value:
    return condition.sum().fill_null(0)
