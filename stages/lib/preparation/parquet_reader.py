"""Parquet files as one Ibis table on DuckDB, though they may differ in the order and the width of their columns."""

from glob import escape  # for DuckDB, a path is a pattern
from itertools import groupby
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.expr.types import Table

from stages.lib.common.errors import InputError, file_errors
from stages.lib.dataset.left_out import LeftOut
from stages.lib.preparation.csv_text import check_unique
from stages.lib.preparation.parts import UsedColumns, common_columns
from stages.lib.preparation.values import restore_types


def read_parquet(connection: ibis.BaseBackend, paths: list[Path], used: UsedColumns, left_out: LeftOut) -> Table:
    """Read the rows of all files, in the order of the paths.

    A column may be an integer or float of different widths, a time of different units, or null in some of the files;
    it gets the type that holds all their values.

    Args:
        connection: to DuckDB.
        paths: of the files; the columns are those of the first.
        used: the columns that all files must have.
        left_out: gets the columns that only some files have.

    Raises:
        InputError: a file is broken, or the files differ in another way.
    """
    schemas = {}
    for path in paths:
        with file_errors(path, "a complete parquet file", errors=(pa.ArrowException,)):
            schemas[path] = pq.read_schema(path)
        check_unique(path, schemas[path].names)
    # Neighbors with the same columns are read together: a folder may have thousands of files. The metadata, such as
    # pandas', makes no difference.
    runs = [[*group] for _, group in groupby(paths, lambda path: schemas[path].remove_metadata())]
    if len(runs) == 1:
        return _read(connection, paths, schemas[paths[0]])
    names = common_columns({path: schema.names for path, schema in schemas.items()}, used, left_out)
    types = {name: _common_type(name, schemas, used) for name in names}
    tables = [_read(connection, run, schemas[run[0]]) for run in runs]
    selected = [
        table.select(**{name: _column(table, name, schemas[run[0]], type_) for name, type_ in types.items()})
        for run, table in zip(runs, tables, strict=True)
    ]
    return ibis.union(*selected)


def _read(connection: ibis.BaseBackend, paths: list[Path], schema: pa.Schema) -> Table:
    # Without hive_partitioning=False, a folder in the path that is called year=2020 would become a column.
    table = connection.read_parquet([escape(str(path)) for path in paths], hive_partitioning=False)
    return restore_types(table, schema, paths[0])


def _common_type(name: str, schemas: dict[Path, pa.Schema], used: UsedColumns) -> pa.DataType:
    """The type that holds the values of a column in all files; a text if they differ, but the column is not used."""
    common, first = pa.field(name, pa.null()), None
    for path, schema in schemas.items():
        if name in schema.names:
            field = pa.field(name, _plain(schema.field(name).type))
            try:
                common = pa.unify_schemas(
                    [pa.schema([common]), pa.schema([field])], promote_options="permissive"
                ).field(name)
            except pa.ArrowException:
                if name not in used:
                    return pa.string()
                raise InputError(
                    f"{path}: column '{name}' is {field.type}, but {common.type} in {first}{used.hint.format(name)}"
                ) from None
            first = first or (None if pa.types.is_null(field.type) else path)
    return common.type


def _plain(type_: pa.DataType) -> pa.DataType:
    """The type without how its values are stored."""
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_duration(type_):
        return pa.float64()  # seconds, by restore_types
    is_text = pa.types.is_large_string(type_) or pa.types.is_string_view(type_)
    return pa.string() if is_text else type_


def _column(table: Table, name: str, schema: pa.Schema, type_: pa.DataType) -> ibis.expr.types.Value:
    target = ibis.dtype(type_)
    if name not in schema.names or pa.types.is_null(schema.field(name).type):
        return ibis.null(target)
    return table[name].cast(target)
