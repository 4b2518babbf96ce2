"""Numbers from texts and from types that hold them: flags, amounts, percentages and durations too."""

import re
from typing import Protocol

import ibis
import ibis.expr.datatypes as dt
from ibis.expr.types import Column, Value

# The spellings of a flag, and its number
FLAGS = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}
# 36:00:00, 0 days 00:01:30.5 and, as pandas writes half a minute less than nothing, -1 days +23:59:30
DURATION = r"^-?(\d+ days? \+?)?\d+:[0-5]\d:[0-5]\d(\.\d+)?$"
SPACES = {" ": r"[ \x{00A0}\x{202F}]", "'": r"['\x{2019}]"}  # that look like the thousands separator


class NumberFormat(Protocol):
    """How a source writes numbers in texts; params and the schema of a model are such."""

    @property
    def decimal(self) -> str: ...
    @property
    def thousands(self) -> str | None: ...
    @property
    def units(self) -> list[str]: ...


@ibis.udf.scalar.builtin(name="epoch_us", signature=((dt.Interval("us"),), dt.int64))  # type: ignore[untyped-decorator]
def interval_microseconds(interval: Value) -> Value:
    """The length of an interval, in DuckDB."""


@ibis.udf.scalar.builtin(name="epoch_us", signature=((dt.time,), dt.int64))  # type: ignore[untyped-decorator]
def time_microseconds(time: Value) -> Value:
    """The time since midnight, in DuckDB."""


def parse_number(column: Column, settings: NumberFormat) -> Column:
    """The numbers of a column of any type, float64; null for what is no number.

    A flag is 1 or 0; a duration and a time of day are seconds, and so is a text such as 36:00:00.

    Args:
        column: of `null_if_missing`.
        settings: the decimal and the thousands separator of texts, and the units to ignore before or after a number.
    """
    type_ = column.type()
    if type_.is_string():
        return _parse_text(column, settings).coalesce(_seconds(column), column.cases(*FLAGS.items()))
    if type_.is_interval():
        return interval_microseconds(column) / 10**6
    if type_.is_time():
        return time_microseconds(column) / 10**6
    if type_.is_float32():
        # 0.1 in 32 bits is another number than 0.1 in 64, but the same text.
        column = column.cast("string")
    if type_.is_numeric() or type_.is_boolean():
        return column.cast("float64")
    return ibis.null("float64")


def _parse_text(text: Column, settings: NumberFormat) -> Column:
    if settings.units:
        units = "|".join(map(re.escape, settings.units))
        space = SPACES[" "]
        text = text.re_replace(rf"^([+-]?)(?:{units}){space}*", r"\1").re_replace(rf"{space}*(?:{units})$", "")
    if settings.thousands:
        separator = SPACES.get(settings.thousands, re.escape(settings.thousands))
        grouped = rf"^[+-]?\d{{1,3}}({separator}\d{{3}})+({re.escape(settings.decimal)}\d*)?$"
        text = text.re_search(grouped).ifelse(text.re_replace(separator, ""), text)
    refused = text.contains("_")  # DuckDB reads 1_10 as 110
    if settings.decimal != ".":
        refused |= text.contains(".")
        text = text.replace(settings.decimal, ".")
    return refused.ifelse(ibis.null("string"), text).try_cast("float64").nullif(float("nan"))


def _seconds(text: Column) -> Column:
    duration = text.re_search(DURATION).ifelse(text, ibis.null("string"))
    return interval_microseconds(duration.replace("+", "").try_cast(dt.Interval("us"))) / 10**6
