"""Moments from texts."""

import ibis
import ibis.expr.datatypes as dt
from ibis.expr.types import Column

TIMESTAMP = dt.Timestamp(scale=6)
# ISO 8601: a day, or a day and a time, with an offset from UTC or without.
DATE = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)?)?$"


def parse_timestamp(text: Column) -> Column:
    """The moment, in UTC, of a text of the form DATE; null for any other, and for days that never were."""
    # DuckDB reads offsets only after seconds, and heeds them only in moments with a time zone.
    text = text.re_search(DATE).ifelse(text, ibis.null("string")).re_replace(r"^(.{16})([Z+-].*)$", r"\1:00\2")
    return text.try_cast(dt.Timestamp("UTC", 6)).cast(TIMESTAMP)
