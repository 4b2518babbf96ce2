"""params.yaml as typed, checked, immutable sections: `params = Params.load()`, then attributes."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from stages.lib.common.errors import InputError
from stages.lib.common.model_params import ModelConfig, Section, StrongConfig, Trees
from stages.lib.common.param_types import (
    ColumnName,
    Columns,
    Count,
    CountOrZero,
    DateFormat,
    Day,
    Delimiter,
    EngineUrl,
    Folds,
    Fraction,
    GridBackend,
    Memory,
    NotNegative,
    Positive,
    Seed,
    TextEncoding,
    Thousands,
    Unit,
    Views,
)
from stages.lib.common.params_file import describe, most_telling, read_params_file

PARAMS = Path("params.yaml")


class Runtime(Section):
    """Where and with how much memory stages run; no result depends on it."""

    engine: EngineUrl
    memory_limit: Memory
    memo: str
    backend: GridBackend


class Simulate(Section):
    sessions: Count
    purchases: Count
    start: Day
    days: Count
    daily: bool
    signal: NotNegative

    @model_validator(mode="after")
    def _fewer_purchases_than_sessions(self) -> Self:
        if self.purchases >= self.sessions:
            raise ValueError("purchases must be fewer than sessions")
        return self


class Csv(Section):
    delimiter: Delimiter
    encoding: TextEncoding
    names: Annotated[list[ColumnName], Field(min_length=1)] | None
    skip_rows: CountOrZero
    truncated_last_line: Literal["error", "drop"]


class Clicks(Section):
    days: str | None
    score_at_views: Views
    sample_weight: Literal["session", "row"]
    session_ids: Literal["global", "per_visitor"]
    session_gap: Positive
    missing_session: Literal["error", "drop"]
    duplicates: Literal["drop", "keep"]
    max_events_per_session: Count | None
    columns: dict[str, str | None]
    events: dict[str, list[str]]
    page_types: dict[str, list[str]]


class Keys(Section):
    session: str | None
    visitor: str | None
    time: str | None


class Prepare(Section):
    source: str
    strict: bool
    source_type: Literal["clicks", "sessions"]
    target: str
    positive_class: str | int | float | bool | None
    drop: list[str]
    categories: list[str]
    numeric: list[str]
    dates: list[str]
    date_format: DateFormat
    decimal: Literal[".", ","]
    thousands: Thousands
    units: list[Unit]
    na_values: list[str]
    keys: Keys
    csv: Csv
    clicks: Clicks

    @model_validator(mode="after")
    def _separators_differ(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError("thousands must be another character than decimal")
        return self


class Split(Section):
    days: Count | None
    strategy: Literal["stratified", "grouped", "temporal"]
    test_size: Fraction
    leakage_auc: Fraction


class Validation(Section):
    folds: Folds
    calibration: Literal["none", "sigmoid", "isotonic"]
    extra_seeds: CountOrZero

    @model_validator(mode="after")
    def _calibration_needs_folds(self) -> Self:
        if self.calibration != "none" and not self.folds:
            raise ValueError("calibration needs folds")
        return self


class Costs(Section):
    """What decisions cost, in any currency.

    Attributes:
        contact: of contacting a session, whether it buys or not.
        missed_purchase: of not contacting a session that ends in a purchase: what contacting it would have brought.
    """

    contact: Positive
    missed_purchase: Positive

    @model_validator(mode="after")
    def _contacts_can_pay(self) -> Self:
        if self.contact >= self.missed_purchase:
            raise ValueError("contact must cost less than missed_purchase: otherwise no contact pays")
        return self


class DecisionParams(Section):
    costs: Costs | None


class GridSearch(Section):
    base: Literal["train_base", "train_strong"]
    grid: Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]
    n_points: Count | None
    folds: Folds
    halving_factor: Annotated[int, Field(ge=2)] | None
    validation_split: Fraction

    @model_validator(mode="after")
    def _halving_needs_folds(self) -> Self:
        if self.halving_factor and not self.folds:
            raise ValueError("halving_factor needs folds")
        return self


class SmoteTrain(Section):
    seed: Seed
    variant: Literal["smote", "smotenc", "borderline", "adasyn", "none"]
    sampling_strategy: Annotated[float, Field(gt=0, le=1)]
    k_neighbors: Count


class Logistic(Section):
    C: Positive


class TrainReference(Section):
    logistic: Logistic
    trees: Trees


class Evaluate(Section):
    slices: Columns


class Params(Section):
    """All of params.yaml."""

    seed: Seed
    runtime: Runtime
    simulate: Simulate
    prepare: Prepare
    split: Split
    validation: Validation
    decision: DecisionParams
    train_base: ModelConfig
    grid_search: GridSearch
    smote_train: SmoteTrain
    train_strong: StrongConfig
    train_reference: TrainReference
    evaluate: Evaluate

    @classmethod
    def load(cls, path: Path = PARAMS) -> Self:
        """Read and check the whole file, so that a mistake in any section shows before the first stage runs.

        Raises:
            InputError: one line that names the first unknown, missing, renamed, wrongly typed or out-of-range key.
        """
        document = read_params_file(path)
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise InputError(f"{path}: {most_telling(error.errors())}") from None

    @property
    def grid_base(self) -> ModelConfig:
        """The configuration that the grid varies; its networks learn from targets only."""
        bases = {"train_base": self.train_base, "train_strong": self.train_strong.without_distillation}
        return bases[self.grid_search.base]

    @model_validator(mode="after")
    def _grid_fits(self) -> Self:
        for name, values in self.grid_search.grid.items():
            if name == "ensemble_size":
                raise ValueError(
                    "grid_search.grid.ensemble_size: the grid compares single networks; set "
                    f"{self.grid_search.base}.network.ensemble_size, which the best point is trained with"
                )
            for position, value in enumerate(values):
                if value in values[:position]:
                    raise ValueError(f"grid_search.grid.{name}: {value!r} is listed twice")
                try:
                    self.grid_base.with_point({name: value})
                except ValidationError as error:
                    raise ValueError(f"grid_search.grid: {describe(error.errors()[0])}") from None
                except ValueError as error:
                    raise ValueError(f"grid_search.grid.{error}") from None
        return self
