"""Confidence intervals of an AUC and of the difference of two, by DeLong's method.

DeLong, DeLong & Clarke-Pearson (1988), Comparing the areas under two or more correlated receiver operating
characteristic curves, Biometrics 44; computed from midranks as in Sun & Xu (2014), Fast implementation of DeLong's
algorithm, IEEE Signal Processing Letters 21. The intervals cover how the scores of the trained models vary from one
test set to another, not how models vary with their seed or training set, and assume that rows are independent.
"""

import numpy as np
from scipy.stats import norm, rankdata

CONFIDENCE = 0.95


def auc_with_interval(targets: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """The AUC of a model and its 95% confidence interval.

    If all purchases score higher than all other rows, or lower, the estimated variance is 0, however few the rows. The
    interval is then that of Clopper & Pearson (1934) for as many independent pairs of a purchase and another row.

    Args:
        targets: 0 or 1, of shape (rows,).
        scores: probabilities, or anything else that ranks the rows, of shape (rows,).

    Returns:
        `auc`, `auc_ci_low` and `auc_ci_high`, all between 0 and 1.

    Raises:
        ValueError: if the rows are all of one class.
    """
    by_positive, by_negative = _placements(targets, scores)
    auc = float(by_positive.sum() / (len(by_positive) * len(by_negative)))
    pairs = min(len(by_positive), len(by_negative))
    if auc in (0, 1):
        # The lower end if all of so many independent pairs are in the right order.
        lowest = ((1 - CONFIDENCE) / 2) ** (1 / pairs)
        low, high = (lowest, 1.0) if auc else (0.0, 1 - lowest)
    elif pairs == 1:
        low, high = 0.0, 1.0
    else:
        margin = norm.isf((1 - CONFIDENCE) / 2) * np.sqrt(_variance(by_positive, by_negative))
        low, high = max(0.0, auc - margin), min(1.0, auc + margin)
    return {"auc": auc, "auc_ci_low": float(low), "auc_ci_high": float(high)}


def compare_aucs(targets: np.ndarray, scores: np.ndarray, reference_scores: np.ndarray) -> dict[str, float]:
    """The difference of two models' AUC on the same rows, its 95% confidence interval and its p-value.

    Models that rank the rows alike do not differ: the difference is 0, from 0 to 0, with a p-value of 1. If the
    estimated variance is 0 otherwise, or one class has a single row, the interval spans those of the two models, and
    the p-value is that of a sign test on independent pairs.

    Args:
        targets: 0 or 1, of shape (rows,).
        scores: of the model, of shape (rows,).
        reference_scores: of the model that it is compared to, of shape (rows,).

    Returns:
        `difference` (the AUC of the model minus that of the reference), `ci_low`, `ci_high`, and `p_value`, two-sided,
        of both AUC being equal.

    Raises:
        ValueError: if the rows are all of one class.
    """
    of_model, of_reference = _placements(targets, scores), _placements(targets, reference_scores)
    by_positive, by_negative = of_model[0] - of_reference[0], of_model[1] - of_reference[1]
    pairs = min(len(by_positive), len(by_negative))
    difference = float(by_positive.sum() / (len(by_positive) * len(by_negative)))
    variance = _variance(by_positive, by_negative) if pairs > 1 else 0.0
    if not by_positive.any() and not by_negative.any():
        low, high, p_value = 0.0, 0.0, 1.0
    elif not variance:
        model, reference = auc_with_interval(targets, scores), auc_with_interval(targets, reference_scores)
        low = model["auc_ci_low"] - reference["auc_ci_high"]
        high = model["auc_ci_high"] - reference["auc_ci_low"]
        p_value = 2 * 0.5**pairs
    else:
        margin = norm.isf((1 - CONFIDENCE) / 2) * np.sqrt(variance)
        low, high = max(-1.0, difference - margin), min(1.0, difference + margin)
        p_value = 2 * norm.sf(abs(difference) / np.sqrt(variance))
    return {"difference": difference, "ci_low": float(low), "ci_high": float(high), "p_value": float(p_value)}


def auc_influence(targets: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """The AUC, and how much each row moves it from what it would be on all rows that there could be.

    The sum of their squares is DeLong's variance; it needs at least two rows of each class.

    Args:
        targets: 0 or 1, of shape (rows,).
        scores: of the rows, (rows,).

    Returns:
        The AUC, and the influences, of shape (rows,), with a sum of 0.
    """
    by_positive, by_negative = _placements(targets, scores)
    n_positives, n_negatives = len(by_positive), len(by_negative)
    influences = np.empty(len(targets))
    for label, placements in ((1, by_positive), (0, by_negative)):
        centered = (placements - placements.mean()) / (n_positives * n_negatives)
        influences[targets == label] = centered * np.sqrt(len(placements) / (len(placements) - 1))
    return float(by_positive.sum() / (n_positives * n_negatives)), influences


def _placements(targets: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each positive row how many negative ones score lower, and for each negative how many positive ones higher.

    A tie counts one half. These are DeLong's placement values times the number of rows of the other class: they are
    multiples of one half, so that sums are exact, and equal ones have a variance of exactly 0.
    """
    is_positive = np.asarray(targets) == 1
    scores = np.asarray(scores, np.float64)  # SciPy 1.18 ranks float32 in float32
    positives, negatives = scores[is_positive], scores[~is_positive]
    if not len(positives) or not len(negatives):
        raise ValueError("an AUC needs rows of both targets")
    ranks = rankdata(scores)
    negatives_below = ranks[is_positive] - rankdata(positives)
    positives_above = len(positives) - (ranks[~is_positive] - rankdata(negatives))
    return negatives_below, positives_above


def _variance(by_positive: np.ndarray, by_negative: np.ndarray) -> float:
    """The estimated variance of an AUC, from its placements, or of a difference of AUCs, from that of placements."""
    pairs = len(by_positive) * len(by_negative)
    weighted = len(by_positive) * by_positive.var(ddof=1) + len(by_negative) * by_negative.var(ddof=1)
    return float(weighted) / pairs**2
