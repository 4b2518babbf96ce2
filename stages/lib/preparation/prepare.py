"""A click log or a session table becomes one typed, checked row per session."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import ibis.expr.datatypes as dt
from ibis.expr.types import Table

from stages.lib.common.errors import InputError
from stages.lib.common.params import Prepare
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Dtype
from stages.lib.preparation.column_profile import ColumnProfile, constant_columns, in_groups, profile_columns
from stages.lib.preparation.column_types import cast_feature, dtype_of, infer_type
from stages.lib.preparation.declared_columns import declared_problems
from stages.lib.preparation.engine import Engine
from stages.lib.preparation.features import KEYS, order
from stages.lib.preparation.identifiers import Identifiers, find_identifiers, is_index
from stages.lib.preparation.keys import check_keys, parse_time
from stages.lib.preparation.macros import Macro
from stages.lib.preparation.nulls import null_if_missing, with_nulls
from stages.lib.preparation.partitions import sessions_from_clicks
from stages.lib.preparation.problems import drop_param, raise_problems
from stages.lib.preparation.side_by_side import join_side_by_side
from stages.lib.preparation.target import check_target, encode_target
from stages.lib.preparation.timestamps import TIMESTAMP
from stages.lib.preparation.values import as_category


@dataclass(frozen=True)
class Prepared:
    """The session table, the roles of its keys and target, its features' dtypes, and hints on what it still has."""

    table: Table
    roles: dict[str, str]
    dtypes: dict[str, Dtype]
    hints: list[str] = field(default_factory=list)


def prepare_clicks(log: Table, settings: Prepare, engine: Engine, left_out: LeftOut) -> Prepared:
    """The session table of a click log, ordered by start; columns without information are left out.

    Raises:
        InputError: the log can't be used, or no session, or all of them, end in a purchase.
    """
    target = settings.target
    sessions, omitted = sessions_from_clicks(log, settings, engine, left_out, target)
    roles = {name: role for name, role in KEYS.items() if name in sessions.columns}
    features = [name for name in sessions.columns if name not in (*roles, target)]
    check_dropped(settings.drop, features)
    features = [name for name in features if name not in settings.drop]
    check_target(sessions, target, settings.positive_class)
    constant = constant_columns(sessions, features)
    hints = report_omitted(omitted, settings, left_out)
    what = "left out the features that are the same in every session"
    left_out.add(what, len(constant), hint=drop_param(constant))
    table = sessions.drop(*settings.drop, *constant).order_by(order(sessions))
    dtypes = {name: dtype_of(sessions[name].type()) for name in features if name not in constant}
    return Prepared(table, {**roles, target: "target"}, dtypes, hints)


def check_dropped(dropped: Sequence[str], features: Sequence[str]) -> None:
    """Raise an InputError if params drop what is no feature of a click log."""
    for name in dropped:
        if name not in features:
            raise InputError(f"no feature '{name}' (prepare.drop); there are {', '.join(features)}")


def report_omitted(omitted: dict[str, list[str]], settings: Prepare, left_out: LeftOut) -> list[str]:
    """Report the features that need a column that the log lacks.

    Returns:
        A line about those that need columns which params do not name, if there are any.
    """
    unnamed: dict[str, list[str]] = {}
    for column, names in omitted.items():
        if source_name := settings.clicks.columns.get(column):
            needed = f"the features that need a column for {column}, {', '.join(names)}"
            what = f"no column '{source_name}' in the log: left out {needed}"
            left_out.add(what, len(names), hint=f"prepare.clicks.columns.{column}")
        else:
            unnamed[column] = names
    if not unnamed:
        return []
    columns, features = ", ".join(unnamed), ", ".join(name for names in unnamed.values() for name in names)
    needed = f"columns which prepare.clicks.columns does not name ({columns})"
    return [f"left out the features that need {needed}: {features}"]


def prepare_table(rows: Table, settings: Prepare, left_out: LeftOut) -> Prepared:
    """A session table with a 0/1 target, features as numbers or texts, and null where a value is missing.

    Columns that tell nothing are left out: those without any value, those with the same value in every row, and those
    that identify rows.

    Raises:
        InputError: columns can't be used; the message names all of them, and the params that settle them.
    """
    raise_problems(declared_problems(rows, settings), settings)
    keys, target = [name for _, name in settings.keys if name], settings.target
    names = [name for name in rows.columns if name not in {target, *keys, *settings.drop}]
    profiles = profile_columns(rows, names, settings)
    informative = [name for name in names if not _without_information(name, profiles[name])]
    problems: list[InputError] = []
    types: dict[str, dt.DataType] = {}
    for name in informative:
        with _collected(problems):
            types[name] = infer_type(name, rows, profiles[name], settings)
    # A class of the target may be called "none".
    keys_and_target = with_nulls(rows.select(*keys, target), keys, settings.na_values)
    with _collected(problems):
        check_keys(keys_and_target, settings.keys)
        if settings.keys.time:
            parse_time(keys_and_target, settings.keys.time, settings)
    with _collected(problems):
        check_target(keys_and_target, target, settings.positive_class)
    raise_problems(problems, settings)
    identifiers = find_identifiers(rows, types, profiles, settings)
    types = {name: type_ for name, type_ in types.items() if name not in identifiers.certain}
    if not types:
        raise InputError("no columns are left to predict from")
    _report_columns(profiles, identifiers, left_out)
    _report_values(profiles, types, left_out)
    roles = {name: "key" if role == "session" else role for role, name in settings.keys if name}
    dtypes = {name: dtype_of(type_) for name, type_ in types.items()}
    table = _cast(rows, keys, types, settings)
    return Prepared(table, {**roles, target: "target"}, dtypes, identifiers.hints)


@contextmanager
def _collected(problems: list[InputError]) -> Iterator[None]:
    """Keep an InputError of the block for later."""
    try:
        yield
    except InputError as problem:
        problems.append(problem)


def _without_information(name: str, profile: ColumnProfile) -> bool:
    return profile.is_empty or profile.is_constant or is_index(name, profile)


def _cast(rows: Table, keys: list[str], types: dict[str, dt.DataType], settings: Prepare) -> Table:
    """The keys, the features as their types, and the target."""
    target, time = settings.target, settings.keys.time
    normalize = Macro(lambda column: null_if_missing(column, settings.na_values))
    casts = {
        type_: Macro(lambda column, type_=type_: cast_feature(column, type_, settings)) for type_ in {*types.values()}
    }
    first, *others = in_groups([*types])
    # One query inside the other, so that a column is normalized once, and not wherever a cast refers to it
    narrow = rows.select(**{name: normalize(rows[name]) for name in (*keys, *first)}, **{target: rows[target]})
    columns = {name: as_category(narrow[name]) for name in keys} | {
        name: casts[types[name]](narrow[name]) for name in first
    }
    if time:
        columns[time] = parse_time(narrow, time, settings)
    columns[target] = encode_target(narrow[target], settings.positive_class)
    tables = [narrow.select(**columns)]
    for group in others:
        normalized = rows.select(**{name: normalize(rows[name]) for name in group})
        tables.append(normalized.select(**{name: casts[types[name]](normalized[name]) for name in group}))
    return join_side_by_side(tables).select(*keys, *types, target)


def _report_columns(profiles: dict[str, ColumnProfile], identifiers: Identifiers, left_out: LeftOut) -> None:
    empty = [name for name, profile in profiles.items() if profile.is_empty]
    constant = [name for name, profile in profiles.items() if profile.is_constant]
    left_out.add("left out columns without any value", len(empty), hint=drop_param(empty))
    left_out.add("left out columns with the same value in every row", len(constant), hint=drop_param(constant))
    for name, profile in profiles.items():
        if is_index(name, profile):
            left_out.add(f"left out the index column '{name}'", 1, hint=drop_param([name]))
    for name, evidence in identifiers.certain.items():
        left_out.add(f"left out the identifier '{name}', {evidence}", 1, hint=drop_param([name]))


def _report_values(profiles: dict[str, ColumnProfile], types: dict[str, dt.DataType], left_out: LeftOut) -> None:
    for name, type_ in types.items():
        marked, example = profiles[name].marked, profiles[name].marked_example
        left_out.add(f"column '{name}': values that count as missing", marked, example, "prepare.na_values")
        if type_ == TIMESTAMP and profiles[name].not_a_date is not None:
            profile = profiles[name]
            n_unreadable = profile.present - profile.dates
            left_out.add(f"column '{name}': values that are not dates are missing", n_unreadable, profile.not_a_date)
