"""The one way in which a stored value is read: it means the same in whatever type it is stored.

Sources store the category 3 as a whole number, as 3.0 among missing values, as a decimal or as a text; a flag as a
bool, True or TRUE; a moment as a timestamp, a text or the seconds since 1970. `prepare` and `score` both come here.
"""

from pathlib import Path
from typing import Protocol

import ibis
import pyarrow as pa
from ibis.expr.types import Column, Table

from stages.lib.common.errors import InputError
from stages.lib.dataset.schema import Dtype
from stages.lib.preparation.numbers import FLAGS, NumberFormat, parse_number
from stages.lib.preparation.timestamps import TIMESTAMP, is_datetime, parse_timestamp

MAX_DECIMAL_DIGITS = 38  # DuckDB reads longer decimals, without an error, as other numbers
MICROSECONDS = {"s": 10**6, "ms": 10**3, "us": 1}


class Formats(NumberFormat, Protocol):
    """How a source writes its values; params and the schema of a model are such."""

    @property
    def date_format(self) -> str | None: ...


def canonical(column: Column, dtype: Dtype, formats: Formats) -> Column:
    """The column as what it means, whatever type it is stored in.

    Args:
        column: of any type for which `can_be` is true, with nulls where it is missing (`null_if_missing`).
        dtype: what it means.
        formats: how numbers and dates are written in texts.

    Returns:
        A category as string, a number as float64, a date as TIMESTAMP in UTC; null where it can't be read.
    """
    if dtype == "number":
        return parse_number(column, formats)
    if dtype == "date":
        return parse_timestamp(column, formats.date_format)
    return as_category(column)


def can_be(column: Column, dtype: Dtype) -> bool:
    """Whether the column's type can hold values that mean a category, a number or a date."""
    type_ = column.type()
    if type_.is_string():
        return True
    if dtype == "date":
        return is_datetime(column) or type_.is_numeric()
    is_number = type_.is_numeric() or type_.is_boolean() or type_.is_time() or type_.is_interval()
    return is_number or (dtype == "category" and (is_datetime(column) or type_.is_uuid()))


def as_category(column: Column) -> Column:
    """The text of a category or an identifier, string: 3 for 3, 3.0 and 3.00, TRUE for true; 007 and 1_10 are kept."""
    type_ = column.type()
    if type_.is_integer():
        return column.cast("string")
    if is_datetime(column):
        column = column.cast(TIMESTAMP)
    text = column.cast("string")
    if type_.is_decimal():
        text = text.re_replace(r"(\.\d*[1-9])0+$", r"\1")
    whole = text.re_replace(r"^(-?(?:0|[1-9]\d*))\.0+$", r"\1")
    # The same moment with fewer digits: without a fraction of 0, a midnight or a zone that is UTC
    moment = (
        text.re_replace(r"^((?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d)(?:(\.\d*[1-9])0*|\.0+)?(?:Z|\+00:00)?$", r"\1\2")
        .re_replace(r"^(\d{4}-\d\d-\d\d)T(\d\d:)", r"\1 \2")
        .re_replace(r"^(\d{4}-\d\d-\d\d) 00:00:00$", r"\1")
    )
    # These conditions are cheap, and most texts need no more.
    text = ibis.cases((text.contains(":"), moment), (text.endswith("0"), whole), else_=text)
    return text.cases(*((flag, flag.upper()) for flag in FLAGS if flag != flag.upper()), else_=text)


def restore_types(table: Table, schema: pa.Schema, path: Path) -> Table:
    """The table of a parquet file with the types that DuckDB does not know; durations as seconds.

    Args:
        table: as DuckDB reads it.
        schema: of the file, as Arrow reads it.
        path: of the file, for errors.

    Raises:
        InputError: DuckDB would read other values than the file has.
    """
    columns = {}
    for field in schema:
        if pa.types.is_decimal(field.type) and field.type.precision > MAX_DECIMAL_DIGITS:
            raise InputError(
                f"{path}: column '{field.name}': decimals of more than {MAX_DECIMAL_DIGITS} digits are not supported; "
                f"write it as decimal({MAX_DECIMAL_DIGITS}, {min(field.type.scale, MAX_DECIMAL_DIGITS)}) or as float64"
            )
        if pa.types.is_duration(field.type):
            # To the microsecond, as timestamps are
            length = table[field.name].cast("int64")
            unit = field.type.unit
            length = (length - length % 1000) / 1000 if unit == "ns" else length * MICROSECONDS[unit]
            columns[field.name] = length.cast("float64") / 10**6
        elif pa.types.is_time(field.type):
            # Earlier pyarrows write times as of UTC: to DuckDB these have a zone, which Ibis does not see.
            columns[field.name] = table[field.name].cast("string").re_replace(r"\+00$", "").cast("time")
    return table.mutate(**columns) if columns else table
