"""The profit of contacting the sessions that a model selects, with bootstrap intervals, in the currency of the costs.

Compared to contacting nobody, it is what a missed purchase costs times the purchases among these sessions, minus what a
contact costs times their number.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from stages.lib.evaluation.cluster_bootstrap import Ranking, draw_weights, interval

SHARES = np.linspace(0, 1, 101)  # of the rows, at which the curve of profits is computed
PER = 1000  # rows


def profit_metrics(
    targets: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    decisions: Mapping[str, np.ndarray],
    clusters: np.ndarray,
    *,
    contact: float,
    missed_purchase: float,
) -> dict[str, dict[str, Any]]:
    """Profits of each model for PER rows, at its threshold and by share of the rows.

    Args:
        targets: 0 or 1, of shape (rows,).
        probabilities: of a purchase by each model, of shape (rows,).
        decisions: whether each model contacts a row, bool of shape (rows,).
        clusters: the id of each row's cluster, (rows,); rows of a cluster are drawn together.
        contact: what contacting a row costs.
        missed_purchase: what not contacting a row with a purchase costs.

    Returns:
        By model, the `share` of rows that it contacts, their `profit` and the ends of its interval, `ci_low` and
        `ci_high`; and `curve`, with lists of the same by share in SHARES of the rows, most likely first. Its last
        values are those of contacting all rows.
    """
    values = missed_purchase * targets - contact  # of contacting each row
    gained = {name: values * chosen for name, chosen in decisions.items()}
    rankings = {name: Ranking.of(targets, scores) for name, scores in probabilities.items()}

    def profits(name: str, weights: np.ndarray) -> np.ndarray:
        """At the threshold, and then along the curve, (1 + shares,)."""
        rows, purchases = (np.append(0, counts.cumsum()) for counts in rankings[name].counts(weights))
        contacted = SHARES * rows[-1]
        curve = missed_purchase * np.interp(contacted, rows, purchases) - contact * contacted
        return np.append((weights * gained[name]).sum(), curve) * PER / rows[-1]

    draws: dict[str, list[np.ndarray]] = {name: [] for name in rankings}
    for weights in draw_weights(clusters):
        for name, drawn in draws.items():
            drawn.append(profits(name, weights))
    metrics = {}
    for name, drawn in draws.items():
        profit, ends = profits(name, np.ones(len(targets))), np.array([interval(each) for each in np.transpose(drawn)])
        columns = {"profit": profit, "ci_low": ends[:, 0], "ci_high": ends[:, 1]}
        metrics[name] = {
            "share": float(decisions[name].mean()),
            **{key: float(column[0]) for key, column in columns.items()},
            "curve": {"share": SHARES.tolist()} | {key: column[1:].tolist() for key, column in columns.items()},
        }
    return metrics
