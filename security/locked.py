"""The packages that requirements*.txt pin."""

import re
from pathlib import Path
from typing import NamedTuple

LINE = re.compile(r"([\w.-]+)==([^\s;]+)(?: *; *(.+))?")


class Locked(NamedTuple):
    """A pinned package. With a marker, such as python_full_version < '3.12', it is installed only where that holds."""

    name: str
    version: str
    marker: str | None


def read_locked(path: Path) -> list[Locked]:
    """The packages of one file, in its order.

    Raises:
        ValueError: a line is neither a comment nor a pinned package.
    """
    packages = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        if not match:
            raise ValueError(f"{path.name}: not a package with its version: {line}")
        packages.append(Locked(*match.groups()))
    return packages
