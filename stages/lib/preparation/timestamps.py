"""Timestamps and dates from texts, numbers and typed columns; all in UTC."""

import ibis
import ibis.expr.datatypes as dt
from ibis.expr.types import Column

TIMESTAMP = dt.Timestamp(scale=6)
# ISO 8601: a date, or a date and a time, with an offset from UTC or without.
ISO_FORMAT = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)?)?$"
MICROSECONDS_PER_DAY = 86_400 * 10**6


def is_datetime(column: Column) -> bool:
    """Whether the column's type is a date or a timestamp."""
    return column.type().is_date() or column.type().is_timestamp()


def parse_timestamp(text: Column) -> Column:
    """The timestamp of a text in ISO_FORMAT; null for any other text, and for a day that does not exist."""
    # DuckDB reads an offset only after seconds, and applies it only to a type with a time zone.
    text = text.re_search(ISO_FORMAT).ifelse(text, ibis.null("string")).re_replace(r"^(.{16})([Z+-].*)$", r"\1:00\2")
    return text.try_cast(dt.Timestamp("UTC", 6)).cast(TIMESTAMP)


def days_since_1970(column: Column) -> Column:
    """Days, with the time of day as their fraction, float64, of a date, a timestamp or a text; null if unreadable."""
    timestamp = parse_timestamp(column) if column.type().is_string() else column.cast(TIMESTAMP)
    return timestamp.delta(ibis.timestamp("1970-01-01"), unit="microsecond").cast("float64") / MICROSECONDS_PER_DAY
