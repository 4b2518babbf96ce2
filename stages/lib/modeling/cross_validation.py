"""Cross-validation on the training set: out-of-fold predictions, which models trained on the other folds make."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pandas as pd

from stages.lib.common.params import Encoding
from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.sessions import Sessions
from stages.lib.modeling.encoder import Encoder, fit_encoder
from stages.lib.modeling.roc_auc import roc_auc


class Predictor(Protocol):
    """A fitted model."""

    def predict(self, features: Frame) -> np.ndarray:
        """Probabilities of a purchase, float32 of shape (rows,)."""


class Fit(Protocol):
    """How to fit a model."""

    def __call__(
        self, sessions: Sessions, encoder: Encoder, *, extra_seed: int = 0, verbose: bool = False
    ) -> Predictor:
        """Fit a model on all `sessions`, whose features `encoder` was fitted on.

        An `extra_seed` above 0 gives the model that another random seed gives; `verbose` prints progress.
        """


Inspect = Callable[[Predictor, Sessions], pd.Series]


@dataclass(frozen=True)
class ValidatedFold:
    """Targets and probabilities of a fold's validation rows, both of shape (rows,), and the result of `inspect`."""

    targets: np.ndarray
    probabilities: np.ndarray
    inspection: pd.Series | None


@dataclass(frozen=True)
class OutOfFold:
    """Targets and probabilities of all validation rows, fold after fold, both of shape (rows,).

    `inspections` has a column per fold: the result of `inspect`.
    """

    targets: np.ndarray
    probabilities: np.ndarray
    inspections: pd.DataFrame

    @classmethod
    def of(cls, folds: Sequence[ValidatedFold]) -> Self:
        """The folds in order, each with its AUC printed; none give no rows."""
        inspected = all(fold.inspection is not None for fold in folds)
        for number, fold in enumerate(folds, start=1):
            print(f"fold {number}/{len(folds)}  AUC {roc_auc(fold.targets, fold.probabilities):.4f}", flush=True)
        return cls(
            np.concatenate([np.empty(0, int), *[fold.targets for fold in folds]]),
            np.concatenate([np.empty(0, np.float32), *[fold.probabilities for fold in folds]]),
            pd.DataFrame({number: fold.inspection for number, fold in enumerate(folds, start=1)} if inspected else {}),
        )


def fit_fold(
    fit: Fit,
    sessions: Sessions,
    fold: tuple[np.ndarray, np.ndarray],
    encoding: Encoding | Encoder,
    *,
    inspect: Inspect | None = None,
    extra_seed: int = 0,
) -> tuple[Predictor, ValidatedFold]:
    """Fit a model on the training rows of a fold, and predict its validation rows.

    Args:
        fit: how to fit the model.
        sessions: the training set.
        fold: train_idx and val_idx.
        encoding: settings of the encoder, which is fitted on the fold's training rows; or the encoder.
        inspect: called with the model and the validation rows.
        extra_seed: see `Fit`.

    Raises:
        InputError: training fails.
    """
    train, val = map(sessions.take, fold)
    encoder = encoding if isinstance(encoding, Encoder) else fit_encoder(train.features, encoding)
    model = fit(train, encoder, extra_seed=extra_seed)
    inspection = inspect(model, val) if inspect else None
    return model, ValidatedFold(val.column("target").to_numpy(), model.predict(val.features), inspection)
