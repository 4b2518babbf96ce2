"""params.yaml as typed, checked, frozen sections."""

import re
from datetime import date
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.lib.files import InputError

PARAMS = Path("params.yaml")
WHOLE = "the file"
LEAST_MEMORY = 500 * 10**6  # bytes; Python and its libraries take half of it
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Day = Annotated[date, BeforeValidator(lambda day: date.fromisoformat(day) if isinstance(day, str) else day)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _delimiter(value: str) -> str:
    if value != "auto" and len(value) != 1:
        raise ValueError(f"expected auto or one character, got {value!r}")
    return value


def _not_one(folds: int) -> int:
    if folds == 1:
        raise ValueError("expected 2 or more, or 0 for none, got 1")
    return folds


def _backend(value: str) -> str:
    if value != "loky" and not re.fullmatch(r"(tcp|tls)://\S+:\d+", value):
        example = "tcp://127.0.0.1:8786"
        raise ValueError(f"expected loky or the address of a Dask scheduler, such as {example}, got {value!r}")
    return value


def _engine(value: str) -> str:
    if not re.match(r"[a-z]+://", value):
        raise ValueError(f"expected an address as Ibis takes it, such as duckdb:// or pyspark://, got {value!r}")
    return value


def _memory(value: Any) -> Any:
    if value is not None:
        try:
            value = TypeAdapter(ByteSize).validate_python(str(value))  # True is no number
        except ValidationError:
            raise ValueError(f"expected a size such as 1GB, or null, got {value!r}") from None
        if value < LEAST_MEMORY:
            raise ValueError(f"expected at least {LEAST_MEMORY // 10**6}MB, got {value // 10**6}MB")
    return value


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Simulate(Section):
    sessions: Count
    purchases: Count
    start: Day
    days: Count
    signal: NotNegative

    @model_validator(mode="after")
    def _fewer_purchases_than_sessions(self) -> Self:
        if self.purchases >= self.sessions:
            raise ValueError("purchases must be fewer than sessions")
        return self


class Csv(Section):
    delimiter: Annotated[str, AfterValidator(_delimiter)]
    encoding: Literal["utf-8", "utf-16", "latin-1"]
    cut_off: Literal["error", "drop"]


class Clicks(Section):
    page_view: Count
    columns: dict[str, str | None]
    events: dict[str, list[str]]
    page_types: dict[str, list[str]]


class Keys(Section):
    session: str | None
    visitor: str | None
    time: str | None


class Prepare(Section):
    source: str
    engine: Annotated[str, AfterValidator(_engine)]
    memory_limit: Annotated[int | None, BeforeValidator(_memory)]
    kind: Literal["clicks", "sessions"]
    target: str
    positive: str | int | float | bool | None
    drop: list[str]
    categories: list[str]
    numbers: list[str]
    dates: list[str]
    missing: list[str]
    keys: Keys
    csv: Csv
    clicks: Clicks


class Split(Section):
    by: Literal["target", "visitor", "time"]
    test_share: Share
    leak_limit: Share


class Encoding(Section):
    numbers: Literal["standard", "quantile"]
    bins: Annotated[int, Field(ge=0), AfterValidator(_not_one)]
    levels: Annotated[int, Field(ge=2)]
    rare_share: Annotated[float, Field(ge=0, lt=1)]


class Network(Section):
    layers: Annotated[list[Count], Field(min_length=1)]
    activation: str
    l2: NotNegative
    dropout: Annotated[float, Field(ge=0, lt=1)]
    initializer: str
    members: Count


class Training(Section):
    optimizer: str
    learning_rate: Positive
    schedule: Literal["constant", "cosine"]
    weight_decay: NotNegative
    batch_size: Count
    epochs: Count
    patience: Annotated[int, Field(ge=0)]
    class_weights: Literal["none", "balanced"]


class Recipe(Section):
    """How a network is made: from the features to its inputs, from these to a probability, and by what training."""

    encoding: Encoding
    network: Network
    training: Training
    validation_share: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _stopping_needs_validation(self) -> Self:
        if self.training.patience and not self.validation_share:
            raise ValueError("training.patience needs a validation_share above 0")
        return self

    def at(self, point: dict[str, Any]) -> "Recipe":
        """This recipe with the values of a grid's point in place of its own, each of which is checked."""
        sections = {name: getattr(self, name).model_dump() for name in ("encoding", "network", "training")}
        for name, value in point.items():
            section = next((section for section in sections.values() if name in section), None)
            if section is None:
                known = ", ".join(key for section in sections.values() for key in section)
                raise ValueError(f"{name}: unknown key; known are {known}")
            section[name] = value
        return Recipe.model_validate(self.model_dump() | sections)


Folds = Annotated[int, Field(ge=0), AfterValidator(_not_one)]


class Validation(Section):
    folds: Folds
    recalibrate: Literal["none", "sigmoid", "isotonic"]

    @model_validator(mode="after")
    def _recalibration_needs_folds(self) -> Self:
        if self.recalibrate != "none" and not self.folds:
            raise ValueError("recalibrate needs folds")
        return self


class GridSearch(Section):
    backend: Annotated[str, AfterValidator(_backend)]
    recipe: Literal["train_base", "train_strong"]
    folds: Folds
    grid: Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]
    validation_share: Share


class SmoteTrain(Section):
    seed: Seed
    variant: Literal["smote", "smotenc", "borderline", "adasyn", "none"]
    ratio: Annotated[float, Field(gt=0, le=1)]
    neighbours: Count


class Logistic(Section):
    c: Positive


class Trees(Section):
    learning_rate: Positive
    max_iter: Count
    max_leaf_nodes: Annotated[int, Field(ge=2)]


class TrainReference(Section):
    logistic: Logistic
    trees: Trees


class Evaluate(Section):
    repeats: Annotated[int, Field(ge=0)]


class Params(Section):
    seed: Seed
    simulate: Simulate
    prepare: Prepare
    split: Split
    validation: Validation
    train_base: Recipe
    grid_search: GridSearch
    smote_train: SmoteTrain
    train_strong: Recipe
    train_reference: TrainReference
    evaluate: Evaluate

    @model_validator(mode="after")
    def _grid_fits(self) -> Self:
        recipe = getattr(self, self.grid_search.recipe)
        for name, values in self.grid_search.grid.items():
            for place, value in enumerate(values):
                if value in values[:place]:
                    raise ValueError(f"grid_search.grid.{name}: {value!r} stands there twice")
                try:
                    recipe.at({name: value})
                except ValidationError as error:
                    raise ValueError(f"grid_search.grid: {_one_line(error.errors()[0])}") from None
                except ValueError as error:
                    raise ValueError(f"grid_search.grid.{error}") from None
        return self


def load(*sections: str, path: Path = PARAMS) -> list[Any]:
    """The named sections of params.yaml, in the order asked for; a section within one as `train_base.encoding`.

    The whole file is checked, so that a slip in a later stage's section shows before the first stage runs.
    Raises InputError, in one line that names the key, for an unknown, missing, wrongly typed or out-of-range key.
    """
    try:
        # As DVC does, in YAML 1.2: DVC writes 0.00001 as 1e-05, which is text to YAML 1.1.
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path}: not readable: {error}") from None
    except YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        params = Params.model_validate(document)
    except ValidationError as error:
        # An unknown key often stands beside the missing one it was meant to be, and says more.
        errors = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        raise InputError(f"{path}: {_one_line(errors[0])}") from None
    return [attrgetter(section)(params) for section in sections]


def _one_line(error: ErrorDetails) -> str:
    # pydantic adds the name of a union's member to the path
    key = ".".join(str(part) for part in error["loc"] if part not in ("str", "int", "float", "bool")) or WHOLE
    value = error["input"]
    if error["type"] == "missing":
        return f"{key}: missing"
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"]) if key == WHOLE else f"{key}: {error['ctx']['error']}"
    if (error["type"].endswith("_type") and value is None) or error["type"] == "model_type":
        return f"{key}: expected a section of keys or a value, got {value!r}"
    return f"{key}: {error['msg'].replace('Input should be', 'expected')}, got {value!r}"
