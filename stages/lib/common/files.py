"""Files that are written whole or not at all, with the same bytes for the same content."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.lib.common.errors import InputError

if TYPE_CHECKING:
    import pandas as pd  # only the callers of write_csv pay for its import


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, for a file or a folder that replaces `path` when the block succeeds.

    If the block fails or the process is killed, `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part{path.suffix}")
    _remove(temporary)
    try:
        yield temporary
        if path.is_dir() or temporary.is_dir():
            _remove(path)
        # Replacing a file is atomic: there is no moment without either version.
        temporary.replace(path)
    finally:
        _remove(temporary)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` for intermediate files; it is removed however the block ends.

    A folder that a killed process has left behind is removed first.
    """
    folder = scratch_path(path)
    _remove(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        _remove(folder)


def scratch_path(path: Path) -> Path:
    """Where `scratch_folder` puts the folder for `path`."""
    return path.with_name(f".{path.name}.scratch")


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder, waiting for another process to release it; if a process is killed, its lock goes too.

    A Dask scheduler that has lost contact with a worker gives its call to another, while the first may still run.
    """
    try:
        file = folder.with_suffix(".lock").open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        raise InputError(
            f"{folder.parent}: all processes need access to this folder, and file locks in it: {error}"
        ) from None
    with file:
        yield


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys, without NaN and with a trailing newline, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(path: Path, frame: "pd.DataFrame") -> None:
    """Write the frame's columns, without its index, floats with 6 decimals, atomically."""
    with atomic_write(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
