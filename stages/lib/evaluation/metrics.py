"""Scalar metrics of a model: of its probabilities, of its decisions, and rounded as metrics files hold them."""

from typing import Any

import numpy as np
from sklearn import metrics

from stages.lib.evaluation.curves import THRESHOLD, bin_calibration, recall_at
from stages.lib.evaluation.delong import auc_with_interval

TOP_PERCENTS = (5, 10, 20)


def probability_metrics(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """How good predicted probabilities are.

    Args:
        targets: 0 or 1, of shape (rows,).
        probabilities: of a purchase, of shape (rows,).

    Returns:
        `auc` with its confidence interval, `accuracy` at a threshold of 0.5, `average_precision`, `log_loss`, `brier`
        and `ece`.

    Raises:
        ValueError: if the rows are all of one class.
    """
    # In float64, since a probability that float32 rounds to 1 would cost an infinite loss.
    probabilities = probabilities.astype(np.float64)
    return {
        **auc_with_interval(targets, probabilities),
        "accuracy": metrics.accuracy_score(targets, probabilities >= THRESHOLD),
        "average_precision": metrics.average_precision_score(targets, probabilities),
        "log_loss": metrics.log_loss(targets, probabilities),
        "brier": metrics.brier_score_loss(targets, probabilities),
        "ece": expected_calibration_error(targets, probabilities),
    }


def expected_calibration_error(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean distance of predicted and observed purchase rate over ten bins, weighted by their rows.

    The ECE of Naeini, Cooper & Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian binning, AAAI;
    with bins of equally many rows, as the adaptive one of Nixon et al. (2019), Measuring calibration in deep learning.
    Chance alone keeps it above 0, even for a perfectly calibrated model.
    """
    bins = bin_calibration(targets, probabilities)
    return float(np.average((bins.predicted - bins.observed).abs(), weights=bins.rows))


def decision_metrics(targets: np.ndarray, probabilities: np.ndarray, decisions: np.ndarray) -> dict[str, float]:
    """What acting on a model is worth: on its decisions, or on the sessions most likely to end in a purchase.

    Args:
        targets: 0 or 1, of shape (rows,).
        probabilities: of a purchase, of shape (rows,).
        decisions: whether a purchase is predicted, bool of shape (rows,).

    Returns:
        `balanced_accuracy`, `f1`, `precision` (0 where no purchase is predicted) and `recall` of the decisions. For 5,
        10 and 20% of the sessions, the most likely ones: `recall_at_10`, the fraction of all purchases among them, and
        `lift_at_10`, how many times more these are than among as many sessions at random.
    """
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        targets, decisions, average="binary", zero_division=0
    )
    figures = {
        "balanced_accuracy": metrics.balanced_accuracy_score(targets, decisions),
        "f1": f1,
        "precision": precision,
        "recall": recall,
    }
    recalls = recall_at(np.array(TOP_PERCENTS) / 100, targets, probabilities)
    for percent, recall_at_percent in zip(TOP_PERCENTS, recalls, strict=True):
        figures[f"recall_at_{percent}"] = recall_at_percent
        figures[f"lift_at_{percent}"] = recall_at_percent * 100 / percent
    return figures


def describe_test_set(targets: np.ndarray) -> dict[str, float]:
    """Its `rows` and `purchases`, and `majority_accuracy`, that of predicting the majority class for every row."""
    return {"rows": len(targets), "purchases": int(targets.sum()), "majority_accuracy": 1 - targets.mean()}


def round_floats(content: Any) -> Any:
    """Nested dicts and lists with their floats rounded to 6 decimals, as metrics files hold them."""
    if isinstance(content, dict):
        return {key: round_floats(value) for key, value in content.items()}
    if isinstance(content, list):
        return [round_floats(value) for value in content]
    return content if isinstance(content, str | int) else round(float(content), 6)
