"""What is known after some parts of a log: which visits count, and the rows of each day's sessions."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from stages.lib.common.errors import InputError
from stages.lib.common.files import write_json
from stages.lib.days.memo import Memo

KIND = "states"
FILE = "state.json"
KEPT = 30  # states, the latest


@dataclass(frozen=True)
class Day:
    """The file with the rows of the sessions that began on a day, in the memo, and what is in it."""

    file: str
    rows: int
    purchases: int


@dataclass(frozen=True)
class State:
    """What is known after some parts.

    Attributes:
        parts: hashes of their content, in order.
        sources: the folders of the memo with visits, moments and events: of the parts, and of the sessions that are in
            several of them.
        superseded: the file of those visits in `sources` that do not count, since a later source has them whole.
        days: by date.
        duplicates: the events that were left out because they are the same as another.
        long_sessions: the sessions that were left out because they have too many events.
    """

    parts: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    superseded: str | None = None
    days: dict[str, Day] = field(default_factory=dict)
    duplicates: int = 0
    long_sessions: int = 0

    def save(self, folder: Path) -> None:
        write_json(folder / FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Self:
        content = json.loads((folder / FILE).read_bytes())
        return cls(**content | {"days": {date: Day(**day) for date, day in content["days"].items()}})

    @property
    def folders(self) -> set[str]:
        """The folders of the memo that the state refers to."""
        files = [day.file for day in self.days.values()] + ([self.superseded] if self.superseded else [])
        return {"/".join(path.split("/")[:2]) for path in [*self.sources, *files]}


def nearest_state(memo: Memo, parts: Sequence[str]) -> State:
    """Of the states in the memo that know none but these parts, the one that knows most of them."""
    states = [state for _, state in _saved(memo) if {*state.parts} <= {*parts}]
    return max(states, key=lambda state: len(state.parts), default=State())


def keep_latest_states(memo: Memo) -> None:
    """Remove from the memo what the latest states do not refer to."""
    latest = sorted(_saved(memo), key=lambda saved: saved[0].stat().st_mtime_ns, reverse=True)[:KEPT]
    memo.prune({f"{KIND}/{folder.name}" for folder, _ in latest}.union(*(state.folders for _, state in latest)))


def _saved(memo: Memo) -> list[tuple[Path, State]]:
    """All states in the memo, of other settings too, which know other parts since their parts have other names."""
    states = []
    for path in sorted((memo.folder / KIND).glob(f"*/{FILE}")):
        with suppress(InputError):  # a damaged one is not there
            memo.check([path])
            states.append((path.parent, State.load(path.parent)))
    return states
