"""A blend: the weighted mean of several models' log-odds.

The weights are not negative and add up to 1, as in Breiman (1996), Stacked regressions, Machine Learning 24; they
minimize the log loss of the blended out-of-fold predictions.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, Self

import numpy as np
from pydantic import Field, StringConstraints, model_validator
from scipy.optimize import minimize
from scipy.special import expit

from stages.lib.common.checksums import write_checksums
from stages.lib.common.errors import file_errors
from stages.lib.common.files import atomic_write, write_json
from stages.lib.common.model_params import Section
from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.schema import Schema
from stages.lib.modeling.calibration import MAX_LOG_ODDS, log_odds
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import Encoder

FILE = "blend.json"
# Without a slash or a dot: models are loaded from folders of these names, and a path could lead out of the blend's.
FolderName = Annotated[str, StringConstraints(pattern=r"^\w+$")]


class SavedModel(Protocol):
    """A model that was loaded from its folder, and the encoder that its features go through."""

    @property
    def encoder(self) -> Encoder: ...

    def predict(self, features: Frame) -> np.ndarray:
        """Probabilities of a purchase, not calibrated, float32 of shape (rows,)."""


class Weights(Section):
    """Of each model in a blend, by its name."""

    weights: dict[FolderName, Annotated[float, Field(ge=0, le=1)]]

    @model_validator(mode="after")
    def _sum_is_1(self) -> Self:
        if not np.isclose(sum(self.weights.values()), 1):
            raise ValueError("the weights do not add up to 1")
        return self

    @classmethod
    def fit(cls, probabilities: Mapping[str, np.ndarray], targets: np.ndarray) -> Self:
        """Minimize the log loss.

        Args:
            probabilities: of each model, calibrated, (rows,); without rows, all weights are equal.
            targets: (rows,), 0 or 1, of rows that the models were not trained on.
        """
        n_models = len(probabilities)
        equal = np.full(n_models, 1 / n_models)
        if not len(targets) or n_models == 1:
            return cls(weights=dict(zip(probabilities, equal.tolist(), strict=True)))
        inputs = np.column_stack([_clipped_log_odds(values) for values in probabilities.values()])

        def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
            blended = inputs @ weights
            gradient = inputs.T @ (expit(blended) - targets) / len(targets)
            return float(np.mean(np.logaddexp(0, blended) - targets * blended)), gradient

        total = {"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like}
        found = minimize(
            loss,
            equal,
            jac=True,
            bounds=[(0, 1)] * n_models,
            constraints=total,
            method="SLSQP",
            options={"ftol": 1e-10},
        )
        rounded = np.round(found.x, 3)
        rounded[rounded.argmax()] += 1 - rounded.sum()
        return cls(weights=dict(zip(probabilities, np.round(rounded, 3).tolist(), strict=True)))

    def apply(self, probabilities: Mapping[str, np.ndarray]) -> np.ndarray:
        """The blended probabilities, float32 of shape (rows,)."""
        # Not a matrix product, whose last digits depend on the number of rows
        used = {name: weight for name, weight in self.weights.items() if weight}
        blended = sum(weight * _clipped_log_odds(probabilities[name]) for name, weight in used.items())
        return expit(blended).astype(np.float32)


def _clipped_log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Without the clipping, a probability of 0 or 1, as isotonic calibration makes them, would outweigh all others."""
    return np.clip(log_odds(probabilities), -MAX_LOG_ODDS, MAX_LOG_ODDS)


@dataclass(frozen=True)
class Blend:
    """Models, each with its own calibration, and their weights."""

    weights: Weights
    models: Mapping[str, SavedModel]
    decisions: Mapping[str, Decision]

    @property
    def encoder(self) -> Encoder:
        """That of the first model: all were fitted on the same columns."""
        return next(iter(self.models.values())).encoder

    def predict(self, features: Frame) -> np.ndarray:
        """Probabilities of a purchase, float32 of shape (rows,)."""
        return self.weights.apply({
            name: self.decisions[name].calibration.apply(model.predict(features)) for name, model in self.models.items()
        })  # fmt: skip


def save_blend(folder: Path, weights: Weights, parts: Sequence[Path], decision: Decision, schema: Schema) -> None:
    """Write blend.json, decision.json, schema.json, the folder of each model that has a weight, and checksums."""
    with atomic_write(folder) as temporary:
        temporary.mkdir()
        write_json(temporary / FILE, weights.model_dump())
        decision.save(temporary / "decision.json")
        schema.save(temporary / "schema.json")
        for part in parts:
            if weights.weights[part.name]:
                shutil.copytree(part, temporary / part.name)
        write_checksums(temporary)


def load_model(folder: Path) -> SavedModel:
    """The network, the trees or the blend that was saved in the folder.

    Raises:
        InputError: a file is missing or broken.
    """
    if (folder / FILE).exists():
        with file_errors(folder / FILE, "the weights of a blend", "expected the folder of a trained model"):
            weights = Weights.model_validate_json((folder / FILE).read_bytes())
        folders = {name: folder / name for name, weight in weights.weights.items() if weight}
        decisions = {name: Decision.load(part / "decision.json") for name, part in folders.items()}
        return Blend(weights, {name: load_model(part) for name, part in folders.items()}, decisions)
    # Imported here: TensorFlow takes seconds, and scikit-learn one.
    if (folder / "trees.npz").exists():
        from stages.lib.modeling.boosted_trees import BoostedTrees

        return BoostedTrees.load(folder)
    from stages.lib.modeling.model import Model

    return Model.load(folder)
