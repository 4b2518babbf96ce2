"""Csv files, perhaps compressed, as an Ibis table of texts on DuckDB; and what to say about a broken one."""

from glob import escape  # for DuckDB, a path is a pattern
from pathlib import Path

import duckdb
import ibis
from ibis.expr.types import Table

from stages.lib.common.errors import InputError, first_line
from stages.lib.common.params import Csv
from stages.lib.dataset.left_out import LeftOut
from stages.lib.preparation.csv_text import (
    ENCODING_HINT,
    Header,
    csv_form,
    is_utf8,
    read_header,
    write_plain,
)
from stages.lib.preparation.engine import duckdb_message
from stages.lib.preparation.files import compression
from stages.lib.preparation.parts import UsedColumns, common_columns

TABLE = "source"
Reject = tuple[int, str, str, bool]  # line, type of error, message, and whether it is the last line
MIXED_LINE_ENDS = "state machine"  # in DuckDB's message, which does not mention them


def read_csv(
    connection: ibis.BaseBackend, paths: list[Path], settings: Csv, used: UsedColumns, left_out: LeftOut, folder: Path
) -> Table:
    """Read csv files into a table of texts; empty values, quoted or not, are null.

    Args:
        connection: to DuckDB, which keeps the rows in a table: they are parsed once, not for each query.
        paths: the files, in the order of the rows; the columns are those of the first.
        settings: delimiter, encoding, header and what to do about a truncated last line.
        used: the columns that all files must have.
        left_out: gets truncated lines, lines before a header, and columns that only some files have.
        folder: for copies of files that DuckDB can't read as they are.

    Raises:
        InputError: a file can't be decoded or decompressed, a line does not fit the header, two columns have the same
            name, or a file lacks a column that is used.
    """
    headers = {path: read_header(path, settings, left_out) for path in paths}
    names = common_columns({path: header.names for path, header in headers.items()}, used, left_out)
    columns = ", ".join(f"{_quoted(name)} VARCHAR" for name in names)
    connection.raw_sql(f"CREATE TABLE {TABLE} ({columns})")
    for path, header in headers.items():
        _insert(connection, path, header, names, settings, left_out, folder / "plain.csv")
    return connection.table(TABLE)


def _insert(
    connection: ibis.BaseBackend,
    path: Path,
    header: Header,
    names: list[str],
    settings: Csv,
    left_out: LeftOut,
    copy: Path,
) -> None:
    is_readable = is_utf8(settings) and compression(path) in ("", ".gz")
    try:
        if not is_readable:
            write_plain(path, settings, copy)
        try:
            rejects = _insert_plain(connection, path if is_readable else copy, header, names)
        except duckdb.Error as error:
            if MIXED_LINE_ENDS not in str(error):
                raise
            write_plain(path, settings, copy, unify_line_ends=True)
            rejects = _insert_plain(connection, copy, header, names)
    except duckdb.OutOfMemoryException as error:
        raise InputError(f"{path}: {duckdb_message(error)}") from None
    except duckdb.Error as error:
        reason = "a carriage return within a line" if MIXED_LINE_ENDS in str(error) else first_line(error)
        raise InputError(f"{path}: not {csv_form(settings)}: {reason}") from None
    finally:
        copy.unlink(missing_ok=True)
    if rejects:
        _handle_rejects(path, settings, rejects, left_out)


def _insert_plain(connection: ibis.BaseBackend, path: Path, header: Header, names: list[str]) -> list[Reject]:
    """Append the rows of a utf-8 file to the table; returns the lines that do not fit, and whether it is the last."""
    before = connection.table(TABLE).count().execute()
    rows = connection.read_csv(
        escape(str(path)), columns=dict.fromkeys(header.names, "VARCHAR"), delim=header.delimiter,
        header=header.has_names, skip=header.skip, quote='"', escape='"', auto_detect=False, hive_partitioning=False,
        ignore_errors=True, store_rejects=True, rejects_table="rejects", rejects_scan="reject_scan",
        compression="gzip" if compression(path) == ".gz" else "none",
    )  # fmt: skip
    selected = ", ".join(_quoted(name) for name in names if name in header.names)
    connection.raw_sql(f'INSERT INTO {TABLE} BY NAME SELECT {selected} FROM "{rows.get_name()}"')
    connection.drop_view(rows.get_name())
    rejects = connection.con.execute("SELECT line, error_type, error_message FROM rejects ORDER BY line").fetchall()
    connection.raw_sql("DROP TABLE rejects; DROP TABLE reject_scan")
    n_rows = connection.table(TABLE).count().execute() - before
    last = header.skip + header.has_names + n_rows + 1
    return [(*reject, reject[0] == last) for reject in rejects]


def _handle_rejects(path: Path, settings: Csv, rejects: list[Reject], left_out: LeftOut) -> None:
    """Raise an InputError for the first line that does not fit, unless params say to drop a truncated last one."""
    line, error_type, message, is_last = rejects[0]
    # A line is rejected once for each column that it lacks.
    is_only = rejects[-1][0] == line
    if not (is_last and is_only and error_type in ("MISSING COLUMNS", "UNQUOTED VALUE")):
        hint = ENCODING_HINT if error_type == "INVALID ENCODING" else ""
        raise InputError(f"{path}: line {line}: {first_line(message)}{hint}")
    if settings.truncated_last_line == "error":
        raise InputError(
            f"{path}: the last line, {line}, is truncated; set prepare.csv.truncated_last_line to drop to skip it"
        )
    what = f"{path.name}: the last line, {line}, is truncated and was dropped"
    left_out.add(what, 1, hint="prepare.csv.truncated_last_line")


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
