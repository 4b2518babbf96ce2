"""How good predicted probabilities are: scalars, and curves as small tables."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn import metrics

from stages.lib.evaluation.delong import auc_with_interval

THRESHOLD = 0.5
CURVE_POINTS = 200
BINS = 10
TOP_PERCENTS = (5, 10, 20)


def scores(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Scalars of one model on rows with targets 0/1: both arrays of shape (rows,)."""
    # float64, or a probability that float32 rounded to 1 would cost an infinite loss.
    probabilities = probabilities.astype(np.float64)
    return {
        **auc_with_interval(targets, probabilities),
        "accuracy": metrics.accuracy_score(targets, probabilities >= THRESHOLD),
        "accuracy_of_no": 1 - targets.mean(),
        "average_precision": metrics.average_precision_score(targets, probabilities),
        "log_loss": metrics.log_loss(targets, probabilities),
        "brier": metrics.brier_score_loss(targets, probabilities),
        "calibration_error": calibration_error(targets, probabilities),
    }


def calibration_error(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean distance of prediction and share of purchases over the bins of `reliability`, weighted by their rows.

    The expected calibration error of Naeini, Cooper & Hauskrecht (2015), Obtaining well calibrated probabilities using
    Bayesian binning, AAAI; with bins of as many rows each, as the adaptive one of Nixon et al. (2019), Measuring
    calibration in deep learning. By chance alone it is above 0 for the best of models.
    """
    bins = reliability(targets, probabilities)
    return float(np.average((bins.predicted - bins.observed).abs(), weights=bins.rows))


def decisions(targets: np.ndarray, probabilities: np.ndarray, decided: np.ndarray) -> dict[str, float]:
    """Scalars of what one would do: call those `decided` purchases, or take the likeliest 5, 10 and 20% of sessions.

    All arrays of shape (rows,), `decided` bool. Precision is 0 where none is decided. `captured_top_5` is the share of
    all purchases among the top 5%, `lift_top_5` how many times as many that are as among as many sessions at random.
    """
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        targets, decided, average="binary", zero_division=0
    )
    found = {
        "balanced_accuracy": metrics.balanced_accuracy_score(targets, decided),
        "f1": f1,
        "precision": precision,
        "recall": recall,
    }
    top = _captured(targets, probabilities, np.array(TOP_PERCENTS) / 100)
    for percent, captured in zip(TOP_PERCENTS, top, strict=True):
        found |= {f"lift_top_{percent}": captured * 100 / percent, f"captured_top_{percent}": captured}
    return found


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


def reliability(targets: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Columns predicted, ascending, observed and rows: mean probability, share of purchases and size of 10 bins.

    The bins have as many rows each, but rows with equal probability stay together, in the bin where the middle one of
    them falls: bins are then unlike in size, and there may be fewer.
    """
    place = (rankdata(probabilities) - 0.5) * BINS // len(probabilities)
    rows = pd.DataFrame({"predicted": probabilities.astype(np.float64), "observed": targets.astype(np.float64)})
    by_bin = rows.groupby(place)
    return by_bin.mean().assign(rows=by_bin.size()).reset_index(drop=True)


def lift(targets: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Columns share, ascending, captured and lift.

    share: of the sessions, the likeliest first, in CURVE_POINTS equal steps; captured: the share of all purchases that
    are among them; lift: how many times as many these are as among as many sessions at random.
    """
    share = np.arange(1, CURVE_POINTS + 1) / CURVE_POINTS
    captured = _captured(targets, probabilities, share)
    return pd.DataFrame({"share": share, "captured": captured, "lift": captured / share})


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


def _captured(targets: np.ndarray, probabilities: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The share of all purchases to be expected in `share` of the rows, the likeliest first.

    Among rows with equal probability the order is chance, so of these as many purchases are expected as is their share:
    between one probability and the next the curve is straight. So is it within a row that `share` cuts through.
    """
    _, place, rows = np.unique(-probabilities, return_inverse=True, return_counts=True)
    purchases = np.bincount(place, weights=targets)
    taken, captured = (np.concatenate([[0], counts.cumsum()]) / counts.sum() for counts in (rows, purchases))
    return np.interp(share, taken, captured)
