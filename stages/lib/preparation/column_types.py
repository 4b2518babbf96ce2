"""The type of each feature of a session table: number, date or category, as params say or as its values suggest."""

import ibis.expr.datatypes as dt
from ibis.expr.types import Column, Table

from stages.lib.common.params import Prepare
from stages.lib.dataset.schema import Dtype
from stages.lib.preparation.column_profile import ColumnProfile
from stages.lib.preparation.identifiers import has_many_texts
from stages.lib.preparation.nulls import null_if_missing, with_nulls
from stages.lib.preparation.numbers import parse_number
from stages.lib.preparation.other_forms import OtherForm, other_form
from stages.lib.preparation.problems import ColumnProblem, drop_param
from stages.lib.preparation.timestamps import FORMS, TIMESTAMP, days_since_1970, is_datetime
from stages.lib.preparation.values import can_be, canonical

TYPE_SHARE = 0.9  # of its values must be numbers or dates for a text column to be read as such
MAX_NA_VALUES = 10  # with more different texts among numbers, they are not ways to write a missing value


def infer_type(name: str, table: Table, profile: ColumnProfile, settings: Prepare) -> dt.DataType:
    """The type that a feature is read as.

    Args:
        name: of the column.
        table: the rows as they were read.
        profile: the column's counts; it has values, and not the same in all rows.
        settings: the columns declared as categories, numeric or dates.

    Returns:
        string for a category, int64 or float64 for a number, TIMESTAMP for a date.

    Raises:
        ColumnProblem: the column can't be used as a feature, or has values that do not fit its type.
    """
    type_ = table[name].type()
    is_text = type_.is_string() or type_.is_uuid()
    if not can_be(table[name], "category"):
        problem = f"column '{name}': {type_} is not a number, a date or a text"
        raise ColumnProblem(problem, f"leave it out with {drop_param([name])}", add={"drop": [name]})
    if name in settings.categories:
        _check_declared_category(name, profile)
        return dt.string
    if is_datetime(table[name]):
        _check_dates(name, table, profile, settings)
        return TIMESTAMP
    # In a text column that is nearly all dates or numbers, any other value is a mistake, not a category.
    may_be_text = is_text and name not in settings.numeric
    if name in settings.dates or (may_be_text and profile.dates >= TYPE_SHARE * profile.present):
        _check_dates(name, table, profile, settings)
        return TIMESTAMP
    if may_be_text and profile.numbers - profile.flags < TYPE_SHARE * profile.present:
        _check_inferred_category(name, table, profile, settings)
        return dt.string
    if type_.is_boolean():
        # A flag is a category, whether it is a bool or the text true.
        return dt.int64 if name in settings.numeric else dt.string
    _check_numbers(name, table, profile, settings)
    return dt.int64 if profile.integers == profile.present else dt.float64


def dtype_of(type_: dt.DataType) -> Dtype:
    """What the schema calls a feature of this type."""
    if type_ == TIMESTAMP:
        return "date"
    return "category" if type_.is_string() else "number"


def cast_feature(column: Column, type_: dt.DataType, settings: Prepare) -> Column:
    """The column as the type that was inferred; a date becomes a number, the days since 1970-01-01 in UTC."""
    value = canonical(column, dtype_of(type_), settings)
    return days_since_1970(value) if type_ == TIMESTAMP else value.cast(type_)


def not_dates(profile: ColumnProfile) -> str:
    """How many values of the column are not dates, with an example."""
    count = profile.present - profile.dates
    return f"{count} of {profile.present} values are not dates, such as '{profile.not_a_date}'"


def _check_declared_category(name: str, profile: ColumnProfile) -> None:
    if has_many_texts(profile):
        problem = (
            f"column '{name}': {profile.distinct} different texts in {profile.rows} rows; it looks like an identifier"
        )
        raise ColumnProblem(problem, f"leave it out with {drop_param([name])}", add={"drop": [name]})


def _check_inferred_category(name: str, table: Table, profile: ColumnProfile, settings: Prepare) -> None:
    """Check that the texts are not dates or numbers in another form, which are no categories."""
    if form := _other_form(name, table, profile, settings):
        problem = f"column '{name}': {profile.distinct} different texts in {profile.rows} rows; {form}"
        if form.settings:
            raise form.problem(problem, f"or add it to prepare.categories: [{name}]")
        many = has_many_texts(profile)
        other = f"leave it out with {drop_param([name])}" if many else f"add it to prepare.categories: [{name}]"
        raise ColumnProblem(problem, f"or {other}", add={"drop" if many else "categories": [name]})


def _other_form(name: str, table: Table, profile: ColumnProfile, settings: Prepare) -> OtherForm | None:
    # Texts without digits are neither numbers nor dates; to count the others takes a query for each column.
    if not table[name].type().is_string() or not profile.with_digits:
        return None
    return other_form(null_if_missing(table[name], settings.na_values), settings)


def _check_dates(name: str, table: Table, profile: ColumnProfile, settings: Prepare) -> None:
    if not profile.dates:
        column = table[name]
        problem = not_dates(profile) if can_be(column, "date") else f"{column.type()} is not a date"
        form = _other_form(name, table, profile, settings)
        if form and form.kind == "dates" and form.settings:
            raise form.problem(f"column '{name}': {problem}", str(form))
        is_number = profile.numbers >= TYPE_SHARE * profile.present
        raise ColumnProblem(
            f"column '{name}': {problem}",
            f"write dates in one of the forms {FORMS}",
            add={} if is_number else {"drop": [name]},
            remove={"dates": [name]},
        )
    if profile.dates < profile.present and name not in settings.dates:
        raise ColumnProblem(
            f"column '{name}': {not_dates(profile)}",
            "add it to prepare.na_values, or the column to prepare.dates (which makes such values missing) or "
            "prepare.categories",
            add={"dates": [name]},
        )


def _check_numbers(name: str, table: Table, profile: ColumnProfile, settings: Prepare) -> None:
    if profile.numbers < profile.present:
        count = profile.present - profile.numbers
        problem = (
            f"column '{name}': {count} of {profile.present} values are not numbers, such as '{profile.not_a_number}'"
        )
        form = _other_form(name, table, profile, settings)
        if form and form.settings:
            raise form.problem(problem, str(form))
        hint = str(form or "add it to prepare.na_values, or the column to prepare.categories")
        if profile.numbers < TYPE_SHARE * profile.present:  # declared numeric by mistake
            raise ColumnProblem(problem, hint, add={"drop": [name]} if form else {}, remove={"numeric": [name]})
        others = _texts_among_numbers(name, table, settings)
        if len(others) <= MAX_NA_VALUES:
            raise ColumnProblem(problem, hint, add={"na_values": others})
        raise ColumnProblem(problem, hint, add={"drop": [name]})
    if profile.infinite:
        problem = f"column '{name}': {profile.infinite} of {profile.present} values are infinite"
        raise ColumnProblem(problem, f"fix them or leave it out with {drop_param([name])}", add={"drop": [name]})


def _texts_among_numbers(name: str, table: Table, settings: Prepare) -> list[str]:
    """Different texts that are not numbers, in order; at most one more than MAX_NA_VALUES."""
    text = with_nulls(table.select(name), [name], settings.na_values)[name]
    others = text.as_table().filter(text.notnull() & parse_number(text, settings).isnull()).distinct()
    return others.order_by(name).limit(MAX_NA_VALUES + 1).to_pyarrow()[name].to_pylist()
