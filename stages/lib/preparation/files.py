"""The files that a source consists of: one of a known type, or all of that type in a folder and its subfolders."""

import re
from pathlib import Path
from typing import Literal

from stages.lib.common.errors import InputError
from stages.lib.dataset.left_out import LeftOut

FileType = Literal["parquet", "csv", "text"]

TYPES: dict[str, FileType] = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".txt": "text"}
COMPRESSIONS = (".gz", ".bz2", ".zst", ".zip")
# Of Spark and its commit protocols, Hadoop, pyarrow, macOS, Windows, git and DVC
MARKS = re.compile(
    r"_SUCCESS|_(started|committed)_.*|_(common_)?metadata|\..*\.crc|\.DS_Store|\._.*|Thumbs\.db|\.gitignore|.*\.dvc",
)
EXPECTED = f"a name that ends in {', '.join(TYPES)}, or in one of these but .parquet and {', '.join(COMPRESSIONS)}"


def compression(path: Path) -> str:
    """The suffix that says how the file is compressed, in lower case; empty if it is not."""
    suffix = path.suffix.lower()
    return suffix if suffix in COMPRESSIONS else ""


def file_type(path: Path) -> FileType | None:
    """What the name says is in the file; None if it says nothing, or something that is not read."""
    packed = compression(path)
    suffix = Path(path.stem).suffix.lower() if packed else path.suffix.lower()
    if packed == ".zip" and suffix not in TYPES:
        return "csv"  # the name in the archive may say more
    type_ = TYPES.get(suffix)
    return None if packed and type_ == "parquet" else type_


def source_files(source: Path, left_out: LeftOut) -> tuple[list[Path], Literal["parquet", "csv"]]:
    """The files to read as one table, in the order of their paths, and how to read them.

    In a folder, the files are those of the type that comes first in TYPES. All others are passed over: names that start
    with . or _, empty csv files, and other types. Those that other programs leave in every folder (MARKS) are no
    finding.

    Args:
        source: a file or a folder.
        left_out: gets what is passed over.

    Raises:
        InputError: the source is missing or empty, or has no file or files of two types that can be read.
    """
    if source.is_dir():
        return _files_of_folder(source, left_out)
    if not source.is_file():
        raise InputError(f"{source}: no such file")
    if source.stat().st_size == 0:
        raise InputError(f"{source}: the file is empty")
    type_ = file_type(source)
    if type_ is None:
        raise InputError(f"{source}: expected {EXPECTED}")
    return [source], "parquet" if type_ == "parquet" else "csv"


def _files_of_folder(folder: Path, left_out: LeftOut) -> tuple[list[Path], Literal["parquet", "csv"]]:
    everything = sorted(path for path in folder.rglob("*") if path.is_file())
    files: dict[FileType, list[Path]] = {"parquet": [], "csv": [], "text": []}
    for path in everything:
        type_ = None if _is_hidden(path.relative_to(folder)) else file_type(path)
        if type_ == "parquet" or (type_ and path.stat().st_size):
            files[type_].append(path)
    if files["parquet"] and files["csv"]:
        one, other = (files[type_][0].relative_to(folder) for type_ in ("parquet", "csv"))
        raise InputError(f"{folder}: a folder of both parquet and csv files, such as {one} and {other}; keep one type")
    chosen = files["parquet"] or files["csv"] or files["text"]
    if not chosen:
        raise InputError(f"{folder}: a folder without parquet or csv files")
    passed_over = [path for path in everything if path not in {*chosen} and not MARKS.fullmatch(path.name)]
    example = passed_over[0].relative_to(folder) if passed_over else None
    left_out.add("files of the folder that are no parts of the table were passed over", len(passed_over), example)
    return chosen, "parquet" if files["parquet"] else "csv"


def _is_hidden(path: Path) -> bool:
    return any(name[0] in "._" for name in path.parts)
