"""The session table in a parquet file, in which each column has a role, such as key, feature or target."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.common.errors import InputError, file_errors
from stages.lib.common.files import atomic_write
from stages.lib.dataset.parquet import Frame, ParquetFrame, ParquetTable, rechunk

# A view is the number of the page view that the row is scored at, where sessions have several rows; a weight is that of
# the row in training.
ROLES = ("key", "visitor", "time", "view", "weight", "feature", "target")
ROW_GROUP = 2**16
IN_MEMORY = 2**26  # values, half a GiB of numbers; larger files are read in chunks


@dataclass(frozen=True)
class Sessions:
    """Rows of sessions, in memory or in their file; each field of the table's schema carries its role."""

    table: pa.Table | ParquetTable

    def names(self, *roles: str) -> list[str]:
        """The columns that have one of these roles."""
        return [field.name for field in self.table.schema if role_of(field) in roles]

    def select(self, *roles: str) -> "Sessions":
        """The same rows with the columns of these roles only."""
        return Sessions(self.table.select(self.names(*roles)))

    def take(self, idx: np.ndarray) -> "Sessions":
        """The rows at these positions, which ascend."""
        return Sessions(self.table.take(pa.array(idx)))

    def with_features(self, columns: dict[str, np.ndarray]) -> "Sessions":
        """The same rows with these numbers, each (rows,), as further features, which are in memory."""
        return self._with_columns(columns, "feature")

    def with_soft_targets(self, values: np.ndarray) -> "Sessions":
        """The same rows with what a model should learn to predict in place of the targets, (rows,), from 0 to 1."""
        return self._with_columns({"_soft_target": values.astype(np.float64)}, "soft_target")

    def _with_columns(self, columns: dict[str, np.ndarray], role: str) -> "Sessions":
        table = self.table
        for name, values in columns.items():
            table = table.append_column(pa.field(name, pa.float64(), metadata={"role": role}), pa.array(values))
        return Sessions(table)

    def frame(self, *roles: str) -> Frame:
        """The columns of these roles; those of a table on disk are read on demand."""
        table = self.select(*roles).table
        return ParquetFrame(table) if isinstance(table, ParquetTable) else table.to_pandas()

    @property
    def features(self) -> Frame:
        return self.frame("feature")

    def to_arrow(self) -> pa.Table:
        """The whole table, in memory."""
        return self.table.read() if isinstance(self.table, ParquetTable) else self.table

    @property
    def keys(self) -> pa.Table:
        return self.select("key", "visitor", "time", "view").to_arrow()

    @property
    def n_sessions(self) -> int:
        """How many different sessions there are: as many as rows, unless they are scored at several page views."""
        if not self.names("view"):
            return len(self)
        keys = self.select("key", "visitor").to_arrow()
        return len(keys.group_by(keys.column_names).aggregate([]))

    @property
    def weights(self) -> np.ndarray | None:
        """(rows,), with a mean of 1; None if all rows have the same."""
        if not self.names("weight"):
            return None
        weights = self.column("weight").to_numpy()
        return weights / weights.mean()

    def column(self, role: str) -> pd.Series:
        """The one column with this role, such as the target (0 or 1), the visitor or the time."""
        names = self.names(role)
        if not names:
            raise InputError(f"the sessions have no {role}; prepare.keys.{role} names its column")
        return self.table[names[0]].to_pandas()

    def __len__(self) -> int:
        return self.table.num_rows


def role_of(field: pa.Field) -> str:
    return field.metadata[b"role"].decode()


def with_roles(schema: pa.Schema, roles: dict[str, str]) -> pa.Schema:
    """The schema with each column's role in its metadata; columns that `roles` does not name are features."""
    return pa.schema(
        [pa.field(field.name, field.type, metadata={"role": roles.get(field.name, "feature")}) for field in schema]
    )


def read_sessions(*paths: Path) -> Sessions:
    """The sessions in files of the same columns, read into memory if they have at most IN_MEMORY values.

    Raises:
        InputError: there is no such file, or it is none that `write_sessions` wrote.
    """
    count, tables = 0, []
    for path in paths:
        with (
            file_errors(path, "a complete parquet file", "the stage before writes it", errors=(pa.ArrowException,)),
            # Unlike read_table, ParquetFile makes no columns of folders in the path that are called name=value.
            pq.ParquetFile(path) as file,
        ):
            schema = file.schema_arrow
            if any(b"role" not in (field.metadata or {}) for field in schema):
                raise InputError(f"{path}: not a session table with roles, as the stage before writes it")
            count += file.metadata.num_rows
            if count * len(schema) <= IN_MEMORY:
                tables.append(file.read())
    if len(tables) < len(paths):
        return Sessions(ParquetTable(paths, schema, np.arange(count)))
    return Sessions(pa.concat_tables(tables) if len(tables) > 1 else tables[0])


def write_sessions(path: Path, sessions: Sessions) -> None:
    """Write all rows, atomically."""
    write_batches(path, sessions.table.schema, sessions.table.to_batches())


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write rows as they arrive, atomically; returns how many.

    Batches are cut into row groups of one size, so that the bytes do not depend on how the rows were batched.
    """
    rows = 0
    with atomic_write(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for group in rechunk(batches, schema, ROW_GROUP):
            rows += group.num_rows
            writer.write_table(group, row_group_size=ROW_GROUP)
    return rows
