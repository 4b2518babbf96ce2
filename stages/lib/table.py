"""A table of sessions in a parquet file, where each column has a role: key, feature or target."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.files import InputError, replacing
from stages.lib.stored import Frame, StoredFrame, StoredTable, regrouped

ROLES = ("key", "visitor", "time", "feature", "target")
ROW_GROUP = 2**16
IN_MEMORY = 2**26  # values of a file that is read as a whole: half a GiB of numbers


@dataclass(frozen=True)
class Sessions:
    """Rows of sessions: `table`, in memory or in its file, and, for each of its columns, the role."""

    table: pa.Table | StoredTable

    def names(self, *roles: str) -> list[str]:
        return [field.name for field in self.table.schema if role_of(field) in roles]

    def frame(self, *roles: str) -> Frame:
        """The columns of these roles; of a table in its file they are read where they are asked for."""
        chosen = self.table.select(self.names(*roles))
        return StoredFrame(chosen) if isinstance(chosen, StoredTable) else chosen.to_pandas()

    @property
    def features(self) -> Frame:
        return self.frame("feature")

    @property
    def whole(self) -> pa.Table:
        """The table, in memory."""
        return self.table.read() if isinstance(self.table, StoredTable) else self.table

    @property
    def keys(self) -> pa.Table:
        return self.only("key", "visitor", "time").whole

    def column(self, role: str) -> pd.Series:
        """The one column of this role: the target (0/1), the visitor or the time."""
        names = self.names(role)
        if not names:
            raise InputError(f"the sessions have no {role}; prepare.keys.{role} names its column")
        return self.table[names[0]].to_pandas()

    def take(self, rows: np.ndarray) -> "Sessions":
        """Rows of these numbers, ascending."""
        return Sessions(self.table.take(pa.array(rows)))

    def only(self, *roles: str) -> "Sessions":
        return Sessions(self.table.select(self.names(*roles)))

    def __len__(self) -> int:
        return self.table.num_rows


def role_of(field: pa.Field) -> str:
    return field.metadata[b"role"].decode()


def with_roles(schema: pa.Schema, roles: dict[str, str]) -> pa.Schema:
    """`schema` with each column's role as its metadata; columns that `roles` does not name are features."""
    return pa.schema(
        [pa.field(field.name, field.type, metadata={"role": roles.get(field.name, "feature")}) for field in schema]
    )


def read(path: Path) -> Sessions:
    """The sessions that `write` wrote, in memory if they are at most IN_MEMORY values.

    InputError if there is no such file or it holds something else.
    """
    try:
        # Not read_table, which makes columns of folders on the way called name=value.
        with pq.ParquetFile(path) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
            rows = file.read() if count * len(schema) <= IN_MEMORY else StoredTable(path, schema, np.arange(count))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the stage before writes it") from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a whole parquet file: {error}") from None
    if any(b"role" not in (field.metadata or {}) for field in rows.schema):
        raise InputError(f"{path}: not a table of sessions with roles, as the stage before writes it")
    return Sessions(rows)


def write(path: Path, sessions: Sessions) -> None:
    write_batches(path, sessions.table.schema, sessions.table.to_batches())


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write rows as they come; returns their number.

    Batches are cut anew into row groups of one size, so the bytes do not depend on how the rows were batched.
    """
    rows = 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for group in regrouped(batches, schema, ROW_GROUP):
            rows += group.num_rows
            writer.write_table(group, row_group_size=ROW_GROUP)
    return rows
