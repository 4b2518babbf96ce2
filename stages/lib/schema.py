"""What a model needs to know of the rows it was trained on, to have others prepared the same way."""

from pathlib import Path
from typing import Literal

import pyarrow as pa

from stages.lib.files import InputError, write_json
from stages.lib.params import Clicks, Csv, Keys, Prepare, Section

Kind = Literal["number", "date", "category"]

METADATA = b"schema"


class Schema(Section):
    """How the rows were read, and the kind of each feature, in the features' order.

    It travels in the metadata of the parquet files, from prepare to the model.
    """

    kind: Literal["clicks", "sessions"]
    missing: list[str]
    dates: list[str]
    keys: Keys
    csv: Csv
    clicks: Clicks
    features: dict[str, Kind]

    @classmethod
    def of(cls, settings: Prepare, features: dict[str, Kind]) -> "Schema":
        kept = settings.model_dump(include=set(cls.model_fields) - {"features"})
        return cls(features=features, **kept)

    def mark(self, table: pa.Schema) -> pa.Schema:
        """`table` with this schema in its metadata."""
        return table.with_metadata({METADATA: self.model_dump_json()})

    @classmethod
    def read(cls, table: pa.Schema) -> "Schema":
        """The schema that `mark` has put there."""
        if METADATA not in (table.metadata or {}):
            raise InputError(
                "the sessions say nothing of how they were prepared; the prepare stage writes that, run it again"
            )
        return cls.model_validate_json(table.metadata[METADATA])

    def save(self, path: Path) -> None:
        write_json(path, self.model_dump())

    @classmethod
    def load(cls, path: Path) -> "Schema":
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected the folder of a model that a training stage has saved")
        return cls.model_validate_json(path.read_bytes())
