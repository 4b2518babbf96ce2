"""Files that are written whole or not at all, and the one kind of error that is the user's to mend."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class InputError(Exception):
    """Something in the data or in the parameters that the user can mend; its text is one line."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write a file or a folder, renamed to `path` when the block ends well.

    A block that fails, or a process that is killed, leaves what stood at `path` as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part{path.suffix}")
    _remove(temporary)
    try:
        yield temporary
        if path.is_dir() or temporary.is_dir():
            _remove(path)
        # A file takes the other's place at once: there is no moment without either.
        temporary.replace(path)
    finally:
        _remove(temporary)


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` for what is needed on the way to it, removed in the end, however the block ends.

    What a killed process has left there, the next one removes.
    """
    folder = scratch_of(path)
    _remove(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        _remove(folder)


def scratch_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.scratch")


def write_json(path: Path, content: Any) -> None:
    """Sorted, without NaN, with a trailing newline: the same content gives the same bytes."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
