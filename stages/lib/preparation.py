"""From rows as they come, a click log or a table of sessions, to one typed, checked row a session."""

from dataclasses import dataclass

from ibis.expr.types import Table

from stages.lib import columns
from stages.lib.engine import Engine
from stages.lib.features import ORDER
from stages.lib.files import InputError
from stages.lib.params import Prepare
from stages.lib.schema import Kind
from stages.lib.sessions import of_log

CLICK_KEYS = {"session": "key", "visitor": "visitor", "time": "time"}


@dataclass(frozen=True)
class Prepared:
    """The session table, the roles of its keys and target, the kind of each feature, and what there is to say of it."""

    table: Table
    roles: dict[str, str]
    kinds: dict[str, Kind]
    notes: list[str]


def from_clicks(log: Table, settings: Prepare, work: Engine) -> Prepared:
    sessions, left_out = of_log(log, settings.clicks, work, settings.target)
    names = [name for name in sessions.columns if name not in (*CLICK_KEYS, settings.target)]
    for name in settings.drop:
        if name not in names:
            raise InputError(f"no feature '{name}' (prepare.drop); there are {', '.join(names)}")
        names.remove(name)
    sessions = sessions.drop(*settings.drop)
    columns.target_as_class(sessions, settings)
    notes = [f"no column for {column}: left out {', '.join(names)}" for column, names in left_out.items()]
    sessions, constant = columns.without_constants(sessions, names)
    if constant:
        notes.append(f"the same in every session: left out {', '.join(constant)}")
    kinds = {name: columns.kind_of(sessions[name].type()) for name in names if name not in constant}
    return Prepared(sessions.order_by(ORDER), {**CLICK_KEYS, settings.target: "target"}, kinds, notes)


def from_sessions(rows: Table, settings: Prepare) -> Prepared:
    sessions, kinds, notes = columns.typed(rows, settings)
    roles = {key: "key" if role == "session" else role for role, key in settings.keys if key}
    return Prepared(sessions, {**roles, settings.target: "target"}, kinds, notes)
