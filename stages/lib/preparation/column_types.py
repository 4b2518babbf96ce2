"""What each column of a table of sessions is: target, key, number, date or category; and whether it can be used."""

import itertools
import re
from dataclasses import dataclass

import ibis
import ibis.expr.datatypes as dt
from ibis import _
from ibis.expr.types import Column, Table

from stages.lib.common.errors import InputError
from stages.lib.common.params import Prepare
from stages.lib.dataset.schema import Dtype
from stages.lib.preparation import nulls as missing
from stages.lib.preparation.timestamps import TIMESTAMP, parse_timestamp

INDEX = re.compile(r"Unnamed: \d+|__index_level_\d+__")
CLASSES = {"1": 1, "true": 1, "yes": 1, "y": 1, "0": 0, "false": 0, "no": 0, "n": 0, "1.0": 1, "0.0": 0}
OTHER_FORMS = {
    r"^(\d{4}[./-]\d\d?[./-]\d\d?|\d\d?[./-]\d\d?[./-](\d{4}|\d\d))([T ,].*)?$": "dates; write them as YYYY-MM-DD",
    r"^[+-]?(\d+|\d{1,3}([., ']\d{3})+)([.,]\d+)?$": "numbers; write them with a decimal point alone, as 1234.56",
}
DAY = 86_400 * 10**6  # microseconds
MOSTLY = 0.9
NAMES_ROWS = 0.5
FEW_LEVELS = 50
SHOWN = 10
EXACT = 2**53  # whole numbers from here on are not all floats


@dataclass(frozen=True)
class Profile:
    """Counts over one column."""

    rows: int
    missing: int
    distinct: int
    numbers: int
    integers: int
    infinite: int
    not_a_number: str | None
    dates: int
    not_a_date: str | None

    @property
    def present(self) -> int:
        return self.rows - self.missing


def infer_types(table: Table, settings: Prepare) -> tuple[Table, dict[str, Dtype], list[str]]:
    """`table` with a 0/1 target, numbers as int64 or float64, categories as text and nulls where a value is missing.

    A date is a number: the days since 1970-01-01 in UTC, the time of day as their fraction, as float64.
    Returns it with each feature's kind and a line for each thing left out. Raises InputError, naming the column, for
    one that can't be used.
    """
    _check_names(table, settings)
    table = table.drop(*settings.drop)
    # What is a label, the target, stays as it is.
    others = [name for name in table.columns if name != settings.target]
    table = table.mutate(**missing.with_nulls(table, others, settings.na_values))
    keys = [key for _, key in settings.keys if key]
    features = [name for name in table.columns if name not in (settings.target, *keys)]
    profiles = profile(table, features)
    indices = [name for name in features if INDEX.fullmatch(name) and profiles[name].distinct == profiles[name].rows]
    features = [name for name in features if name not in indices]
    if not features:
        raise InputError("no columns are left to predict from")
    kinds = {name: _kind(name, table[name], profiles[name], settings) for name in features}
    _check_keys(table, settings)
    table = table.mutate(**_time_as_moment(table, settings)).select(
        *keys,
        *[_cast(table[name], kind).name(name) for name, kind in kinds.items()],
        target_as_class(table, settings).name(settings.target),
    )
    notes = [f"left out the index column '{name}'" for name in indices] + [
        f"column '{name}': {_no_dates(profiles[name])}; they are missing"
        for name, kind in kinds.items()
        if kind == TIMESTAMP and profiles[name].not_a_date is not None
    ]
    return table, {name: kind_of(kind) for name, kind in kinds.items()}, notes


def kind_of(given: dt.DataType) -> Dtype:
    return "date" if given == TIMESTAMP else "category" if given.is_string() else "number"


def _check_names(table: Table, settings: Prepare) -> None:
    """Every column that params name is there, and none is to be two things at once."""
    roles = {"target": [settings.target], **{f"keys.{role}": [name] for role, name in settings.keys if name}}
    places = {**roles, "drop": settings.drop}
    kinds = {"categories": settings.categories, "numeric": settings.numeric, "dates": settings.dates}
    for place, names in {**places, **kinds}.items():
        for name in names:
            if name not in table.columns:
                raise InputError(f"no column '{name}' (prepare.{place}); it has {', '.join(table.columns)}")
    for one, other in [*itertools.combinations(places, 2), *itertools.combinations(kinds, 2)]:
        if both := {*(places | kinds)[one]} & {*(places | kinds)[other]}:
            raise InputError(f"column '{min(both)}' is named in both prepare.{one} and prepare.{other}; name it once")


def without_constants(table: Table, features: list[str]) -> tuple[Table, list[str]]:
    """`table` less the `features` that are the same in every row, and their names."""
    questions = {
        f"{what} {name}": getattr(table[name], what)() for name in features for what in ("min", "max", "count")
    }
    answers = table.aggregate(rows=_.count(), **questions).to_pyarrow().to_pylist()[0]
    constant = [
        name
        for name in features
        if answers[f"min {name}"] == answers[f"max {name}"] and answers[f"count {name}"] in (0, answers["rows"])
    ]
    return table.drop(*constant), constant


def profile(table: Table, names: list[str]) -> dict[str, Profile]:
    """Counts over each of the columns, in one pass."""
    questions = {"rows": table.count()}
    for place, name in enumerate(names):
        column = table[name]
        text = column.type().is_string()
        number = column.try_cast("float64") if text else column.cast("float64") if column.type().is_numeric() else None
        questions[f"missing {place}"] = column.isnull().sum()
        questions[f"distinct {place}"] = column.nunique()
        if number is not None:
            number = number.isnan().ifelse(ibis.null("float64"), number)
            questions[f"numbers {place}"] = number.notnull().sum()
            questions[f"infinite {place}"] = number.isinf().sum()
            questions[f"integers {place}"] = ((number % 1 == 0) & (number.abs() < EXACT)).sum()
            if text:
                questions[f"not_a_number {place}"] = column.min(where=column.notnull() & number.isnull())
        if text:
            moment = parse_timestamp(column)
            questions[f"dates {place}"] = moment.notnull().sum()
            questions[f"not_a_date {place}"] = column.min(where=column.notnull() & moment.isnull())
    answers = table.aggregate(**questions).to_pyarrow().to_pylist()[0]

    def answer(question: str, place: int) -> int:
        return answers.get(f"{question} {place}") or 0

    return {
        name: Profile(
            rows=answers["rows"],
            missing=answer("missing", place),
            distinct=answer("distinct", place),
            numbers=answer("numbers", place),
            integers=answer("integers", place),
            infinite=answer("infinite", place),
            not_a_number=answers.get(f"not_a_number {place}"),
            dates=answer("dates", place),
            not_a_date=answers.get(f"not_a_date {place}"),
        )
        for place, name in enumerate(names)
    }


def target_as_class(table: Table, settings: Prepare) -> Column:
    """The target as 0 or 1: equal to `settings.positive_class`, or by its meaning (1, true, yes, y; 0, false, no, n)."""
    name = settings.target
    # Counted once, of all rows; what follows is asked of the few values.
    given = table.group_by(value=table[name]).aggregate(rows=_.count()).cache()
    values = given.mutate(value=_.value.cast("string").strip())
    if missing := values.filter(_.value.isnull()).rows.sum().execute():
        raise InputError(f"target '{name}': {missing} rows without a value")
    # Most frequent first, so that a text among numbers, or an id, shows as what it is.
    is_one = _is_positive(values.value, settings)
    counts = values.group_by("value").aggregate(rows=_.rows.sum(), is_one=is_one.max())
    found = counts.order_by(_.rows.desc(), "value").limit(SHOWN + 1).to_pyarrow().to_pylist()
    shown = ", ".join([f"'{row['value']}'" for row in found[:SHOWN]] + ["…"] * (len(found) > SHOWN))
    if settings.positive_class is None and any(row["value"].lower() not in CLASSES for row in found):
        raise InputError(
            f"target '{name}': expected two classes, such as 0 and 1 or yes and no, got {shown}; prepare.positive_class "
            "names the one to predict"
        )
    ones = counts.filter(_.is_one).count().execute()
    if settings.positive_class is not None and not ones:
        place = "prepare.positive_class" + "; in quotes it is a text" * isinstance(settings.positive_class, bool)
        raise InputError(f"target '{name}': no row is {settings.positive_class!r} ({place}); it has {shown}")
    if ones in (0, counts.count().execute()):
        raise InputError(f"target '{name}': all rows are of one class, {shown}")
    return _is_positive(table[name].cast("string").strip(), settings).cast("int64")


def _is_positive(value: Column, settings: Prepare) -> Column:
    if settings.positive_class is None:
        return value.lower().isin([word for word, one in CLASSES.items() if one])
    if isinstance(settings.positive_class, bool):
        return value.lower() == str(settings.positive_class).lower()
    return value == str(settings.positive_class)


def _kind(name: str, column: Column, counts: Profile, settings: Prepare) -> dt.DataType:
    """The type that a feature is read as, MOMENT for a date; InputError if it can't be used."""
    drop = f"; leave it out with prepare.drop: [{name}]"
    if counts.present == 0:
        raise InputError(f"column '{name}': every value is missing{drop}")
    if counts.distinct == 1 and counts.missing == 0:
        raise InputError(f"column '{name}': the same value in every row{drop}")
    given = column.type()
    moment = given.is_date() or given.is_timestamp()
    if not (given.is_string() or given.is_boolean() or given.is_numeric() or moment):
        raise InputError(f"column '{name}': {given} is neither number, date nor text{drop}")
    if name in settings.categories:
        return _category(name, counts, drop)
    # A column that is nearly all dates or numbers is meant as such: what is none in it is a mistake, not a level.
    dates = counts.dates >= MOSTLY * counts.present and name not in settings.numeric
    if moment or name in settings.dates or (given.is_string() and dates):
        return TIMESTAMP if moment else _date(name, given, counts, settings)
    if given.is_string() and counts.numbers < MOSTLY * counts.present and name not in settings.numeric:
        return _category(name, counts, drop, column)
    if counts.numbers < counts.present and not given.is_boolean():
        mend = _how_to_write(column) or "; name it in prepare.na_values, or the column in prepare.categories"
        raise InputError(
            f"column '{name}': {counts.present - counts.numbers} of {counts.present} values are no numbers, such as "
            f"'{counts.not_a_number}'{mend}"
        )
    if counts.infinite:
        raise InputError(f"column '{name}': {counts.infinite} infinite values; mend them or{drop[1:]}")
    whole = given.is_boolean() or (counts.integers == counts.present and not given.is_floating())
    return dt.int64 if whole else dt.float64


def _category(name: str, counts: Profile, drop: str, texts: Column | None = None) -> dt.DataType:
    """Text, unless it has too many levels: then InputError says how to write `texts`, or to leave it out."""
    if counts.distinct > max(FEW_LEVELS, NAMES_ROWS * counts.present):
        mend = (texts is not None and _how_to_write(texts)) or f"; it seems to name rows{drop}"
        raise InputError(f"column '{name}': {counts.distinct} different texts in {counts.present} rows{mend}")
    return dt.string


def _date(name: str, given: dt.DataType, counts: Profile, settings: Prepare) -> dt.DataType:
    """MOMENT; texts that are no dates will be missing where params declare the column, else they are a mistake."""
    if not counts.dates:
        found = _no_dates(counts) if given.is_string() else f"{given} is no date"
        raise InputError(f"column '{name}' (prepare.dates): {found}; write dates as YYYY-MM-DD")
    if counts.dates < counts.present and name not in settings.dates:
        raise InputError(
            f"column '{name}': {_no_dates(counts)}; name it in prepare.na_values, or the column in prepare.dates (then "
            "they are missing) or prepare.categories"
        )
    return TIMESTAMP


def _no_dates(counts: Profile) -> str:
    return f"{counts.present - counts.dates} of {counts.present} values are no dates, such as '{counts.not_a_date}'"


def _how_to_write(column: Column) -> str:
    """What to do about texts that are dates or numbers in a form that can mean two things, such as 1,234; else ''."""
    unread = column.try_cast("float64").isnull() & parse_timestamp(column).isnull()
    for form, words in OTHER_FORMS.items():
        if column.re_search(form).mean(where=unread).execute() >= MOSTLY:
            return f"; they look like {words}"
    return ""


def _cast(column: Column, kind: dt.DataType) -> Column:
    if kind == TIMESTAMP:
        return days(column)
    # By way of float64, so that the text '3.0' can be the whole number 3.
    return column.cast("float64").cast(kind) if kind.is_numeric() and column.type().is_string() else column.cast(kind)


def days(column: Column) -> Column:
    """Days since 1970-01-01 in UTC, float64, of a date, a moment or a text; null for a text that is no date."""
    moment = parse_timestamp(column) if column.type().is_string() else column.cast(TIMESTAMP)
    return moment.delta(ibis.timestamp("1970-01-01"), unit="microsecond").cast("float64") / DAY


def _time_as_moment(table: Table, settings: Prepare) -> dict[str, Column]:
    """A time that is text as a number or a moment: as texts, 10 would be before 9."""
    name = settings.keys.time
    if not name or not table[name].type().is_string():
        return {}
    for times in (
        table[name].try_cast("float64"),
        parse_timestamp(table[name]).coalesce(table[name].try_cast(TIMESTAMP)),
    ):
        if not (unreadable := times.isnull().sum().execute()):
            return {name: times}
    raise InputError(
        f"key '{name}' (prepare.keys.time): {unreadable} rows without a readable time; expected all as numbers, or "
        "all as 2020-01-31 or 2020-01-31 23:59:59"
    )


def _check_keys(table: Table, settings: Prepare) -> None:
    for role, name in settings.keys:
        if name and (missing := table[name].isnull().sum().execute()):
            raise InputError(f"key '{name}' (prepare.keys.{role}): {missing} rows without a value")
    name = settings.keys.session
    if not name:
        return
    counts = table.group_by(session=table[name]).aggregate(rows=_.count())
    if repeated := counts.filter(_.rows > 1).order_by("session").limit(1).to_pyarrow().to_pylist():
        raise InputError(
            f"key '{name}' (prepare.keys.session): '{repeated[0]['session']}' stands in {repeated[0]['rows']} "
            "rows; each session has one"
        )
