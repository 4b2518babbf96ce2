"""Checksums of the files in a folder, so that damage by a disk or in a copy does not go unnoticed."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from stages.lib.common.errors import InputError

FILE = "SHA256SUMS"  # as `sha256sum --check SHA256SUMS` reads it


def write_checksums(folder: Path) -> None:
    """Write those of all other files in the folder and below it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / FILE)
    lines = [f"{_sha256(path)}  {path.relative_to(folder)}\n" for path in paths]
    (folder / FILE).write_text("".join(lines), encoding="utf-8")


def check_checksums(folder: Path, hint: str, files: Iterable[Path] | None = None) -> None:
    """Compare files with their checksums, unless an earlier version wrote the folder, without any.

    Args:
        folder: on which `write_checksums` was called.
        hint: what to do about a damaged file.
        files: of the folder, to compare; None: all.

    Raises:
        InputError: a file is not as it was written.
    """
    if not (folder / FILE).exists():
        return
    digests = read_checksums(folder)
    for path in digests if files is None else files:
        if not path.is_file() or _sha256(path) != digests.get(path):
            raise InputError(f"{path}: damaged: its checksum is not the one in {folder / FILE}; {hint}")


def read_checksums(folder: Path) -> dict[Path, str]:
    """The checksum of each file that `write_checksums` found in the folder; a line of damage gives a wrong one."""
    lines = (folder / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    return {folder / (name or FILE): digest for digest, _, name in (line.partition("  ") for line in lines or [""])}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
