"""A table of sessions in a parquet file, where each column has a role: key, feature or target."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.files import InputError, replacing

ROLES = ("key", "visitor", "time", "feature", "target")
ROW_GROUP = 2**17


@dataclass(frozen=True)
class Sessions:
    """Rows of sessions: `table` and, for each of its columns, the role."""

    table: pa.Table

    def names(self, *roles: str) -> list[str]:
        return [field.name for field in self.table.schema if role_of(field) in roles]

    @property
    def features(self) -> pd.DataFrame:
        return self.table.select(self.names("feature")).to_pandas()

    @property
    def keys(self) -> pa.Table:
        return self.table.select(self.names("key", "visitor", "time"))

    def column(self, role: str) -> pd.Series:
        """The one column of this role: the target (0/1), the visitor or the time."""
        names = self.names(role)
        if not names:
            raise InputError(f"the sessions have no {role}; prepare.keys.{role} names its column")
        return self.table[names[0]].to_pandas()

    def take(self, rows: np.ndarray) -> "Sessions":
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
    """The sessions that `write` wrote; InputError if there is no such file or it holds something else."""
    try:
        # Not read_table, which makes columns of folders on the way called name=value.
        with pq.ParquetFile(path) as file:
            rows = file.read()
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
        held: list[pa.RecordBatch] = []
        for batch in batches:
            rows += batch.num_rows
            held.append(batch)
            while sum(part.num_rows for part in held) >= ROW_GROUP:
                table = pa.Table.from_batches(held).cast(schema).combine_chunks()
                writer.write_table(table.slice(0, ROW_GROUP), row_group_size=ROW_GROUP)
                held = table.slice(ROW_GROUP).to_batches()
        if held or not rows:
            writer.write_table(
                pa.Table.from_batches(held, schema=None if held else schema).cast(schema).combine_chunks()
            )
    return rows
