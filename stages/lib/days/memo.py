"""What prepare keeps of the days that it has seen, in folders named by all that they depend on.

A memo only saves work: it may be deleted at any time, and what is in it is never changed, only added and removed.
"""

import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stages.lib.common.checksums import FILE, check_checksums, read_checksums, write_checksums
from stages.lib.common.errors import InputError
from stages.lib.common.files import atomic_write, write_json
from stages.lib.dataset.schema import Schema

LIBRARIES = ("duckdb", "ibis-framework", "pyarrow")
LIB = Path(__file__).parents[1]
PACKAGES = ("common", "dataset", "days", "preparation")  # of stages/lib, whose code the results depend on


@dataclass(frozen=True)
class Memo:
    """Folders of results, in folders by kind.

    Attributes:
        folder: where they are, absolute.
        settings: how the log is read, without features: all results depend on it, on the code, and on the versions of
            libraries.
    """

    folder: Path
    settings: Schema

    @cached_property
    def common(self) -> str:
        """A hash of what all results depend on."""
        settings = self.settings.model_dump(mode="json")
        versions = [version(name) for name in LIBRARIES]
        content = hashlib.sha256(json.dumps([settings, versions], sort_keys=True).encode())
        for path in sorted(path for package in PACKAGES for path in (LIB / package).rglob("*.py")):
            content.update(f"{path.relative_to(LIB)}\0".encode() + path.read_bytes())
        return content.hexdigest()[:32]

    def get(self, kind: str, content: object, make: Callable[[Path, str], None]) -> str:
        """The path, in the memo, of the result that depends on this content; it is made unless it exists.

        Args:
            kind: of the result.
            content: lists and texts.
            make: called with an empty folder, which it fills, and with the path that the folder will get.
        """
        key = hashlib.sha256(json.dumps([self.common, content]).encode()).hexdigest()[:32]
        path = f"{kind}/{key}"
        if (self.folder / path).is_dir():
            os.utime(self.folder / path)  # it is in use: the oldest results are removed
        else:
            with atomic_write(self.folder / path) as temporary:
                temporary.mkdir()
                make(temporary, path)
                write_checksums(temporary)
        return path

    def check(self, files: Iterable[Path]) -> None:
        """Compare files of results with what was written: prepare checks what it is about to use.

        Raises:
            InputError: a file is damaged or missing.
        """
        by_result: dict[Path, list[Path]] = defaultdict(list)
        for file in files:
            by_result[self._result(file)].append(file)
        hint = f"delete {self.folder} and try again"
        with ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
            checks = [pool.submit(check_checksums, folder, hint, paths) for folder, paths in by_result.items()]
            for check in checks:
                check.result()

    def files(self, folder: Path) -> list[Path]:
        """The parquet files below a folder of a result, and those that are missing there now: `check` tells."""
        written = {path for path in read_checksums(self._result(folder)) if path.is_relative_to(folder)}
        found = {path for path in folder.rglob("*") if path.is_file()}  # Spark writes a folder of them
        return sorted(path for path in written | found if path.suffix == ".parquet")

    def _result(self, path: Path) -> Path:
        """The folder of the result that the path belongs to, which has checksums."""
        folder = self.folder.joinpath(*path.relative_to(self.folder).parts[:2])
        if not (folder / FILE).exists():
            raise InputError(f"{folder}: damaged: no {FILE}; delete {self.folder} and try again")
        return folder

    def hash_files(self, paths: Sequence[Path], root: Path) -> str:
        """A hash of the names, below `root`, and the bytes of files, which are read again only if they have changed."""
        content: list[list[Any]] = [[str(path.relative_to(root)), self._hash_file(path)] for path in paths]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]

    def _hash_file(self, path: Path) -> str:
        stat = path.stat()
        identity = repr((str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ino))
        known = self.folder / "hashes" / hashlib.sha256(identity.encode()).hexdigest()[:32]
        try:
            return str(json.loads(known.read_bytes()))
        except (OSError, ValueError):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            write_json(known, digest)
            return digest

    def prune(self, used: Iterable[str]) -> None:
        """Remove all results but these."""
        kept = {*used}
        for path in self.folder.glob("*/*"):
            if path.is_dir() and str(path.relative_to(self.folder)) not in kept:
                shutil.rmtree(path)
