"""Any file of rows, csv, csv.gz or parquet, or a folder of parquet files, as an Ibis table on embedded DuckDB."""

import codecs
import contextlib
import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.expr.types import Table

from stages.lib.common.errors import InputError
from stages.lib.common.params import Csv
from stages.lib.preparation.engine import first_line

OTHER_ENCODING = "; prepare.csv.encoding names another"


def read_rows(connection: ibis.BaseBackend, path: Path, settings: Csv, *, in_order: bool) -> Table:
    """The rows of `path`; the columns of a csv are text, those of a parquet have the file's types.

    A folder is read as one table: all parquet files in it, by their names. `in_order`: rows come as they stand, also of
    what is asked of the table, which takes one thread; otherwise in any order. Raises InputError for a file that is
    missing, empty, without rows, cut off or not what its name says, and for parts that differ in columns.
    """
    if in_order:
        # What a long IN becomes, a join, mixes up the rows of several threads, whatever DuckDB is told to preserve.
        connection.raw_sql("SET threads = 1")
    else:
        # Less memory: 843 MiB in place of 926 for 20 million clicks in 1 GiB
        connection.raw_sql("SET preserve_insertion_order = false")
    if path.is_dir():
        table = _read_parquet(connection, parquet_files(path))
    elif not path.is_file():
        raise InputError(f"{path}: no such file")
    elif path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    elif path.suffix == ".parquet":
        table = _read_parquet(connection, [path])
    elif path.name.endswith((".csv", ".csv.gz")):
        table = _read_csv(connection, path, settings)
    else:
        raise InputError(f"{path}: expected a name that ends in .csv, .csv.gz or .parquet")
    if table.count().execute() == 0:
        raise InputError(f"{path}: no rows, only a header")
    return table


@contextlib.contextmanager
def source_errors(path: Path) -> Iterator[None]:
    """Name the source in errors that show only when its rows are read, as of a file that is broken in the middle."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except duckdb.Error as error:
        raise InputError(f"{path}: {first_line(error)}") from None


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files in `folder` and the folders in it, but for what starts with . or _, as Spark's marks do."""
    files = [path for path in sorted(folder.rglob("*.parquet")) if path.is_file()]
    files = [path for path in files if not any(name[0] in "._" for name in path.relative_to(folder).parts)]
    if not files:
        raise InputError(f"{folder}: a folder without parquet files")
    return files


def _read_parquet(connection: ibis.BaseBackend, paths: list[Path]) -> Table:
    first = None
    for path in paths:
        try:
            schema = pq.read_schema(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: not a whole parquet file: {first_line(error)}") from None
        _check_repeated(path, schema.names)
        first = first or schema
        if differing := set(first) ^ set(schema):
            names = ", ".join(sorted({f"'{field.name}'" for field in differing}))
            raise InputError(f"{path}: other columns, or of other types, than in {paths[0].name}: {names}")
    # A folder on the way called year=2020 is no column.
    return connection.read_parquet(paths, hive_partitioning=False)


def _read_csv(connection: ibis.BaseBackend, path: Path, settings: Csv) -> Table:
    delimiter, names = _header(path, settings)
    try:
        rows = connection.read_csv(
            path, columns=dict.fromkeys(names, "VARCHAR"), delim=delimiter, encoding=settings.encoding,
            header=True, quote='"', escape='"', auto_detect=False, ignore_errors=True, store_rejects=True,
            hive_partitioning=False,
        )  # fmt: skip
        # Read once: a view would parse the file again for every question asked of it.
        connection.raw_sql(f'CREATE TABLE source AS FROM "{rows.get_name()}"')
        table = connection.table("source")
        rejects = connection.con.execute(
            "SELECT line, error_type, error_message FROM reject_errors ORDER BY line"
        ).fetchall()
    except duckdb.OutOfMemoryException as error:
        raise InputError(f"{path}: {first_line(error)}") from None
    except duckdb.Error as error:
        # DuckDB's line about ends of lines says nothing of them.
        mixed = "state machine" in str(error) and _has_mixed_line_ends(path, settings)
        why = "its lines end in more than one way; save it with LF alone" if mixed else first_line(error)
        raise InputError(f"{path}: not readable as {settings.encoding} csv: {why}") from None
    if rejects:
        _judge_rejects(path, settings, rejects, lines=table.count().execute() + 1)
    return table


def _header(path: Path, settings: Csv) -> tuple[str, list[str]]:
    """The delimiter, by default the one that cuts the first line into most names, and the names."""
    try:
        with _opened(path, settings, newline="") as file:
            # DuckDB would find no line in it.
            if settings.encoding == "utf-16" and file.buffer.peek(2).startswith(codecs.BOM_UTF16_BE):  # type: ignore[attr-defined]
                raise InputError(f"{path}: big-endian utf-16, which is not read; save it as utf-8")
            line = file.readline().rstrip("\r\n")
            if "\0" in line:
                raise UnicodeError("it holds NUL, as utf-16 does")
        candidates = ",;\t|" if settings.delimiter == "auto" else settings.delimiter
        cut = {delimiter: next(csv.reader([line], delimiter=delimiter), []) for delimiter in candidates}
    except UnicodeError as error:
        raise InputError(f"{path}: not readable as {settings.encoding} csv: {error}{OTHER_ENCODING}") from None
    except (gzip.BadGzipFile, zlib.error, EOFError, csv.Error) as error:
        raise InputError(f"{path}: not readable as {settings.encoding} csv: {first_line(error)}") from None
    delimiter = max(cut, key=lambda candidate: len(cut[candidate]))
    names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(cut[delimiter])]
    _check_repeated(path, names)
    if not names:
        raise InputError(f"{path}: the first line is empty; expected the columns' names")
    return delimiter, names


def _opened(path: Path, settings: Csv, newline: str | None) -> TextIO:
    opened = gzip.open if path.suffix == ".gz" else open
    return opened(path, "rt", encoding=settings.encoding.replace("utf-8", "utf-8-sig"), newline=newline)


def _has_mixed_line_ends(path: Path, settings: Csv) -> bool:
    """Whether there are lines that end in CRLF and others in LF; what can't be decoded counts as no line."""
    with (
        _opened(path, settings, newline=None) as file,
        contextlib.suppress(UnicodeError, OSError, EOFError, zlib.error),
    ):
        return any(isinstance(file.newlines, tuple) for _ in file)
    return False


def _check_repeated(path: Path, names: list[str]) -> None:
    # DuckDB, like SQL, takes names that differ in case only for the same.
    seen = [name.lower() for name in names]
    repeated = next((name for name in names if seen.count(name.lower()) > 1), None)
    if repeated is not None:
        raise InputError(f"{path}: two columns are named '{repeated}' (in capitals or not); rename one")


def _judge_rejects(path: Path, settings: Csv, rejects: list[tuple[int, str, str]], lines: int) -> None:
    """A cut-off last line may be dropped, if params say so; every other line that does not fit is an error."""
    line, kind, message = rejects[0]
    # A line has a reject for each column it lacks.
    cut_off = rejects[-1][0] == line == lines + 1 and kind in ("MISSING COLUMNS", "UNQUOTED VALUE")
    if not cut_off:
        hint = OTHER_ENCODING if kind == "INVALID ENCODING" else ""
        raise InputError(f"{path}: line {line}: {first_line(message)}{hint}")
    if settings.truncated_last_line == "error":
        raise InputError(
            f"{path}: the last line, {line}, is cut off; set prepare.csv.truncated_last_line to drop to go on without it"
        )
    print(f"{path}: the last line, {line}, is cut off and was dropped")
