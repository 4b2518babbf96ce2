"""Models that a network has to beat: logistic regression and boosted trees, by scikit-learn.

Unlike the networks they want all rows in memory: 8 bytes a value, and what scikit-learn copies.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from stages.lib.encoding import Encoder
from stages.lib.params import Logistic, TrainReference, Trees
from stages.lib.stored import Frame, parts
from stages.lib.table import Sessions

MOST_LEVELS = 255  # of a category that the trees take as one


@dataclass(frozen=True)
class Reference:
    """A fitted classifier and the encoder whose `inputs` or `codes` it takes."""

    classifier: Any
    encoder: Encoder
    takes: str

    def predict(self, features: Frame) -> np.ndarray:
        """Probabilities of a purchase, float32 of shape (rows,)."""
        return self.classifier.predict_proba(_rows(self.encoder, features, self.takes))[:, 1].astype(np.float32)


def logistic(sessions: Sessions, encoder: Encoder, settings: Logistic) -> Reference:
    """On the network's inputs."""
    return _fitted(LogisticRegression(C=settings.c, solver="newton-cholesky"), sessions, encoder, "inputs")


def trees(sessions: Sessions, encoder: Encoder, settings: Trees, seed: int) -> Reference:
    """Histogram gradient boosting, to which a category is one column, not one-hot."""
    levels = [len(category.levels) for category in encoder.categories]
    is_category = encoder.code_is_category.copy()
    is_category[len(is_category) - len(levels) :] = np.array(levels) <= MOST_LEVELS
    boosting = HistGradientBoostingClassifier(
        **settings.model_dump(), categorical_features=is_category, random_state=seed
    )
    return _fitted(boosting, sessions, encoder, "codes")


def recipes(settings: TrainReference, seed: int) -> dict[str, Any]:
    """By name, from sessions, their encoder and a repeat (0 for the model itself) to a Reference."""
    return {
        "logistic": lambda sessions, encoder, repeat=0: logistic(sessions, encoder, settings.logistic),
        "trees": lambda sessions, encoder, repeat=0: trees(sessions, encoder, settings.trees, seed + repeat),
    }


def _fitted(classifier: Any, sessions: Sessions, encoder: Encoder, takes: str) -> Reference:
    rows = _rows(encoder, sessions.features, takes)
    return Reference(classifier.fit(rows, sessions.column("target").to_numpy()), encoder, takes)


def _rows(encoder: Encoder, features: Frame, takes: str) -> np.ndarray:
    made = encoder.transform if takes == "inputs" else encoder.codes
    return np.concatenate([made(part) for part in parts(features)])
