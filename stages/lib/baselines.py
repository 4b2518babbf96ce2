"""A model that a network has to beat, scikit-learn's logistic regression; the other one is in `boosted_trees`.

Unlike the networks, they need all rows in memory: 8 bytes per value, and what scikit-learn copies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from stages.lib.common.params import Logistic
from stages.lib.common.progress import advance
from stages.lib.dataset.parquet import Frame, iter_chunks
from stages.lib.dataset.sessions import Sessions
from stages.lib.modeling.encoder import Encoder


@dataclass(frozen=True)
class Baseline:
    """A fitted classifier, and how a chunk of features is encoded for it."""

    classifier: Any
    encode: Callable[[pd.DataFrame], np.ndarray]

    def predict(self, features: Frame) -> np.ndarray:
        """Probabilities of a purchase, float32 of shape (rows,)."""
        return self.classifier.predict_proba(_encoded(features, self.encode))[:, 1].astype(np.float32)


def fit_logistic(
    sessions: Sessions, encoder: Encoder, *, settings: Logistic, extra_seed: int = 0, verbose: bool = False
) -> Baseline:
    """Logistic regression on a network's inputs; it draws no random numbers, so `extra_seed` changes nothing."""
    return _fit(LogisticRegression(C=settings.C, solver="newton-cholesky"), sessions, encoder.transform)


def _fit(classifier: Any, sessions: Sessions, encode: Callable[[pd.DataFrame], np.ndarray]) -> Baseline:
    inputs = _encoded(sessions.features, encode)
    classifier.fit(inputs, sessions.column("target").to_numpy(), sample_weight=sessions.weights)
    advance()
    return Baseline(classifier, encode)


def _encoded(features: Frame, encode: Callable[[pd.DataFrame], np.ndarray]) -> np.ndarray:
    return np.concatenate([encode(chunk) for chunk in iter_chunks(features)])
