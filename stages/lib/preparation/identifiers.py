"""Columns that identify rows and so tell nothing about new ones, of whatever type."""

import re
from dataclasses import dataclass, field

import ibis.expr.datatypes as dt
from ibis.expr.types import Table

from stages.lib.common.params import Prepare
from stages.lib.preparation.column_profile import ColumnProfile, in_groups
from stages.lib.preparation.macros import Macro
from stages.lib.preparation.nulls import null_if_missing
from stages.lib.preparation.numbers import parse_number
from stages.lib.preparation.problems import drop_param
from stages.lib.preparation.timestamps import END, FIRST, UNITS

# Text columns with more different texts than both of these, the second as a share of their values, identify rows.
MAX_CATEGORIES = 50
IDENTIFIER_SHARE = 0.5
MIN_ROWS = 20  # in fewer rows, the values of any column may all differ
NEARLY_UNIQUE = 0.95  # of its values must differ for a column of whole numbers to be suspected
MAX_MISSING = 0.1  # a column with more missing values is more than an index
# How many pairs of equal values a quantity of this range would have, even if it were spread evenly: a quantity that has
# none though it should have ten is none, up to chance (e ** -10).
EXPECTED_PAIRS = 10
MOMENTS = ", or times (prepare.dates reads them)"
INDEX = re.compile(r"Unnamed: \d+|__index_level_\d+__")  # names that pandas gives to an index
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
ID_WORDS = {"id", "ids", "uid", "uuid", "guid", "idx", "index", "rowid", "identifier"}


@dataclass
class Identifiers:
    """By name, what shows that a column is an identifier, or that it may be one."""

    certain: dict[str, str] = field(default_factory=dict)
    possible: dict[str, str] = field(default_factory=dict)

    @property
    def hints(self) -> list[str]:
        """A line about the columns that may be identifiers."""
        if not self.possible:
            return []
        columns = "; ".join(f"'{name}', {evidence}" for name, evidence in self.possible.items())
        return [f"kept, though they may be identifiers: {columns}; to leave them out: {drop_param(self.possible)}"]


def is_index(name: str, profile: ColumnProfile) -> bool:
    """Whether the column is the index that pandas has written."""
    return bool(INDEX.fullmatch(name)) and profile.distinct == profile.rows


def has_many_texts(profile: ColumnProfile) -> bool:
    """Whether a column of texts has so many different ones that they identify the rows."""
    return profile.distinct > max(MAX_CATEGORIES, IDENTIFIER_SHARE * profile.present)


def find_identifiers(
    table: Table, types: dict[str, dt.DataType], profiles: dict[str, ColumnProfile], settings: Prepare
) -> Identifiers:
    """Find the identifiers among the features; columns whose type params declare are none.

    A text identifies rows if it is a UUID, or nearly each row has another one. A whole number does if it never repeats
    and is named so, or rises or falls from row to row but is no time, or its range is so narrow that a quantity would
    repeat. Else it may be a quantity.

    Args:
        table: the rows as they were read.
        types: of the features, by name.
        profiles: of the features.
        settings: of the prepare stage.
    """
    declared = {*settings.categories, *settings.numeric, *settings.dates}
    found, undecided = Identifiers(), []
    for name, type_ in types.items():
        profile = profiles[name]
        if name in declared or profile.present < MIN_ROWS:
            continue
        if type_.is_string():
            if reason := _text_reason(profile):
                found.certain[name] = reason
        elif type_.is_numeric() and not table[name].type().is_boolean() and _may_identify(name, profile):
            what = "whole numbers" if _is_whole(profile) else "numbers"
            found.possible[name] = _different(profile, what) + (MOMENTS if _may_be_moments(profile) else "")
            if _is_whole(profile) and _never_repeats(profile):
                undecided.append(name)
    by_order = _monotonic(table, [name for name in undecided if not _identifies(name, profiles[name])], settings)
    for name in undecided:
        rises = name in by_order and not _may_be_moments(profiles[name])
        if rises or _identifies(name, profiles[name]):
            found.certain[name] = found.possible.pop(name)
    return found


def _text_reason(profile: ColumnProfile) -> str | None:
    if profile.uuids == profile.present and profile.distinct > min(MAX_CATEGORIES, profile.present - 1):
        return f"{profile.distinct} different UUIDs in {profile.rows} rows"
    if has_many_texts(profile) or profile.distinct == profile.present:
        return _different(profile, "texts")
    return None


def _different(profile: ColumnProfile, what: str) -> str:
    return f"{profile.distinct} different {what} in {profile.rows} rows"


def _is_whole(profile: ColumnProfile) -> bool:
    return profile.whole == profile.present


def _never_repeats(profile: ColumnProfile) -> bool:
    return profile.distinct == profile.present and profile.missing <= MAX_MISSING * profile.rows


def _may_identify(name: str, profile: ColumnProfile) -> bool:
    if profile.distinct < NEARLY_UNIQUE * profile.present:
        return False
    if not _is_whole(profile):
        return _is_named_id(name)
    return profile.distinct == profile.present or _identifies(name, profile)


def _identifies(name: str, profile: ColumnProfile) -> bool:
    """Whether the name of a column of whole numbers, or their narrow range, shows that it identifies rows."""
    assert profile.low is not None and profile.high is not None
    expected_pairs = profile.present**2 / (2 * (profile.high - profile.low + 1))
    return _is_named_id(name) or expected_pairs >= EXPECTED_PAIRS


def _may_be_moments(profile: ColumnProfile) -> bool:
    """Whether all numbers count from 1970, in one unit, to a year that is read."""
    assert profile.low is not None and profile.high is not None
    return any(FIRST.timestamp() <= profile.low / n and profile.high / n < END.timestamp() for n in UNITS.values())


def _is_named_id(name: str) -> bool:
    words = [word.lower() for word in WORD.findall(name)]
    return bool(words) and not ID_WORDS.isdisjoint((words[0], words[-1]))


def _monotonic(table: Table, names: list[str], settings: Prepare) -> set[str]:
    """The columns whose numbers rise, or fall, from each row to the next."""
    monotonic = set()
    normalize = Macro(lambda column: null_if_missing(column, settings.na_values))
    number = Macro(lambda column: parse_number(column, settings))
    for group in in_groups(names):
        normalized = table.select(**{str(i): normalize(table[name]) for i, name in enumerate(group)})
        numbers = normalized.select(**{key: number(normalized[key]) for key in normalized.columns})
        # The order is that of the rows, since DuckDB reads the source in one thread.
        steps = numbers.select(**{f"step {key}": numbers[key] - numbers[key].lag() for key in numbers.columns})
        limits = {
            f"{limit} {i}": getattr(steps[f"step {i}"], limit)() for i in range(len(group)) for limit in ("min", "max")
        }
        values = steps.aggregate(**limits).to_pyarrow().to_pylist()[0]
        monotonic |= {name for i, name in enumerate(group) if values[f"min {i}"] > 0 or values[f"max {i}"] < 0}
    return monotonic
