"""What a model knows of the rows it was trained on, so that new rows can be prepared in the same way."""

from pathlib import Path
from typing import Literal, Self

import pyarrow as pa
from pydantic import ValidationError

from stages.lib.common.errors import InputError, file_errors
from stages.lib.common.files import write_json
from stages.lib.common.model_params import Section
from stages.lib.common.params import Clicks, Csv, Keys, Prepare
from stages.lib.common.params_file import describe

Dtype = Literal["number", "date", "category"]

METADATA = b"schema"


class Schema(Section):
    """How the source was read, and the dtype of each feature, in the features' order.

    It travels in the metadata of the parquet files, from prepare to the model.
    """

    source_type: Literal["clicks", "sessions"]
    target: str
    drop: list[str]
    na_values: list[str]
    date_format: str | None
    decimal: str
    thousands: str | None
    units: list[str]
    dates: list[str]
    keys: Keys
    csv: Csv
    clicks: Clicks
    features: dict[str, Dtype]

    @classmethod
    def of(cls, prepare: Prepare, features: dict[str, Dtype]) -> Self:
        """The schema of rows that were prepared with these settings."""
        settings = prepare.model_dump(include=set(cls.model_fields) - {"features"})
        return cls(features=features, **settings)

    def attach(self, schema: pa.Schema) -> pa.Schema:
        """The Arrow schema with this one in its metadata."""
        return schema.with_metadata({METADATA: self.model_dump_json()})

    @classmethod
    def from_arrow(cls, schema: pa.Schema) -> Self:
        """The schema that `attach` has added."""
        if METADATA not in (schema.metadata or {}):
            raise InputError("the sessions do not say how they were prepared: run the prepare stage again")
        return cls.model_validate_json(schema.metadata[METADATA])

    def with_csv(self, changes: dict[str, str | None]) -> Self:
        """This schema for rows in a csv that is written in another way, but for changes that are None.

        Raises:
            InputError: a change is no possible value.
        """
        try:
            csv = self.csv.model_validate(
                self.csv.model_dump() | {name: value for name, value in changes.items() if value is not None}
            )
        except ValidationError as error:
            raise InputError(f"--{describe(error.errors()[0]).replace('_', '-', 1)}") from None
        return self.model_copy(update={"csv": csv})

    def save(self, path: Path) -> None:
        write_json(path, self.model_dump())

    @classmethod
    def load(cls, path: Path) -> Self:
        with file_errors(path, "the schema of a trained model", "expected the folder of a trained model"):
            return cls.model_validate_json(path.read_bytes())
