"""Missing values: what params list in na_values, in whatever type it is stored, and NaN, become null."""

import string
from datetime import datetime
from typing import Any

import ibis
from ibis.expr.types import Column, Table


def with_nulls(table: Table, names: list[str], na_values: list[str]) -> Table:
    """Strip the texts in these columns, and replace `na_values` and NaN by null."""
    return table.mutate(**{name: null_if_missing(table[name], na_values) for name in names})


def null_if_missing(column: Column, na_values: list[str]) -> Column:
    """The column, without spaces around texts, and null where it is missing.

    A number or a day in `na_values`, such as -1 or 1900-01-01, is missing in columns of numbers or dates too, and as
    -1.0 in texts, as pandas writes whole numbers among missing ones.
    """
    type_ = column.type()
    if type_.is_string():
        return _null_if(_strip(column), missing_texts(na_values))
    if type_.is_floating():
        # DuckDB takes a comparison with NaN for false where the statistics of a parquet file, without NaN, suggest so.
        column = column.isnan().ifelse(ibis.null(type_), column)
    if type_.is_floating() or type_.is_decimal():
        return _null_if(column, missing_numbers(na_values))
    if type_.is_integer():
        numbers = [int(text) for text in na_values if _is_integer(text)]
        return _null_if(column, [number for number in numbers if type_.bounds.lower <= number <= type_.bounds.upper])
    if type_.is_date() or type_.is_timestamp():
        return _null_if(column, [ibis.timestamp(text).cast(type_) for text in na_values if _is_moment(text)])
    return column


def missing_texts(na_values: list[str]) -> list[str]:
    """The texts that are missing values."""
    return [*na_values, *(f"{text}.0" for text in na_values if _is_integer(text))]


def missing_numbers(na_values: list[str]) -> list[float]:
    """The numbers that are missing values."""
    return [float(text) for text in na_values if _is_number(text)]


def _null_if(column: Column, values: list[Any]) -> Column:
    # DuckDB makes a join of a long IN, one for each column.
    return column.cases(*((value, ibis.null(column.type())) for value in values), else_=column) if values else column


def _is_number(text: str) -> bool:
    try:
        return "_" not in text and float(text) == float(text)
    except ValueError:
        return False


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _is_moment(text: str) -> bool:
    try:
        return not text.isdecimal() and datetime.fromisoformat(text) is not None
    except ValueError:
        return False


def _strip(text: Column) -> Column:
    # Checking whether there is anything to strip takes less time than stripping.
    is_padded = (text < "!") | (text.right(1) <= string.whitespace[0])
    return is_padded.ifelse(text.strip(), text)
