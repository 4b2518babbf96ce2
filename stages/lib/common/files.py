"""Files that are written whole or not at all, with the same bytes for the same content."""

import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from stages.lib.common.errors import InputError

if TYPE_CHECKING:
    import pandas as pd  # only the callers of write_csv pay for its import

LOCK = ".lock"  # in the folder of a file that is being written
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # of file systems on which two processes can't know


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path of the same name, for a file or a folder that replaces `path` when the block succeeds.

    If the block fails or the process is killed, `path` stays as it was.
    """
    path = Path(path)
    with _own_folder(path.with_name(f".{path.name}.part"), path) as folder:
        temporary = folder / path.name
        yield temporary
        if path.is_dir() or temporary.is_dir():
            _remove(path)
        # Replacing a file is atomic: there is no moment without either version.
        temporary.replace(path)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` for intermediate files; it is removed however the block ends."""
    with _own_folder(scratch_path(path), path) as folder:
        yield folder


def scratch_path(path: Path) -> Path:
    """Where `scratch_folder` puts the folder for `path`."""
    return path.with_name(f".{path.name}.scratch")


@contextmanager
def _own_folder(folder: Path, path: Path) -> Iterator[Path]:
    """Yield the folder, with nothing in it but a lock, and remove it afterwards.

    Another process may be writing the same file: where DVC is killed alone, its stage goes on. It is waited for. What a
    killed process has left in the folder is removed.
    """
    with _owned(folder, path):
        _empty(folder)
        try:
            yield folder
        finally:
            _empty(folder)
            (folder / LOCK).unlink(missing_ok=True)
            with suppress(OSError):  # another process has made a lock of its own in it
                folder.rmdir()


def _owned(folder: Path, path: Path) -> IO[str]:
    """The open lock of the folder, which is made."""
    if folder.is_file() or folder.is_symlink():
        folder.unlink()  # as earlier versions have left it, if they were killed
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The process that had it before may remove it at any moment.
        with suppress(FileNotFoundError, FileExistsError), ExitStack() as stack:
            folder.mkdir(exist_ok=True)
            file = stack.enter_context((folder / LOCK).open("w"))
            _wait_for(file, path)
            if (folder / LOCK).stat().st_ino == os.fstat(file.fileno()).st_ino:
                stack.pop_all()
                return file


def _wait_for(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{path}: waiting for another process, which is writing it", file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise


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


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != LOCK:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
