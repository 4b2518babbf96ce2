"""Cross-validation on the training set: out-of-fold predictions, which models trained on the other folds make."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from stages.lib.common.params import Encoding
from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.sessions import Sessions
from stages.lib.dataset.splits import cv_folds
from stages.lib.modeling.encoder import Encoder, fit_encoder


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
class OutOfFold:
    """Targets and probabilities of all validation rows, fold after fold, both of shape (rows,).

    `inspections` has a column per fold: the result of `inspect`.
    """

    targets: np.ndarray
    probabilities: np.ndarray
    inspections: pd.DataFrame


def cross_validate(
    fit: Fit,
    sessions: Sessions,
    encoding: Encoding,
    strategy: str,
    n_folds: int,
    seed: int,
    inspect: Inspect | None = None,
) -> OutOfFold:
    """Fit encoder and model anew for each fold, and predict its validation rows.

    Args:
        fit: how to fit the model.
        sessions: the training set.
        encoding: settings of the encoder.
        strategy: how to make the folds, see `cv_folds`.
        n_folds: their number; 0 for no cross-validation, which gives no rows.
        seed: of the assignment to folds.
        inspect: called with each fold's model and its validation rows.

    Raises:
        InputError: there are too few rows for the folds, or training fails.
    """
    targets, probabilities, inspections = [np.empty(0, int)], [np.empty(0, np.float32)], {}
    folds = cv_folds(sessions, strategy, n_folds, seed) if n_folds else []
    for number, (train_idx, val_idx) in enumerate(folds, start=1):
        train, val = sessions.take(train_idx), sessions.take(val_idx)
        model = fit(train, fit_encoder(train.features, encoding))
        targets.append(val.column("target").to_numpy())
        probabilities.append(model.predict(val.features))
        print(f"fold {number}/{n_folds}  AUC {roc_auc_score(targets[-1], probabilities[-1]):.4f}", flush=True)
        if inspect:
            inspections[number] = inspect(model, val)
    return OutOfFold(np.concatenate(targets), np.concatenate(probabilities), pd.DataFrame(inspections))
