"""The columns that params declare: whether each exists, and none has two uses or two types."""

import itertools

from ibis.expr.types import Table

from stages.lib.common.errors import InputError
from stages.lib.common.params import Prepare


def declared_problems(table: Table, settings: Prepare) -> list[InputError]:
    """A problem for each column of params that the table lacks, and for each that two params contradict on."""
    keys = {f"keys.{role}": [name] for role, name in settings.keys if name}
    uses = {"target": [settings.target], **keys, "drop": settings.drop}
    types = {"categories": settings.categories, "numeric": settings.numeric, "dates": settings.dates}
    declared = {**uses, **types}
    problems = []
    for param, names in declared.items():
        if absent := [name for name in names if name not in table.columns]:
            listed, columns = ", ".join(f"'{name}'" for name in absent), ", ".join(table.columns)
            problems.append(InputError(f"no column {listed} (prepare.{param}); it has {columns}"))
    for one, other in [*itertools.combinations(uses, 2), *itertools.combinations(types, 2)]:
        problems += [
            InputError(f"column '{name}' is in both prepare.{one} and prepare.{other}; keep it in one of them")
            for name in sorted({*declared[one]} & {*declared[other]})
        ]
    return problems
