"""A click log or a session table becomes one typed, checked row per session."""

import re
from dataclasses import dataclass

from ibis.expr.types import Table

from stages.lib.common.errors import InputError
from stages.lib.common.params import Prepare
from stages.lib.dataset.schema import Dtype
from stages.lib.preparation.column_profile import constant_columns, profile_columns
from stages.lib.preparation.column_types import cast_feature, dtype_of, infer_type, not_dates
from stages.lib.preparation.declared_columns import check_declared_columns
from stages.lib.preparation.engine import Engine
from stages.lib.preparation.features import ORDER
from stages.lib.preparation.keys import check_keys, parse_time
from stages.lib.preparation.nulls import with_nulls
from stages.lib.preparation.partitions import sessions_from_clicks
from stages.lib.preparation.target import check_target, encode_target
from stages.lib.preparation.timestamps import TIMESTAMP

CLICK_ROLES = {"session": "key", "visitor": "visitor", "time": "time"}  # of the keys in a click log's session table
INDEX = re.compile(r"Unnamed: \d+|__index_level_\d+__")  # names that pandas gives to an index


@dataclass(frozen=True)
class Prepared:
    """The session table, the roles of its keys and target, its features' dtypes, and notes for the user."""

    table: Table
    roles: dict[str, str]
    dtypes: dict[str, Dtype]
    notes: list[str]


def prepare_clicks(log: Table, settings: Prepare, engine: Engine) -> Prepared:
    """The session table of a click log, ordered by start; columns without information are left out.

    Raises:
        InputError: the log can't be used, or no session, or all of them, end in a purchase.
    """
    target = settings.target
    sessions, omitted = sessions_from_clicks(log, settings.clicks, engine, target)
    features = [name for name in sessions.columns if name not in (*CLICK_ROLES, target)]
    for name in settings.drop:
        if name not in features:
            raise InputError(f"no feature '{name}' (prepare.drop); there are {', '.join(features)}")
        features.remove(name)
    check_target(sessions, target, settings.positive_class)
    constant = constant_columns(sessions, features)
    notes = [f"no column for {column}: left out {', '.join(names)}" for column, names in omitted.items()]
    if constant:
        notes.append(f"the same in every session: left out {', '.join(constant)}")
    table = sessions.drop(*settings.drop, *constant).order_by(ORDER)
    dtypes = {name: dtype_of(sessions[name].type()) for name in features if name not in constant}
    return Prepared(table, {**CLICK_ROLES, target: "target"}, dtypes, notes)


def prepare_table(rows: Table, settings: Prepare) -> Prepared:
    """A session table with a 0/1 target, features as numbers or texts, and null where a value is missing.

    Raises:
        InputError: a column can't be used; the message names it.
    """
    check_declared_columns(rows, settings)
    rows = rows.drop(*settings.drop)
    # A class of the target may be called "none".
    rows = with_nulls(rows, [name for name in rows.columns if name != settings.target], settings.na_values)
    keys = [name for _, name in settings.keys if name]
    columns = [name for name in rows.columns if name not in (settings.target, *keys)]
    profiles = profile_columns(rows, columns)
    indices = [name for name in columns if INDEX.fullmatch(name) and profiles[name].distinct == profiles[name].rows]
    features = [name for name in columns if name not in indices]
    if not features:
        raise InputError("no columns are left to predict from")
    types = {name: infer_type(name, rows[name], profiles[name], settings) for name in features}
    check_keys(rows, settings.keys)
    time = {settings.keys.time: parse_time(rows, settings.keys.time)} if settings.keys.time else {}
    check_target(rows, settings.target, settings.positive_class)
    table = rows.select(
        *[time.get(name, rows[name]).name(name) for name in keys],
        *[cast_feature(rows[name], type_).name(name) for name, type_ in types.items()],
        encode_target(rows[settings.target], settings.positive_class).name(settings.target),
    )
    notes = [f"left out the index column '{name}'" for name in indices]
    for name, type_ in types.items():
        if type_ == TIMESTAMP and profiles[name].not_a_date is not None:
            notes.append(f"column '{name}': {not_dates(profiles[name])}; they are missing")
    roles = {name: "key" if role == "session" else role for role, name in settings.keys if name}
    dtypes = {name: dtype_of(type_) for name, type_ in types.items()}
    return Prepared(table, {**roles, settings.target: "target"}, dtypes, notes)
