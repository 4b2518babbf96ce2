"""The columns of a table that consists of several files: which of them are used, and those that all parts have."""

from dataclasses import dataclass, field
from pathlib import Path

from stages.lib.common.errors import InputError
from stages.lib.common.params import Prepare
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema


@dataclass(frozen=True)
class UsedColumns:
    """The columns that params or a model name and, in a session table to learn from, all others but the dropped."""

    named: frozenset[str]
    dropped: frozenset[str] = field(default=frozenset())
    others: bool = False

    def __contains__(self, name: str) -> bool:
        return name in self.named or (self.others and name not in self.dropped)

    @property
    def hint(self) -> str:
        return "; leave it out of all parts with prepare.drop: [{}]" if self.others else ""


def used_columns(settings: Prepare | Schema) -> UsedColumns:
    """The columns that are used when the source is prepared with these settings."""
    if settings.source_type == "clicks":
        return UsedColumns(frozenset(name for name in settings.clicks.columns.values() if name))
    keys = [name for _, name in settings.keys if name]
    if isinstance(settings, Schema):
        return UsedColumns(frozenset([*settings.features, *keys]))
    types = (*settings.categories, *settings.numeric, *settings.dates)
    return UsedColumns(frozenset([settings.target, *keys, *types]), frozenset(settings.drop), others=True)


def common_columns(parts: dict[Path, list[str]], used: UsedColumns, left_out: LeftOut) -> list[str]:
    """The columns of the table that the parts are read as, in the order of the first part.

    Args:
        parts: the columns of each.
        used: a column of the first part that is used must be in all parts.
        left_out: gets the columns that only some parts have.

    Raises:
        InputError: a part lacks a column that is used.
    """
    (first, columns), *others = parts.items()
    partial: dict[str, Path] = {}  # a column that is not in all parts, and a part that has it
    for part, names in others:
        for name in names:
            if name not in columns:
                if name in used.named:
                    raise _lacking(first, name, part, used)
                partial.setdefault(name, part)
        for name in columns:
            if name not in names:
                if name in used:
                    raise _lacking(part, name, first, used)
                partial.setdefault(name, first)
    for name, part in partial.items():
        if name not in used.dropped:
            left_out.add(f"column '{name}', which not all parts of the folder have, was left out", 1, part)
    return [name for name in columns if name not in partial or name in used.dropped]


def _lacking(part: Path, name: str, other: Path, used: UsedColumns) -> InputError:
    return InputError(f"{part}: no column '{name}', which {other} has{used.hint.format(name)}")
