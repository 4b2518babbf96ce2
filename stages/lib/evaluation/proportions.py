"""The confidence interval of a proportion, such as a purchase rate."""

import numpy as np
from scipy.stats import norm

CONFIDENCE = 0.95


def wilson_interval(targets: np.ndarray, clusters: np.ndarray | None = None) -> tuple[float, float]:
    """The interval of Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22.

    Rows of a cluster may be alike. Then they count as the number of independent rows that would have the variance of
    the proportion over clusters: Korn & Graubard (1998), Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data, Survey Methodology 24.

    Args:
        targets: 0 or 1, of shape (rows,).
        clusters: the id of each row's cluster, (rows,); None: rows are independent.

    Returns:
        The two ends.
    """
    rate = float(targets.mean())
    n_rows = float(len(targets)) if clusters is None else _effective_rows(targets, clusters)
    squared = norm.isf((1 - CONFIDENCE) / 2) ** 2
    center = (rate + squared / (2 * n_rows)) / (1 + squared / n_rows)
    variance = rate * (1 - rate) / n_rows + squared / (4 * n_rows**2)
    margin = np.sqrt(squared * variance) / (1 + squared / n_rows)
    return float(max(0.0, center - margin)), float(min(1.0, center + margin))


def _effective_rows(targets: np.ndarray, clusters: np.ndarray) -> float:
    """At most the number of rows: few clusters may look less alike than independent rows by chance."""
    rate = targets.mean()
    ids, codes = np.unique(clusters, return_inverse=True)
    deviations = np.bincount(codes, weights=targets - rate)
    variance = (deviations**2).sum() / len(targets) ** 2 * len(ids) / max(len(ids) - 1, 1)
    return float(min(len(targets), rate * (1 - rate) / variance)) if variance else float(len(ids))
