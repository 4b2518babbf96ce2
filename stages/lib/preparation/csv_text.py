"""The text of a csv file: decompressed, decoded, and what its first lines say about the rest."""

import bz2
import codecs
import csv
import gzip
import io
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from stages.lib.common.errors import InputError, file_errors
from stages.lib.common.params import Csv
from stages.lib.dataset.left_out import LeftOut
from stages.lib.preparation.files import compression

DELIMITERS = ",;\t|"  # that are detected
ENCODING_HINT = "; if the file has another encoding, set prepare.csv.encoding"
COMMENT = "#"
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # Excel writes it before the header
LINE_BREAK = re.compile(r"\s*[\r\n]\s*")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
CHUNK = 2**22  # bytes or characters in memory at a time; the header is within the first
# How files start that are not text, and what their names should end in
SIGNATURES = {
    b"PAR1": "a parquet file; rename it to end in .parquet",
    b"\x1f\x8b": "a gzip file; rename it to end in .gz",
    b"BZh": "a bzip2 file; rename it to end in .bz2",
    b"\x28\xb5\x2f\xfd": "a zstd file; rename it to end in .zst",
    b"PK\x03\x04": "a zip archive or an Excel workbook; rename the one to end in .zip, save the other as csv",
}
READ_ERRORS = (EOFError, zlib.error, csv.Error, zipfile.BadZipFile, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Header:
    """What the first lines of a csv file say."""

    delimiter: str
    names: list[str]
    skip: int  # lines before the header or, without one, before the rows
    has_names: bool  # whether the names are a line of the file


def csv_form(settings: Csv) -> str:
    return f"a {settings.encoding} csv file"


def check_unique(path: Path, names: list[str], hint: str = "") -> None:
    """Raise an InputError if two columns have the same name; for DuckDB, as in SQL, case makes no difference."""
    seen = set()
    for name in names:
        if name.lower() in seen:
            first = next(other for other in names if other.lower() == name.lower())
            raise InputError(f"{path}: two columns are named '{first}' (ignoring case); rename one{hint}")
        seen.add(name.lower())


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open the file, decompressed as its name says."""
    openers: dict[str, Callable[[Path], object]] = {
        "": lambda path: path.open("rb"),
        ".gz": gzip.open,
        ".bz2": bz2.open,
        ".zst": lambda path: pa.input_stream(str(path), compression="zstd"),
        ".zip": _open_zip,
    }
    with cast(BinaryIO, openers[compression(path)](path)) as file:
        yield file


def read_header(path: Path, settings: Csv, left_out: LeftOut) -> Header:
    """Read the names, and find the delimiter: by default the one that splits the first record into most fields.

    Lines before the header are skipped: as many as params say, then any that start with # and do not look like a header
    themselves, and a line such as sep=; which names the delimiter.

    Args:
        path: the csv file, perhaps compressed.
        settings: params for csv files.
        left_out: gets the lines that start with #.

    Raises:
        InputError: the file can't be decompressed or decoded, has no header, or two columns have the same name.
    """
    with file_errors(path, csv_form(settings), errors=(*READ_ERRORS, pa.ArrowException)):
        lines = io.StringIO(_read_start(path, settings), newline="").readlines()
        delimiters = DELIMITERS if settings.delimiter == "auto" else settings.delimiter
        comments = _comment_lines(lines[settings.skip_rows :], delimiters)
        skip = settings.skip_rows + comments
        if skip < len(lines) and (separator := SEPARATOR_LINE.fullmatch(lines[skip])):
            delimiters = separator[1] if settings.delimiter == "auto" else delimiters
            skip += 1
        delimiter, fields = _split("".join(lines[skip:]), delimiters, settings.names)
    if not any(name.strip() for name in fields):
        where = f"line {skip + 1}" if skip else "the first line"
        raise InputError(f"{path}: {where} is empty; expected the column names")
    _check_decoded(path, settings, fields)
    if comments:
        what = f"lines before the header, which start with {COMMENT}, were skipped"
        left_out.add(what, comments, lines[settings.skip_rows].strip(), "prepare.csv.skip_rows")
    return _named(path, settings, delimiter, fields, skip)


def write_plain(path: Path, settings: Csv, output: Path, *, unify_line_ends: bool = False) -> None:
    """Copy the file as uncompressed utf-8, a chunk in memory at a time.

    Args:
        path: the csv file.
        settings: its encoding.
        output: the copy.
        unify_line_ends: turn CRLF into LF.

    Raises:
        InputError: it can't be decompressed or decoded; the message names the line.
    """
    n_lines, pending = 1, b""
    errors = (*READ_ERRORS, pa.ArrowException)
    with file_errors(path, csv_form(settings), errors=errors), open_bytes(path) as file, output.open("wb") as copy:
        if is_utf8(settings) and not unify_line_ends:
            shutil.copyfileobj(file, copy, CHUNK)
            return
        decoder = codecs.getincrementaldecoder(settings.encoding)()
        while True:
            data = file.read(CHUNK)
            try:
                # Bytes of utf-8 are not decoded: DuckDB reports what is wrong with them.
                text = data if is_utf8(settings) else decoder.decode(data, final=not data).encode()
            except UnicodeDecodeError as error:
                line = n_lines + error.object[: error.start].count(b"\n")
                raise InputError(
                    f"{path}: line {line}: {settings.encoding} has no byte 0x{error.object[error.start]:02x} here: "
                    f"{error.reason}{ENCODING_HINT}"
                ) from None
            n_lines += text.count(b"\n")
            text = pending + text
            pending = b"\r" if unify_line_ends and data and text.endswith(b"\r") else b""
            text = text.removesuffix(pending)
            copy.write(text.replace(b"\r\n", b"\n") if unify_line_ends else text)
            if not data:
                return


def is_utf8(settings: Csv) -> bool:
    return codecs.lookup(settings.encoding).name in ("utf-8", "utf-8-sig")


def _open_zip(path: Path) -> object:
    archive = zipfile.ZipFile(path)
    files = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if len(files) != 1:
        raise InputError(f"{path}: a zip archive of {len(files)} files; expected one csv file")
    return archive.open(files[0])


def _read_start(path: Path, settings: Csv) -> str:
    # utf-8-sig skips the byte-order mark, if there is one.
    encoding = "utf-8-sig" if is_utf8(settings) else settings.encoding
    with open_bytes(path) as file:
        data = file.read(CHUNK)
    for signature, what in SIGNATURES.items():
        if data.startswith(signature):
            raise InputError(f"{path}: not {csv_form(settings)}: it is {what}")
    # What can't be decoded after the header is reported later, with its line.
    return codecs.getincrementaldecoder(encoding)("surrogateescape" if is_utf8(settings) else "replace").decode(data)


def _comment_lines(lines: list[str], delimiters: str) -> int:
    """How many lines at the start are comments or, after one, blank."""
    count = 0
    while count < len(lines) and (lines[count].startswith(COMMENT) or (count and not lines[count].strip())):
        count += 1
    if count and lines[count - 1].startswith(COMMENT):
        # A header may start with # too: it has as many fields as the line that follows.
        delimiter, fields = _split("".join(lines[count:]), delimiters, None)
        if len(fields) > 1 and len(next(csv.reader([lines[count - 1]], delimiter=delimiter))) == len(fields):
            count -= 1
    return count


def _split(text: str, delimiters: str, names: list[str] | None) -> tuple[str, list[str]]:
    """The delimiter and the fields of the first record."""
    records: dict[str, list[str]] = {}
    errors = []
    for delimiter in delimiters:
        try:
            records[delimiter] = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), [])
        except csv.Error as error:  # quotes that make sense with another delimiter only
            errors.append(error)
    if not records:
        is_open = "unexpected end" in str(errors[0])
        raise csv.Error("a quote in the first line is not closed") if is_open else errors[0]
    expected = len(names or [])
    delimiter = max(records, key=lambda candidate: (len(records[candidate]) == expected, len(records[candidate])))
    return delimiter, records[delimiter]


def _check_decoded(path: Path, settings: Csv, fields: list[str]) -> None:
    text = "".join(fields)
    reason = "it contains NUL characters, as utf-16 does" if "\0" in text else ""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        reason = f"can't decode byte 0x{ord(text[error.start]) - 0xDC00:02x} in the column names"
    if "\ufffd" in text and not is_utf8(settings):
        reason = "can't decode the column names"
    if reason:
        raise InputError(f"{path}: not {csv_form(settings)}: {reason}{ENCODING_HINT}")


def _named(path: Path, settings: Csv, delimiter: str, fields: list[str], skip: int) -> Header:
    # A line break in a quoted name would break the lines of messages too.
    names = [LINE_BREAK.sub(" ", name.strip()) or f"Unnamed: {position}" for position, name in enumerate(fields)]
    if settings.names is None:
        if value := next((name for name in names if TIMESTAMP.fullmatch(name)), None):
            raise InputError(
                f"{path}: no header: '{value}' is a value, not a name; list the columns' names in prepare.csv.names"
            )
        check_unique(path, names, "; list the columns' names in prepare.csv.names if it has no header")
        return Header(delimiter, names, skip, has_names=True)
    check_unique(path, settings.names)
    if {*names} <= {*settings.names}:  # a header after all, as new rows may have
        return Header(delimiter, names, skip, has_names=True)
    if len(names) != len(settings.names):
        raise InputError(
            f"{path}: line {skip + 1} has {len(names)} values, but prepare.csv.names has {len(settings.names)} names"
        )
    return Header(delimiter, settings.names, skip, has_names=False)
