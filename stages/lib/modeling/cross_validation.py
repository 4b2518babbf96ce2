"""Cross-validation on the training set: out-of-fold predictions, which models trained on the other folds make."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from stages.lib.common.model_params import Encoding
from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.sessions import Sessions, write_sessions
from stages.lib.modeling.calibration import log_odds
from stages.lib.modeling.encoder import Encoder, fit_to_train
from stages.lib.modeling.roc_auc import roc_auc
from stages.lib.modeling.target_encoding import InnerFolds

Fold = tuple[np.ndarray, np.ndarray]  # the positions of its training rows, and of its validation rows


class Predictor(Protocol):
    """A fitted model."""

    def predict(self, features: Frame) -> np.ndarray:
        """Probabilities of a purchase, float32 of shape (rows,)."""


class Fit(Protocol):
    """How to fit a model."""

    def __call__(
        self, sessions: Sessions, encoder: Encoder, *, extra_seed: int = 0, verbose: bool = False
    ) -> Predictor:
        """Fit a model on all `sessions`: they and `encoder` are what `fit_to_train` returns.

        An `extra_seed` above 0 gives the model that another random seed gives; `verbose` prints progress.
        """


Inspect = Callable[[Predictor, Sessions], pd.Series]


@dataclass(frozen=True)
class ValidatedFold:
    """Targets and probabilities of a fold's validation rows, both of shape (rows,)."""

    targets: np.ndarray
    probabilities: np.ndarray

    @property
    def log_loss(self) -> float:
        z = log_odds(self.probabilities)
        return float(np.mean(np.logaddexp(0, z) - self.targets * z))


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for the rows that were validated, in the order of the training set.

    Attributes:
        positions: of the rows in the training set, (rows,).
        folds: the number of the fold that each row was validated in, from 0, (rows,).
        targets: (rows,), 0 or 1.
        probabilities: (rows,), not calibrated.
    """

    positions: np.ndarray
    folds: np.ndarray
    targets: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def of(cls, folds: Sequence[Fold], validated: Sequence[ValidatedFold]) -> Self:
        """Of all folds, each with its AUC printed; none give no rows."""
        for number, fold in enumerate(validated, start=1):
            print(f"fold {number}/{len(folds)}  AUC {roc_auc(fold.targets, fold.probabilities):.4f}", flush=True)
        positions = np.concatenate([np.empty(0, int), *[val_idx for _, val_idx in folds]])
        order = np.argsort(positions)
        return cls(
            positions[order],
            np.repeat(np.arange(len(folds)), [len(val_idx) for _, val_idx in folds])[order],
            np.concatenate([np.empty(0, int), *[fold.targets for fold in validated]])[order],
            np.concatenate([np.empty(0, np.float32), *[fold.probabilities for fold in validated]])[order],
        )

    def write(self, path: Path, train: Sessions) -> None:
        """Write the keys of these rows of the training set, and fold, target and probability."""
        keys = train.select("key", "view").take(self.positions).to_arrow()  # a table without columns has no rows either
        fields, arrays = [*keys.schema], [*keys.columns]
        columns = {"fold": self.folds, "target": self.targets, "probability": self.probabilities}
        for name, values in columns.items():
            arrays.append(pa.array(values))
            fields.append(pa.field(f"_{name}", arrays[-1].type, metadata={"role": name}))
        table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=keys.schema.metadata))
        write_sessions(path, Sessions(table))

    @classmethod
    def of_sessions(cls, rows: Sessions) -> Self:
        """What `write` has written; the positions are those in the file."""
        columns = [rows.column(name).to_numpy() for name in ("fold", "target", "probability")]
        return cls(np.arange(len(rows)), *columns)


def fit_fold(
    fit: Fit,
    sessions: Sessions,
    fold: Fold,
    encoding: Encoding | Encoder,
    inner_folds: InnerFolds,
    *,
    extra_seed: int = 0,
    soft_targets: np.ndarray | None = None,
) -> tuple[Predictor, ValidatedFold]:
    """Fit a model on the training rows of a fold, and predict its validation rows.

    Args:
        fit: how to fit the model.
        sessions: the training set.
        fold: train_idx and val_idx.
        encoding: settings of the encoder, which is fitted on the fold's training rows; or the encoder, of which only
            what takes targets is.
        inner_folds: of the fold's training rows, see `fit_to_train`.
        extra_seed: see `Fit`.
        soft_targets: of the fold's training rows, to learn instead of their targets.

    Raises:
        InputError: training fails.
    """
    train, val = map(sessions.take, fold)
    if soft_targets is not None:
        train = train.with_soft_targets(soft_targets)
    encoder, encoded_train = fit_to_train(train, encoding, inner_folds)
    model = fit(encoded_train, encoder, extra_seed=extra_seed)
    return model, ValidatedFold(val.column("target").to_numpy(), model.predict(val.features))
