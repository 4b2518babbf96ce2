"""How models are made, as params.yaml says it: networks, candidates of them, and boosted trees."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stages.lib.common.param_types import Bins, Count, CountOrZero, FractionOrZero, NotNegative, Positive
from stages.lib.common.params_file import describe


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Encoding(Section):
    scaling: Literal["standard", "quantile"]
    bins: Bins
    max_categories: Annotated[int, Field(ge=2)]
    min_frequency: FractionOrZero


class Network(Section):
    layers: Annotated[list[Count], Field(min_length=1)]
    activation: str
    l2: NotNegative
    dropout: FractionOrZero
    initializer: str
    ensemble_size: Count


class Training(Section):
    optimizer: str
    learning_rate: Positive
    schedule: Literal["constant", "cosine"]
    weight_decay: NotNegative
    batch_size: Count
    epochs: Count
    patience: CountOrZero
    class_weight: Literal["none", "balanced"]


class ModelConfig(Section):
    """How a network is made: features to inputs, inputs to a probability, and the training."""

    own_keys: ClassVar[list[str]] = []  # what a point may change that is in no section

    encoding: Encoding
    network: Network
    training: Training
    validation_split: FractionOrZero

    @model_validator(mode="after")
    def _stopping_needs_validation(self) -> Self:
        if self.training.patience and not self.validation_split:
            raise ValueError("training.patience needs a validation_split above 0")
        return self

    def with_point(self, point: dict[str, Any]) -> "ModelConfig":
        """This configuration with the values of a grid point, each checked against its type.

        Raises:
            ValueError: a key is none of encoding, network and training, or a value does not fit.
        """
        sections = {name: getattr(self, name).model_dump() for name in ("encoding", "network", "training")}
        for name, value in point.items():
            section = next((section for section in sections.values() if name in section), None)
            if section is None:
                known = ", ".join([*(key for section in sections.values() for key in section), *self.own_keys])
                raise ValueError(f"{name}: unknown key; known are {known}")
            section[name] = value
        return ModelConfig.model_validate(self.model_dump(include={*ModelConfig.model_fields}) | sections)


class Trees(Section):
    learning_rate: Positive
    max_iter: Count
    max_leaf_nodes: Annotated[int, Field(ge=2)]
    l2_regularization: NotNegative
    max_features: Annotated[float, Field(gt=0, le=1)]


class DistilledConfig(ModelConfig):
    """A network that learns from boosted trees as well.

    Attributes:
        distillation: the weight of the trees' probabilities in what it learns to predict; the targets have the rest.
    """

    own_keys: ClassVar[list[str]] = ["distillation"]

    distillation: Annotated[float, Field(ge=0, le=1)]

    def with_point(self, point: dict[str, Any]) -> "DistilledConfig":
        """As for other configurations; distillation may be changed too."""
        own = {name: point.get(name, getattr(self, name)) for name in self.own_keys}
        changed = super().with_point({name: value for name, value in point.items() if name not in own})
        return DistilledConfig.model_validate(changed.model_dump() | own)

    @property
    def without_distillation(self) -> ModelConfig:
        return ModelConfig.model_validate(self.model_dump(include={*ModelConfig.model_fields}))


class StrongConfig(DistilledConfig):
    """A configuration with changes of it to choose from, and the boosted trees that it learns from."""

    teacher: Trees
    candidates: Annotated[list[dict[str, Any]], Field(min_length=1)]

    @model_validator(mode="after")
    def _candidates_fit(self) -> Self:
        for number, point in enumerate(self.candidates, start=1):
            if "ensemble_size" in point:
                raise ValueError(f"candidates: ensemble_size in number {number}: all candidates have the same one")
            if point in self.candidates[: number - 1]:
                raise ValueError(f"candidates: number {number} is listed twice")
            try:
                self.with_point(point)
            except ValidationError as error:
                raise ValueError(f"candidates: number {number}: {describe(error.errors()[0])}") from None
            except ValueError as error:
                raise ValueError(f"candidates: number {number}: {error}") from None
        return self
