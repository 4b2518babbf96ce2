"""The one kind of error that is the user's to fix, and how a broken file becomes one."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STORAGE_HINTS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EACCES: "check its owner and permissions",
    errno.EPERM: "check its owner and permissions",
    errno.EROFS: "make it writable",
}
# How DuckDB and Java begin what the system has refused; other errors may quote a value of the user's that says the same
REFUSED = re.compile(r"IO Error: |.*java\.io\.IOException: ", re.DOTALL)


class InputError(Exception):
    """A mistake in the data or the parameters that the user can fix.

    Its text is one line; that of several problems of a table is one for each, and the params that settle them.
    """

    def __init__(self, text: str) -> None:
        super().__init__("\n".join(map(printable, text.split("\n"))))


def printable(text: str) -> str:
    """The text in one line, as Python would write what is not printable: \\x0c, \\u2028."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def storage_problem(error: BaseException) -> str | None:
    """One line for an error that has the disk or its permissions as its cause; None for another.

    Libraries make errors of their own kinds of it, in which the system's text is left.
    """
    origin = error
    while isinstance(origin, InputError) and origin.__context__:
        origin = origin.__context__
    if isinstance(origin, OSError) or REFUSED.match(str(origin)):
        for code, hint in STORAGE_HINTS.items():
            if (refusal := os.strerror(code)) in str(origin):
                line = next((line for line in str(error).splitlines() if refusal in line), first_line(error))
                return printable(f"{line.strip()}; {hint}, then run it again")
    return None


@contextmanager
def file_errors(path: Path, what: str, hint: str = "", errors: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn what goes wrong while `path` is read into an InputError that names the file.

    Args:
        path: the file being read inside the block.
        what: what the file should be, with its article: "a parquet file".
        hint: what to do about a missing file, such as "run the split stage".
        errors: exceptions of the library that reads it, beside OSError and ValueError.
    """
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file{hint and f'; {hint}'}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not {what}: {first_line(error)}") from None
    except errors as error:
        raise InputError(f"{path}: not {what}: {first_line(error)}") from None


def first_line(error: object) -> str:
    """The first line of an error's text that is not empty, or the error's name."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
