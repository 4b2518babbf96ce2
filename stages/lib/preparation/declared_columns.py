"""The columns that params declare: each exists, and none has two uses or two types."""

import itertools

from ibis.expr.types import Table

from stages.lib.common.errors import InputError
from stages.lib.common.params import Prepare


def check_declared_columns(table: Table, settings: Prepare) -> None:
    """Raise an InputError for a column of params that the table lacks, or that two params contradict each other on."""
    keys = {f"keys.{role}": [name] for role, name in settings.keys if name}
    uses = {"target": [settings.target], **keys, "drop": settings.drop}
    types = {"categories": settings.categories, "numeric": settings.numeric, "dates": settings.dates}
    declared = {**uses, **types}
    for param, names in declared.items():
        for name in names:
            if name not in table.columns:
                raise InputError(f"no column '{name}' (prepare.{param}); it has {', '.join(table.columns)}")
    for one, other in [*itertools.combinations(uses, 2), *itertools.combinations(types, 2)]:
        if both := {*declared[one]} & {*declared[other]}:
            raise InputError(
                f"column '{min(both)}' is in both prepare.{one} and prepare.{other}; keep it in one of them"
            )
