"""How networks are made, as params.yaml says it: encoding, network, training, and candidates of them."""

from typing import Annotated, Any, Literal, Self

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
                known = ", ".join(key for section in sections.values() for key in section)
                raise ValueError(f"{name}: unknown key; known are {known}")
            section[name] = value
        return ModelConfig.model_validate(self.model_dump(include={*ModelConfig.model_fields}) | sections)


class StrongConfig(ModelConfig):
    """A configuration with changes of it to choose from."""

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
