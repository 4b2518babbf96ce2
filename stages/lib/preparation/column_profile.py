"""Counts over columns, from which their types are inferred."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ibis
from ibis import _
from ibis.expr.types import Column, StructValue, Table, Value

from stages.lib.common.params import Prepare
from stages.lib.preparation.macros import Macro
from stages.lib.preparation.nulls import null_if_missing
from stages.lib.preparation.numbers import FLAGS, parse_number
from stages.lib.preparation.timestamps import is_datetime, parse_timestamp
from stages.lib.preparation.values import can_be

MAX_EXACT = 2**53  # from here on float64 does not hold every integer
COLUMNS_PER_QUERY = 32  # a query over more takes longer and more memory than several queries
UUID = r"^\{?[0-9A-Fa-f]{8}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{12}\}?$"


@dataclass(frozen=True)
class ColumnProfile:
    """Counts of values in one column; those of numbers, dates and uuids are 0 where the type can't hold any.

    Attributes:
        integers: of the whole numbers, those that float64 holds exactly.
        whole: numbers without a fraction.
        low: the smallest number.
        high: the largest number.
        flags: of the numbers, the texts true and false.
        marked: values that `na_values` calls missing.
        marked_example: one of them.
        with_digits: texts that have a digit, but are neither numbers nor dates.
        not_a_number: an example.
        not_a_date: an example.
    """

    rows: int
    missing: int
    distinct: int
    marked: int = 0
    marked_example: str | None = None
    numbers: int = 0
    integers: int = 0
    whole: int = 0
    infinite: int = 0
    low: float | None = None
    high: float | None = None
    dates: int = 0
    uuids: int = 0
    flags: int = 0
    with_digits: int = 0
    not_a_number: str | None = None
    not_a_date: str | None = None

    @property
    def present(self) -> int:
        return self.rows - self.missing

    @property
    def is_empty(self) -> bool:
        return self.present == 0

    @property
    def is_constant(self) -> bool:
        return self.distinct == 1 and self.missing == 0


def profile_columns(table: Table, names: list[str], settings: Prepare) -> dict[str, ColumnProfile]:
    """The profile of each of the columns.

    Args:
        table: the rows as they were read.
        names: of the columns.
        settings: the texts that mean a missing value, how texts are written, and the columns declared as dates.
    """
    n_rows = table.count().execute()
    normalize = Macro(lambda column: _normalize(column, settings.na_values))
    number = Macro(lambda column: parse_number(column, settings))
    # A number is a moment only in a column that is declared so.
    date, declared_date = (
        Macro(lambda column, numbers=numbers: parse_timestamp(column, settings.date_format, numbers=numbers))
        for numbers in (False, True)
    )
    of_any, of_number, of_text, of_date = (
        Macro(statistics, aggregates=True)
        for statistics in (_any_statistics, _number_statistics, _text_statistics, _date_statistics)
    )

    def basic(name: str, raw: Column, value: Column) -> tuple[Macro, list[Column]]:
        is_number = can_be(table[name], "number") and not table[name].type().is_boolean()
        return (of_number, [raw, value, number(value)]) if is_number else (of_any, [raw, value])

    def other(name: str, raw: Column, value: Column) -> tuple[Macro, list[Column]]:
        moment = (declared_date if name in settings.dates else date)(value)
        if table[name].type().is_string():
            return of_text, [value, number(value), moment]
        return of_date, [value, moment]

    statistics: dict[str, dict[str, Any]] = _aggregate(table, names, normalize, basic)
    # Whatever else a text may be is of no interest in a column that has only numbers.
    texts = [
        name
        for name in names
        if is_datetime(table[name])
        or (name in settings.dates and can_be(table[name], "date"))
        or (
            table[name].type().is_string()
            and statistics[name]["numbers"] - statistics[name]["flags"] < n_rows - statistics[name]["missing"]
        )
    ]
    more = _aggregate(table, texts, normalize, other)
    return {name: ColumnProfile(rows=n_rows, **statistics[name], **more.get(name, {})) for name in names}


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


def in_groups(names: list[str]) -> Iterator[list[str]]:
    """The names, COLUMNS_PER_QUERY at a time."""
    return (names[start : start + COLUMNS_PER_QUERY] for start in range(0, len(names), COLUMNS_PER_QUERY))


def _aggregate(
    table: Table,
    names: list[str],
    normalize: Macro,
    statistics_of: Callable[[str, Column, Column], tuple[Macro, list[Column]]],
) -> dict[str, dict[str, Any]]:
    """For each column its statistics, by a macro and what it is called with, which is made of the normalized column."""
    found: dict[str, dict[str, Any]] = {}
    for group in in_groups(names):
        # Numbered, since any name may be the name of a column. Each step is a query inside the next one, so that it is
        # computed once, and not wherever the next one refers to it.
        normalized = table.select(
            **{f"raw {number}": table[name] for number, name in enumerate(group)},
            **{f"value {number}": normalize(table[name]) for number, name in enumerate(group)},
        )
        calls: list[tuple[Macro, dict[str, Column]]] = []
        for number, name in enumerate(group):
            macro, columns = statistics_of(name, normalized[f"raw {number}"], normalized[f"value {number}"])
            calls.append((macro, {f"{position} of {number}": column for position, column in enumerate(columns)}))
        inner = normalized.select(**{key: column for _, columns in calls for key, column in columns.items()})
        values = inner.aggregate(
            **{str(number): macro(*(inner[key] for key in columns)) for number, (macro, columns) in enumerate(calls)}
        )
        found |= zip(group, values.to_pyarrow().to_pylist()[0].values(), strict=True)
    return found


def _normalize(column: Column, na_values: list[str]) -> Column:
    return column.cast("string") if column.type().is_uuid() else null_if_missing(column, na_values)


def _missing_statistics(raw: Column, value: Column) -> dict[str, Value]:
    type_ = raw.type()
    is_there = raw.strip() != "" if type_.is_string() else raw.notnull()
    is_marked = value.isnull() & (is_there & ~raw.isnan() if type_.is_floating() else is_there)
    return {
        "missing": _count(value.isnull()),
        "distinct": value.nunique(),
        "marked": _count(is_marked),
        "marked_example": raw.cast("string").min(where=is_marked),
    }


def _any_statistics(raw: Column, value: Column) -> StructValue:
    return ibis.struct(_missing_statistics(raw, value))


def _number_statistics(raw: Column, value: Column, number: Column) -> StructValue:
    is_whole = number % 1 == 0
    return ibis.struct(
        {
            **_missing_statistics(raw, value),
            "numbers": _count(number.notnull()),
            "whole": _count(is_whole),
            "integers": _count(is_whole & (number.abs() < MAX_EXACT)),
            "infinite": _count(number.isinf()),
            "low": number.min(),
            "high": number.max(),
            # Only texts are both numbers and flags.
            **({"flags": _count(value.cases(*FLAGS.items()).notnull())} if value.type().is_string() else {}),
        }
    )


def _text_statistics(text: Column, number: Column, date: Column) -> StructValue:
    return ibis.struct(
        {
            "dates": _count(date.notnull()),
            "not_a_number": text.min(where=number.isnull()),
            "not_a_date": text.min(where=date.isnull()),
            "uuids": _count(text.re_search(UUID)),
            "with_digits": _count(number.isnull() & date.isnull() & text.re_search(r"\d")),
        }
    )


def _date_statistics(value: Column, date: Column) -> StructValue:
    return ibis.struct(
        {"dates": _count(date.notnull()), "not_a_date": value.cast("string").min(where=value.notnull() & date.isnull())}
    )


def _count(condition: Column) -> Value:
    return condition.sum().fill_null(0)
