"""Rows of parquet files that are read on demand, by column or by chunk, so that the table need not fit in memory."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.common.errors import file_errors

CHUNK_ROWS = 2**16  # rows in memory at a time


class ParquetTable:
    """Some columns and rows of parquet files, with the part of `pyarrow.Table`'s interface that is needed here."""

    def __init__(
        self, paths: Sequence[Path], schema: pa.Schema, rows: np.ndarray, in_memory: pa.Table | None = None
    ) -> None:
        """Args:
        paths: of files with the same columns.
        schema: of the table.
        rows: row numbers in the files, one after the other, ascending.
        in_memory: the columns of the schema that are not in the files, with these rows.
        """
        self.paths, self.schema, self.rows = paths, schema, rows
        self.in_memory = pa.table({}) if in_memory is None else in_memory
        self.num_rows, self.num_columns = len(rows), len(schema)

    def select(self, names: list[str]) -> "ParquetTable":
        """The same rows of these columns."""
        schema = pa.schema([self.schema.field(name) for name in names], self.schema.metadata)
        in_memory = self.in_memory.select([name for name in self.in_memory.column_names if name in names])
        return ParquetTable(self.paths, schema, self.rows, in_memory)

    def take(self, idx: pa.Array) -> "ParquetTable":
        """The rows at these positions, which ascend."""
        in_memory = self.in_memory.take(idx) if self.in_memory.num_columns else None
        return ParquetTable(self.paths, self.schema, self.rows[idx.to_numpy()], in_memory)

    def append_column(self, field: pa.Field, column: pa.Array) -> "ParquetTable":
        """The table with another column, which is kept in memory."""
        columns = {name: self.in_memory[name] for name in self.in_memory.column_names} | {field.name: column}
        return ParquetTable(self.paths, self.schema.append(field), self.rows, pa.table(columns))

    def replace_schema_metadata(self, metadata: dict[bytes, bytes]) -> "ParquetTable":
        """The same rows with other metadata."""
        return ParquetTable(self.paths, self.schema.with_metadata(metadata), self.rows, self.in_memory)

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        return self.select([name]).read()[name]

    def read(self) -> pa.Table:
        """The whole table, in memory."""
        return pa.Table.from_batches(self.to_batches(), self.schema)

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in order, a row group of a file in memory at a time."""
        first = 0
        in_file = [name for name in self.schema.names if name not in self.in_memory.column_names]
        for path in self.paths:
            with (
                file_errors(path, "a complete parquet file", errors=(pa.ArrowException,)),
                pq.ParquetFile(path) as file,
            ):
                for group in range(file.num_row_groups):
                    last = first + file.metadata.row_group(group).num_rows
                    start, stop = np.searchsorted(self.rows, (first, last))
                    if start < stop:
                        table = self.in_memory.slice(start, stop - start)
                        if in_file:
                            read = file.read_row_group(group, in_file)
                            if stop - start < last - first:
                                read = read.take(pa.array(self.rows[start:stop] - first))
                            for name in table.column_names:
                                read = read.append_column(name, table[name])
                            table = read
                        yield from table.select(self.schema.names).cast(self.schema).to_batches()
                    first = last


class ParquetFrame:
    """The part of `pandas.DataFrame`'s interface that is needed here, for a ParquetTable."""

    def __init__(self, table: ParquetTable) -> None:
        self.table = table

    def __len__(self) -> int:
        return self.table.num_rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.table.schema.names)

    def __getitem__(self, name: str) -> pd.Series:
        return self.table[name].to_pandas()

    def items(self) -> Iterator[tuple[str, pd.Series]]:
        return ((name, self[name]) for name in self)


Frame = pd.DataFrame | ParquetFrame


def iter_chunks(frame: Frame) -> Iterator[pd.DataFrame]:
    """The frame's rows, CHUNK_ROWS at a time; an empty frame gives one empty chunk."""
    if isinstance(frame, ParquetFrame):
        tables = rechunk(frame.table.to_batches(), frame.table.schema, CHUNK_ROWS)
        return (table.to_pandas() for table in tables)
    return (frame.iloc[start : start + CHUNK_ROWS] for start in range(0, max(len(frame), 1), CHUNK_ROWS))


def rechunk(batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int) -> Iterator[pa.Table]:
    """The batches as tables of `rows` rows each and one of the rest; no rows give one empty table."""
    pending, is_empty = pa.Table.from_batches([], schema), True
    for batch in batches:
        pending = pa.concat_tables([pending, pa.Table.from_batches([batch]).cast(schema)])
        while pending.num_rows >= rows:
            yield pending.slice(0, rows).combine_chunks()
            pending, is_empty = pending.slice(rows), False
    if pending.num_rows or is_empty:
        yield pending.combine_chunks()
