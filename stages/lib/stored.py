"""Rows of a parquet file that are read where they are asked for, by a column or by a part: no table in memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.files import InputError

PART = 2**16  # rows in memory at a time


class StoredTable:
    """What of a `pyarrow.Table` is used here, for some columns and rows of a file."""

    def __init__(self, path: Path, schema: pa.Schema, rows: np.ndarray) -> None:
        """`rows` are their numbers in the file, ascending."""
        self.path, self.schema, self.rows = path, schema, rows
        self.num_rows, self.num_columns = len(rows), len(schema)

    def select(self, names: list[str]) -> "StoredTable":
        fields = [self.schema.field(name) for name in names]
        return StoredTable(self.path, pa.schema(fields, self.schema.metadata), self.rows)

    def take(self, places: pa.Array) -> "StoredTable":
        """Rows of these places, ascending."""
        return StoredTable(self.path, self.schema, self.rows[places.to_numpy()])

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        return self.select([name]).read()[name]

    def read(self) -> pa.Table:
        """All of them, in memory."""
        return pa.Table.from_batches(self.to_batches(), self.schema)

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        try:
            with pq.ParquetFile(self.path) as file:
                first = 0
                for group in range(file.num_row_groups):
                    last = first + file.metadata.row_group(group).num_rows
                    start, stop = np.searchsorted(self.rows, (first, last))
                    if start < stop:
                        read = file.read_row_group(group, self.schema.names).select(self.schema.names)
                        if stop - start < last - first:
                            read = read.take(pa.array(self.rows[start:stop] - first))
                        yield from read.cast(self.schema).to_batches()
                    first = last
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{self.path}: not a whole parquet file: {error}") from None


class StoredFrame:
    """What of a `pandas.DataFrame` is used here, for a StoredTable: `parts` of it are frames."""

    def __init__(self, table: StoredTable) -> None:
        self.table = table

    def __len__(self) -> int:
        return self.table.num_rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.table.schema.names)

    def __getitem__(self, name: str) -> pd.Series:
        return self.table[name].to_pandas()

    def items(self) -> Iterator[tuple[str, pd.Series]]:
        return ((name, self[name]) for name in self)


Frame = pd.DataFrame | StoredFrame


def parts(frame: Frame) -> Iterator[pd.DataFrame]:
    """The frame's rows, PART of them at a time; of no rows one part."""
    if isinstance(frame, StoredFrame):
        tables = regrouped(frame.table.to_batches(), frame.table.schema, PART)
        return (table.to_pandas() for table in tables)
    return (frame.iloc[start : start + PART] for start in range(0, max(len(frame), 1), PART))


def regrouped(batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int) -> Iterator[pa.Table]:
    """The batches cut anew, into tables of so many rows and one of the rest; of no rows one table."""
    held, any_yet = pa.Table.from_batches([], schema), False
    for batch in batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch]).cast(schema)])
        while held.num_rows >= rows:
            yield held.slice(0, rows).combine_chunks()
            held, any_yet = held.slice(rows), True
    if held.num_rows or not any_yet:
        yield held.combine_chunks()
