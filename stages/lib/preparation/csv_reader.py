"""A csv file, perhaps compressed, as an Ibis table of texts on DuckDB; and what to say about a broken one."""

import codecs
import contextlib
import csv
import gzip
import zlib
from pathlib import Path
from typing import TextIO

import duckdb
import ibis
from ibis.expr.types import Table

from stages.lib.common.errors import InputError, file_errors, first_line
from stages.lib.common.params import Csv
from stages.lib.preparation.engine import duckdb_message

DELIMITERS = ",;\t|"  # that are detected
ENCODING_HINT = "; if the file has another encoding, set prepare.csv.encoding"


def read_csv(connection: ibis.BaseBackend, path: Path, settings: Csv) -> Table:
    """Read a csv file into a table of texts; empty values, quoted or not, are null.

    Args:
        connection: to DuckDB, which keeps the rows in a table.
        path: a file whose first line has the columns' names; one that ends in .gz is decompressed.
        settings: delimiter, encoding and what to do about a truncated last line.

    Raises:
        InputError: the file can't be decoded or decompressed, a line does not fit the header, or two columns have the
            same name.
    """
    delimiter, names = _read_header(path, settings)
    try:
        rows = connection.read_csv(
            path, columns=dict.fromkeys(names, "VARCHAR"), delim=delimiter, encoding=settings.encoding,
            header=True, quote='"', escape='"', auto_detect=False, ignore_errors=True, store_rejects=True,
            hive_partitioning=False,
        )  # fmt: skip
        # A table is parsed once, a view would be for each query.
        connection.raw_sql(f'CREATE TABLE source AS FROM "{rows.get_name()}"')
        table = connection.table("source")
        rejects = connection.con.execute(
            "SELECT line, error_type, error_message FROM reject_errors ORDER BY line"
        ).fetchall()
    except duckdb.OutOfMemoryException as error:
        raise InputError(f"{path}: {duckdb_message(error)}") from None
    except duckdb.Error as error:
        # DuckDB's own message about mixed line endings does not mention them.
        is_mixed = "state machine" in str(error) and _has_mixed_line_endings(path, settings)
        reason = "mixed line endings; save it with LF only" if is_mixed else first_line(error)
        raise InputError(f"{path}: not {_form(settings)}: {reason}") from None
    if rejects:
        _handle_rejects(path, settings, rejects, n_lines=table.count().execute() + 1)
    return table


def check_unique(path: Path, names: list[str]) -> None:
    """Raise an InputError if two columns have the same name; for DuckDB, as in SQL, case makes no difference."""
    lower = [name.lower() for name in names]
    for name in names:
        if lower.count(name.lower()) > 1:
            raise InputError(f"{path}: two columns are named '{name}' (ignoring case); rename one")


def _form(settings: Csv) -> str:
    return f"a {settings.encoding} csv file"


def _read_header(path: Path, settings: Csv) -> tuple[str, list[str]]:
    """The delimiter, by default the one that splits the first line into most names, and the names."""
    with file_errors(path, _form(settings), errors=(EOFError, zlib.error, csv.Error)):
        try:
            line = _read_first_line(path, settings)
        except UnicodeError as error:
            raise InputError(f"{path}: not {_form(settings)}: {error}{ENCODING_HINT}") from None
        candidates = DELIMITERS if settings.delimiter == "auto" else settings.delimiter
        fields = {delimiter: next(csv.reader([line], delimiter=delimiter), []) for delimiter in candidates}
    delimiter = max(fields, key=lambda candidate: len(fields[candidate]))
    names = [name.strip() or f"Unnamed: {position}" for position, name in enumerate(fields[delimiter])]
    check_unique(path, names)
    if not names:
        raise InputError(f"{path}: the first line is empty; expected the column names")
    return delimiter, names


def _read_first_line(path: Path, settings: Csv) -> str:
    with _open(path, settings, newline="") as file:
        # DuckDB would read the file without an error, but as one without lines.
        if settings.encoding == "utf-16" and file.buffer.peek(2).startswith(codecs.BOM_UTF16_BE):  # type: ignore[attr-defined]
            raise InputError(f"{path}: big-endian utf-16 is not supported; save it as utf-8")
        line = file.readline().rstrip("\r\n")
    if "\0" in line:
        raise UnicodeError("it contains NUL characters, as utf-16 does")
    return line


def _open(path: Path, settings: Csv, newline: str | None) -> TextIO:
    open_text = gzip.open if path.suffix == ".gz" else open
    # utf-8-sig skips the byte-order mark, if there is one.
    return open_text(path, "rt", encoding=settings.encoding.replace("utf-8", "utf-8-sig"), newline=newline)


def _has_mixed_line_endings(path: Path, settings: Csv) -> bool:
    """Whether some lines end in CRLF and others in LF, up to the first one that can't be decoded."""
    with (
        _open(path, settings, newline=None) as file,
        contextlib.suppress(UnicodeError, OSError, EOFError, zlib.error),
    ):
        return any(isinstance(file.newlines, tuple) for _ in file)
    return False


def _handle_rejects(path: Path, settings: Csv, rejects: list[tuple[int, str, str]], n_lines: int) -> None:
    """Raise an InputError for the first line that does not fit, unless params say to drop a truncated last one."""
    line, error_type, message = rejects[0]
    # A line is rejected once for each column that it lacks.
    is_last = rejects[-1][0] == line == n_lines + 1
    if not (is_last and error_type in ("MISSING COLUMNS", "UNQUOTED VALUE")):
        hint = ENCODING_HINT if error_type == "INVALID ENCODING" else ""
        raise InputError(f"{path}: line {line}: {first_line(message)}{hint}")
    if settings.truncated_last_line == "error":
        raise InputError(
            f"{path}: the last line, {line}, is truncated; set prepare.csv.truncated_last_line to drop to skip it"
        )
    print(f"{path}: the last line, {line}, is truncated and was dropped")
