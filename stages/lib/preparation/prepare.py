"""From rows as they come, a click log or a table of sessions, to one typed, checked row a session."""

from dataclasses import dataclass

from ibis.expr.types import Table

from stages.lib.common.errors import InputError
from stages.lib.common.params import Prepare
from stages.lib.dataset.schema import Dtype
from stages.lib.preparation.column_types import infer_types, kind_of, target_as_class, without_constants
from stages.lib.preparation.engine import Engine
from stages.lib.preparation.features import ORDER
from stages.lib.preparation.partitions import sessions_from_clicks

CLICK_KEYS = {"session": "key", "visitor": "visitor", "time": "time"}


@dataclass(frozen=True)
class Prepared:
    """The session table, the roles of its keys and target, the dtype of each feature, and what there is to say of it."""

    table: Table
    roles: dict[str, str]
    dtypes: dict[str, Dtype]
    notes: list[str]


def prepare_clicks(log: Table, settings: Prepare, work: Engine) -> Prepared:
    sessions, left_out = sessions_from_clicks(log, settings.clicks, work, settings.target)
    names = [name for name in sessions.columns if name not in (*CLICK_KEYS, settings.target)]
    for name in settings.drop:
        if name not in names:
            raise InputError(f"no feature '{name}' (prepare.drop); there are {', '.join(names)}")
        names.remove(name)
    sessions = sessions.drop(*settings.drop)
    target_as_class(sessions, settings)
    notes = [f"no column for {column}: left out {', '.join(names)}" for column, names in left_out.items()]
    sessions, constant = without_constants(sessions, names)
    if constant:
        notes.append(f"the same in every session: left out {', '.join(constant)}")
    kinds = {name: kind_of(sessions[name].type()) for name in names if name not in constant}
    return Prepared(sessions.order_by(ORDER), {**CLICK_KEYS, settings.target: "target"}, kinds, notes)


def prepare_table(rows: Table, settings: Prepare) -> Prepared:
    sessions, kinds, notes = infer_types(rows, settings)
    roles = {key: "key" if role == "session" else role for role, key in settings.keys if key}
    return Prepared(sessions, {**roles, settings.target: "target"}, kinds, notes)
