"""How good predicted probabilities are: scalars, and curves as small tables."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics

THRESHOLD = 0.5
CURVE_POINTS = 200


def scores(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Scalars of one model on rows with targets 0/1: both arrays of shape (rows,)."""
    # float64, or a probability that float32 rounded to 1 would cost an infinite loss.
    probabilities = probabilities.astype(np.float64)
    return {
        "auc": metrics.roc_auc_score(targets, probabilities),
        "accuracy": metrics.accuracy_score(targets, probabilities >= THRESHOLD),
        "average_precision": metrics.average_precision_score(targets, probabilities),
        "log_loss": metrics.log_loss(targets, probabilities),
    }


def test_part(targets: np.ndarray) -> dict[str, float]:
    """The size of the test part, and the accuracy of always saying no, which every accuracy is to be held against."""
    return {"rows": len(targets), "purchases": int(targets.sum()), "accuracy_of_no": 1 - targets.mean()}


def roc(targets: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Columns fpr and tpr, ascending."""
    fpr, tpr, _ = metrics.roc_curve(targets, probabilities)
    return _thinned(pd.DataFrame({"fpr": fpr, "tpr": tpr}), along=fpr)


def precision_recall(targets: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Columns recall, ascending, and precision."""
    precision, recall, _ = metrics.precision_recall_curve(targets, probabilities)
    return _thinned(pd.DataFrame({"recall": recall, "precision": precision})[::-1], along=recall[::-1])


def confusion(targets: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Columns actual, predicted and rows: four lines, at a threshold of 0.5."""
    counts = metrics.confusion_matrix(targets, probabilities >= THRESHOLD, labels=[0, 1])
    names = ["no purchase", "purchase"]
    return pd.DataFrame(
        [(actual, predicted, counts[i, j]) for i, actual in enumerate(names) for j, predicted in enumerate(names)],
        columns=["actual", "predicted", "rows"],
    )


def rounded(scalars: dict[str, Any]) -> dict[str, Any]:
    """Nested scalars, the floats to 6 digits, as metrics files hold them."""
    return {
        name: rounded(value)
        if isinstance(value, dict)
        else round(float(value), 6)
        if not isinstance(value, int)
        else value
        for name, value in scalars.items()
    }


def _thinned(curve: pd.DataFrame, along: np.ndarray) -> pd.DataFrame:
    """About CURVE_POINTS rows of the curve, evenly spread from first to last: a plot shows no more."""
    if len(curve) <= CURVE_POINTS:
        return curve
    rows = np.searchsorted(along, np.linspace(along[0], along[-1], CURVE_POINTS))
    return curve.iloc[np.unique(np.concatenate([[0], rows, [len(curve) - 1]]))]
