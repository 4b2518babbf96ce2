"""The type of each feature of a session table: number, date or category, as params say or as its values suggest."""

import ibis.expr.datatypes as dt
from ibis.expr.types import Column

from stages.lib.common.errors import InputError
from stages.lib.common.params import Prepare
from stages.lib.dataset.schema import Dtype
from stages.lib.preparation.column_profile import ColumnProfile
from stages.lib.preparation.timestamps import TIMESTAMP, days_since_1970, is_datetime, parse_timestamp

TYPE_SHARE = 0.9  # of its values must be numbers or dates for a text column to be read as such
# A text column with more different texts than both of these, the second as a share of its values, identifies rows.
MAX_CATEGORIES = 50
IDENTIFIER_SHARE = 0.5
# Dates and numbers that can be read in two ways, such as 1,234, and how to write them
AMBIGUOUS_FORMATS = {
    r"^(\d{4}[./-]\d\d?[./-]\d\d?|\d\d?[./-]\d\d?[./-](\d{4}|\d\d))([T ,].*)?$": "dates; write them as YYYY-MM-DD",
    r"^[+-]?(\d+|\d{1,3}([., ']\d{3})+)([.,]\d+)?$": "numbers; write them with only a decimal point, as 1234.56",
}


def infer_type(name: str, column: Column, profile: ColumnProfile, settings: Prepare) -> dt.DataType:
    """The type that a feature is read as.

    Args:
        name: of the column.
        column: its values, with nulls where they are missing.
        profile: its counts.
        settings: the columns declared as categories, numeric or dates.

    Returns:
        string for a category, int64 or float64 for a number, TIMESTAMP for a date.

    Raises:
        InputError: the column can't be used as a feature, or has values that do not fit its type.
    """
    _check_usable(name, column, profile)
    if name in settings.categories:
        _check_category(name, profile)
        return dt.string
    if is_datetime(column):
        return TIMESTAMP
    # In a text column that is nearly all dates or numbers, any other value is a mistake, not a category.
    may_be_text = column.type().is_string() and name not in settings.numeric
    if name in settings.dates or (may_be_text and profile.dates >= TYPE_SHARE * profile.present):
        _check_dates(name, column, profile, settings)
        return TIMESTAMP
    if may_be_text and profile.numbers < TYPE_SHARE * profile.present:
        _check_category(name, profile, inferred_from=column)
        return dt.string
    if column.type().is_boolean():
        return dt.int64
    _check_numbers(name, column, profile)
    is_integer = profile.integers == profile.present and not column.type().is_floating()
    return dt.int64 if is_integer else dt.float64


def dtype_of(type_: dt.DataType) -> Dtype:
    """What the schema calls a feature of this type."""
    if type_ == TIMESTAMP:
        return "date"
    return "category" if type_.is_string() else "number"


def cast_feature(column: Column, type_: dt.DataType) -> Column:
    """The column as the type that was inferred; a date becomes a number, the days since 1970-01-01 in UTC."""
    if type_ == TIMESTAMP:
        return days_since_1970(column)
    if type_.is_numeric() and column.type().is_string():
        # By way of float64, so that the text '3.0' can be an integer.
        column = column.cast("float64")
    return column.cast(type_)


def not_dates(profile: ColumnProfile) -> str:
    """How many values of the column are not dates, with an example."""
    count = profile.present - profile.dates
    return f"{count} of {profile.present} values are not dates, such as '{profile.not_a_date}'"


def format_hint(column: Column) -> str:
    """What to do about texts that are dates or numbers in an ambiguous format; empty for any others."""
    is_other = column.try_cast("float64").isnull() & parse_timestamp(column).isnull()
    for pattern, advice in AMBIGUOUS_FORMATS.items():
        if column.re_search(pattern).mean(where=is_other).execute() >= TYPE_SHARE:
            return f"; they look like {advice}"
    return ""


def _drop_hint(name: str) -> str:
    return f"leave it out with prepare.drop: [{name}]"


def _check_usable(name: str, column: Column, profile: ColumnProfile) -> None:
    type_ = column.type()
    if profile.present == 0:
        raise InputError(f"column '{name}': every value is missing; {_drop_hint(name)}")
    if profile.distinct == 1 and profile.missing == 0:
        raise InputError(f"column '{name}': the same value in every row; {_drop_hint(name)}")
    if not (type_.is_string() or type_.is_boolean() or type_.is_numeric() or is_datetime(column)):
        raise InputError(f"column '{name}': {type_} is not a number, a date or a text; {_drop_hint(name)}")


def _check_category(name: str, profile: ColumnProfile, inferred_from: Column | None = None) -> None:
    if profile.distinct > max(MAX_CATEGORIES, IDENTIFIER_SHARE * profile.present):
        hint = "" if inferred_from is None else format_hint(inferred_from)
        hint = hint or f"; it looks like an identifier; {_drop_hint(name)}"
        raise InputError(f"column '{name}': {profile.distinct} different texts in {profile.present} rows{hint}")


def _check_dates(name: str, column: Column, profile: ColumnProfile, settings: Prepare) -> None:
    if not profile.dates:
        problem = not_dates(profile) if column.type().is_string() else f"{column.type()} is not a date"
        raise InputError(f"column '{name}' (prepare.dates): {problem}; write dates as YYYY-MM-DD")
    if profile.dates < profile.present and name not in settings.dates:
        raise InputError(
            f"column '{name}': {not_dates(profile)}; add it to prepare.na_values, or the column to prepare.dates "
            "(which makes such values missing) or prepare.categories"
        )


def _check_numbers(name: str, column: Column, profile: ColumnProfile) -> None:
    if profile.numbers < profile.present:
        hint = format_hint(column) or "; add it to prepare.na_values, or the column to prepare.categories"
        problem = f"{profile.present - profile.numbers} of {profile.present} values are not numbers"
        raise InputError(f"column '{name}': {problem}, such as '{profile.not_a_number}'{hint}")
    if profile.infinite:
        problem = f"{profile.infinite} of {profile.present} values are infinite"
        raise InputError(f"column '{name}': {problem}; fix them or {_drop_hint(name)}")
