"""How sure an AUC is, and the difference of two: 95% intervals and p-values, by DeLong.

DeLong, DeLong & Clarke-Pearson (1988), Comparing the areas under two or more correlated receiver operating
characteristic curves, Biometrics 44; computed from midranks as Sun & Xu (2014), Fast implementation of DeLong's
algorithm, IEEE Signal Processing Letters 21. They say what other test rows would do to the scores of these very models,
not what other seeds or other training rows would, and take the rows as independent of each other.
"""

import numpy as np
from scipy.stats import norm, rankdata

LEVEL = 0.95


def auc_with_interval(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """`auc`, and the ends of its interval `auc_low` and `auc_high`, for arrays of shape (rows,).

    Where every purchase stands above all other rows, or below them, the estimated variance is 0, however few they are.
    The interval is then that of Clopper & Pearson (1934) for the independent pairs of a purchase and another row.
    Raises ValueError without rows of both targets.
    """
    beaten, beating = _placements(targets, probabilities)
    area = float(beaten.sum() / (len(beaten) * len(beating)))
    pairs = min(len(beaten), len(beating))
    # What the interval would reach if none of so many pairs were in the wrong order.
    least = ((1 - LEVEL) / 2) ** (1 / pairs)
    if area in (0, 1):
        low, high = (least, 1.0) if area else (0.0, 1 - least)
    elif pairs == 1:
        low, high = 0.0, 1.0
    else:
        margin = norm.isf((1 - LEVEL) / 2) * np.sqrt(_variance(beaten, beating))
        low, high = max(0.0, area - margin), min(1.0, area + margin)
    return {"auc": area, "auc_low": float(low), "auc_high": float(high)}


def compare_aucs(targets: np.ndarray, probabilities: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """AUC of `probabilities` minus AUC of `other`, on the same rows: `difference`, `low`, `high` and `p_value`.

    The p-value is that of both AUC being equal, two-sided. Models that put the rows in the same order do not differ:
    by 0, from 0 to 0, p 1. Where the estimated variance is 0 and the difference is not, or one class has a single row,
    the interval spans those of both models, and the p-value is that of a sign test on independent pairs.
    Raises ValueError without rows of both targets.
    """
    (beaten, beating), (other_beaten, other_beating) = _placements(targets, probabilities), _placements(targets, other)
    by_purchase, by_other = beaten - other_beaten, beating - other_beating
    pairs = min(len(by_purchase), len(by_other))
    change = float(by_purchase.sum() / (len(by_purchase) * len(by_other)))
    variance = _variance(by_purchase, by_other) if pairs > 1 else 0.0
    if not by_purchase.any() and not by_other.any():
        low, high, p_value = 0.0, 0.0, 1.0
    elif not variance:
        one, two = auc_with_interval(targets, probabilities), auc_with_interval(targets, other)
        low, high = one["auc_low"] - two["auc_high"], one["auc_high"] - two["auc_low"]
        p_value = 2 * 0.5**pairs
    else:
        margin = norm.isf((1 - LEVEL) / 2) * np.sqrt(variance)
        low, high = max(-1.0, change - margin), min(1.0, change + margin)
        p_value = 2 * norm.sf(abs(change) / np.sqrt(variance))
    return {"difference": change, "low": float(low), "high": float(high), "p_value": float(p_value)}


def verdict(found: dict[str, float]) -> str:
    """`better`, `worse` or `not told apart`, of what `difference` found."""
    return "better" if found["low"] > 0 else "worse" if found["high"] < 0 else "not told apart"


def in_words(subject: str, found: dict[str, float]) -> str:
    """A sentence on what `difference` found, for a subject in the singular: `SMOTE changes AUC by …: worse.`

    To 3 decimals, or to as many more as it takes to show an end that is told apart from 0 as other than 0.
    """
    told = verdict(found)
    nearest = min(abs(found["low"]), abs(found["high"]))
    digits = 3
    while told != "not told apart" and not round(nearest, digits):
        digits += 1
    change, low, high = (_signed(found[name], digits) for name in ("difference", "low", "high"))
    return f"{subject} changes AUC by {change} ({low} to {high}): {told}."


def _signed(value: float, digits: int) -> str:
    """With its sign, a real minus, and none on what is shown as zero."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if round(value, digits) else text[1:]


def _placements(targets: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each purchase how many other rows stand below it, and for each of these how many purchases stand above it.

    A tie counts one half. These are the placement values of DeLong times the rows of the other class: whole numbers and
    halves, so that sums are exact and values that are all alike have a variance of exactly 0.
    """
    is_purchase = np.asarray(targets) == 1
    purchases, others = probabilities[is_purchase], probabilities[~is_purchase]
    if not len(purchases) or not len(others):
        raise ValueError("an AUC needs rows of both targets")
    ranks = rankdata(probabilities)
    return ranks[is_purchase] - rankdata(purchases), len(purchases) - (ranks[~is_purchase] - rankdata(others))


def _variance(by_purchase: np.ndarray, by_other: np.ndarray) -> float:
    """Estimated variance of an AUC or a difference, from placements or their differences."""
    pairs = len(by_purchase) * len(by_other)
    return float(len(by_purchase) * by_purchase.var(ddof=1) + len(by_other) * by_other.var(ddof=1)) / pairs**2
