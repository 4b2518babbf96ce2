"""The values of a click log: ids, prices and whole numbers, from whatever type they are stored in."""

import ibis
from ibis.expr.types import Value

from stages.lib.preparation.numbers import NumberFormat, parse_number
from stages.lib.preparation.row_checks import null_where
from stages.lib.preparation.values import as_category

# What trackers write in place of an id, in any case; prepare.na_values adds to it
MISSING_IDS = (
    "", "null", "none", "nil", "nan", "na", "n/a", "#n/a", "nat", "undefined", "unknown", "(not set)", "not set",
    "(null)", "(none)", "<null>", "<na>", r"\n", "-", "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
MAX_PRICE = 10**9
MAX_QUANTITY = 10**5


def to_id(column: Value) -> Value:
    """The id of a visitor or session, an integer or a text; null where the log has a word for a missing value."""
    if column.type().is_integer():
        return column
    text = as_category(column)
    return null_where(text.lower().isin(MISSING_IDS), text)


def to_price(column: Value, formats: NumberFormat) -> Value:
    """The price as float64; null for what is not a number of at most MAX_PRICE."""
    number = parse_number(column, formats)
    return null_where(number.isnan() | (number.abs() > MAX_PRICE), number)


def to_quantity(column: Value, formats: NumberFormat) -> Value:
    """The number of items as int64; null for what is not a whole number of at most MAX_QUANTITY."""
    number = to_integer(column, formats)
    return null_where(number.abs() > MAX_QUANTITY, number)


def to_integer(column: Value, formats: NumberFormat) -> Value:
    """The whole number as int64; null for what is none."""
    if column.type().is_integer() and not column.type().is_unsigned_integer():
        return column.cast("int64")
    number = parse_number(column, formats)
    return (number % 1 == 0).ifelse(number.try_cast("int64"), ibis.null("int64"))
