"""Moments from whatever a source stores them as: texts, numbers, dates and timestamps; all in UTC."""

from datetime import UTC, datetime

import ibis
import ibis.expr.datatypes as dt
from ibis.expr.types import Column, Value

TIMESTAMP = dt.Timestamp(scale=6)
MICROSECONDS_PER_DAY = 86_400 * 10**6

# A moment outside these years is a mistake, or a number in another unit.
FIRST_YEAR, LAST_YEAR = 1990, 2100
FIRST = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
END = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)
# Numbers count from 1970. The years above in one of these units are no such years in another.
MICROSECONDS = 10**6  # a second
UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": MICROSECONDS, "nanoseconds": 10**9}

# What `parse_timestamp` reads, for messages; docs/your-data.md has the whole list.
FORMS = (
    f"ISO 8601, such as 2024-05-01 or 2024-05-01T13:45:00+02:00, and seconds to nanoseconds since 1970, all from "
    f"{FIRST_YEAR} to {LAST_YEAR}; prepare.date_format reads another form"
)

# What DuckDB's cast reads as it is meant
YEAR = r"(199\d|20\d\d|2100)"
OFFSET = r"[+-](0\d|1[0-4])(:?[0-5]\d)?"
ISO_FORMAT = rf"^{YEAR}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC|{OFFSET})?)?$"
# All of ISO 8601, with a space, a comma or an offset where others write them: rewritten as the above in these steps,
# of which the first adds the separators, and the others replace what is not between them.
FREE_FORMAT = (
    r"^(\d{4})-?(\d\d)-?(\d\d)"
    r"([Tt ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?)? ?([Zz]|UTC|GMT|[+-]\d\d:?(?:\d\d)?)?)?$"
)
SEPARATED = r"\1-\2-\3 \5:\6:\7.\80\9"
NOTHING = {" ::.0": "", "::.": ":00:00.", ":.": ":00.", "GMT": "Z", "z": "Z"}
# Other ways to name a day: their form, the same with hyphens, and what strptime calls that
OTHER_DAYS = (
    (r"^(\d{4})-?W(\d\d)-?([1-7])([Tt ].*)?$", r"\1-W\2-\3", "%G-W%V-%u"),
    (r"^(\d{4})-(\d{3})([Tt ].*)?$", r"\1-\2", "%Y-%j"),
)


@ibis.udf.scalar.builtin(signature=((dt.int64,), TIMESTAMP))  # type: ignore[untyped-decorator]
def make_timestamp(microseconds: Value) -> Value:
    """The moment of microseconds since 1970, in DuckDB."""


@ibis.udf.scalar.builtin(signature=((dt.string, dt.string), TIMESTAMP), name="try_strptime")  # type: ignore[untyped-decorator]
def read_local(text: Value, form: Value) -> Value:
    """The moment of a text in this form, in DuckDB; null for any other text."""


@ibis.udf.scalar.builtin(signature=((dt.string, dt.string), dt.Timestamp("UTC", 6)), name="try_strptime")  # type: ignore[untyped-decorator]
def read_with_zone(text: Value, form: Value) -> Value:
    """The same for a form with an offset or a zone."""


def is_datetime(column: Column) -> bool:
    """Whether the column's type is a date or a timestamp."""
    return column.type().is_date() or column.type().is_timestamp()


def parse_timestamp(column: Column, date_format: str | None = None, *, numbers: bool = True) -> Column:
    """The moments of a column of any type, in UTC, to the microsecond.

    Read are dates and timestamps, with or without a zone; seconds, milliseconds, microseconds and nanoseconds since
    1970, whole or with a fraction, as numbers or texts; and texts in ISO 8601. A time without an offset is in UTC.

    Args:
        column: without spaces around texts.
        date_format: of `strptime`, in which texts and numbers are read first. If it starts with the year, in no other
            form, since 2024-05-06 could be read in two ways then.
        numbers: whether a number, or a text that is one, may be a moment.

    Returns:
        TIMESTAMP; null for any other value, and for a moment outside FIRST_YEAR to LAST_YEAR.
    """
    if is_datetime(column):
        moment = column.cast(dt.Timestamp("UTC", 6)) if column.type().is_date() else column
        return _in_range(moment.cast(TIMESTAMP))
    if not (column.type().is_string() or (numbers and column.type().is_numeric())):
        return ibis.null(TIMESTAMP)
    if date_format is not None:
        read = _read_format(_as_text(column), date_format)
        if not date_format.startswith(("%Y", "%y", "%G")):
            read = read.coalesce(_parse_known(column, numbers=numbers))
        return _in_range(read)
    return _parse_known(column, numbers=numbers)


def days_since_1970(timestamp: Column) -> Column:
    """Days, with the time of day as their fraction, float64, of a TIMESTAMP."""
    return timestamp.delta(ibis.timestamp("1970-01-01"), unit="microsecond").cast("float64") / MICROSECONDS_PER_DAY


def _parse_known(column: Column, *, numbers: bool) -> Column:
    if column.type().is_numeric():
        # 20240501 is a day, as the same text is.
        return _from_epoch(column).coalesce(_parse_iso(_as_text(column)))
    if not numbers:
        return _parse_iso(_where(~column.re_search(r"^\d+$"), column))
    digits = _where(column.re_search(r"^\d{9,19}$"), column).try_cast("int64")
    other = _where(column.re_search(r"^\d+(\.\d*)?([eE]\+?\d\d?)?$"), column).try_cast("float64")
    return _from_epoch(digits).coalesce(_parse_iso(column), _from_epoch(other))


def _parse_iso(text: Column) -> Column:
    days = []
    for pattern, hyphenated, form in OTHER_DAYS:
        name = text.re_replace(pattern, hyphenated)
        day = read_local(name, form)
        # DuckDB takes day 366 of a year that has 365 for the first day of the next one.
        exists = text.re_search(pattern) & (day.strftime(form) == name)
        days.append((exists, day.strftime("%Y-%m-%d") + text.re_extract(r"[Tt ].*", 0)))
    rewritten = ibis.cases(*days, else_=text).re_replace(FREE_FORMAT, SEPARATED)
    for nothing, replacement in NOTHING.items():
        rewritten = rewritten.replace(nothing, replacement)
    # Most texts need none of that, and it is computed only for those that do.
    text = text.re_search(ISO_FORMAT).ifelse(text, rewritten.re_extract(ISO_FORMAT, 0))
    # A cast to a type without a zone would ignore the offset.
    return text.try_cast(dt.Timestamp("UTC", 6)).cast(TIMESTAMP)


def _read_format(text: Column, date_format: str) -> Column:
    has_zone = "%z" in date_format or "%Z" in date_format
    return read_with_zone(text, date_format).cast(TIMESTAMP) if has_zone else read_local(text, date_format)


def _from_epoch(number: Column) -> Column:
    """The moment of a number in the unit in which it lies in FIRST_YEAR to LAST_YEAR; null if there is none."""
    is_integer = number.type().is_integer()
    # A narrow integer would overflow below.
    number = number.try_cast("int64") if is_integer else number.cast("float64")
    cases = []
    for factor in UNITS.values():
        in_unit = (number >= int(FIRST.timestamp()) * factor) & (number < int(END.timestamp()) * factor)
        if factor <= MICROSECONDS:
            microseconds = (
                number.cast("int64") if is_integer and factor == MICROSECONDS else number * (MICROSECONDS // factor)
            )
        else:
            # Whole thousands are divided, since float64, in which DuckDB divides, does not hold every nanosecond.
            microseconds = (number - number % 1000) / 1000
        cases.append((in_unit, microseconds.round().cast("int64")))
    return make_timestamp(ibis.cases(*cases))


def _as_text(column: Column) -> Column:
    """The text of a number, a whole one without a decimal point; texts as they are."""
    if column.type().is_string() or column.type().is_integer():
        return column.cast("string")
    whole = column.cast("float64").round().try_cast("int64").cast("string")
    return _where(column % 1 == 0, whole)


def _in_range(moment: Column) -> Column:
    first, end = (ibis.timestamp(limit.strftime("%Y-%m-%d")) for limit in (FIRST, END))
    return _where((moment >= first) & (moment < end), moment)


def _where(condition: Value, column: Column) -> Column:
    return condition.ifelse(column, ibis.null(column.type()))
