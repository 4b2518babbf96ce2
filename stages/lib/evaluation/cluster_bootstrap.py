"""Confidence intervals where rows are not independent, such as those of one visitor: the cluster bootstrap.

Clusters of rows are drawn with replacement, each with all its rows, as many as there are: Field & Welsh (2007),
Bootstrapping clustered data, Journal of the Royal Statistical Society B 69. An interval has the quantiles of what the
figure is in these draws.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

DRAWS = 1000
CONFIDENCE = 0.95
TOP_SHARE = 0.1
FIGURES = ("auc", "average_precision", "recall_at_10")


class ClusterBootstrap:
    """Figures of several models on the same rows, in the same draws, so that models can be compared."""

    def __init__(self, targets: np.ndarray, scores: Mapping[str, np.ndarray], clusters: np.ndarray) -> None:
        """Args:
        targets: 0 or 1, of shape (rows,).
        scores: of each model, anything that ranks the rows, (rows,).
        clusters: the id of each row's cluster, (rows,).

        Raises:
            ValueError: the rows are all of one class.
        """
        if len(np.unique(targets)) < 2:
            raise ValueError("an AUC needs rows of both targets")
        rankings = {name: Ranking.of(targets, values) for name, values in scores.items()}
        everything = np.ones(len(targets))
        self.figures = {name: ranking.figures(everything) for name, ranking in rankings.items()}
        draws: dict[str, list[np.ndarray]] = {name: [] for name in scores}
        for weights in draw_weights(clusters):
            if np.unique(targets[weights > 0]).size == 2:
                for name, ranking in rankings.items():
                    draws[name].append(ranking.figures(weights))
        self.draws = {name: np.array(values) for name, values in draws.items()}  # (draws, figures)

    def with_intervals(self, model: str) -> dict[str, float]:
        """FIGURES of a model, each with the ends of its interval, such as `auc_ci_low` and `auc_ci_high`."""
        figures: dict[str, float] = {}
        for number, name in enumerate(FIGURES):
            low, high = interval(self.draws[model][:, number])
            figures |= {name: float(self.figures[model][number]), f"{name}_ci_low": low, f"{name}_ci_high": high}
        return figures

    def compare_aucs(self, model: str, reference: str) -> dict[str, float]:
        """The difference of two models' AUC, its interval, and a two-sided p-value of both being equal.

        The p-value is twice the share of draws on the other side of 0, and no lower than the number of draws can show.
        """
        differences = self.draws[model][:, 0] - self.draws[reference][:, 0]
        low, high = interval(differences)
        beyond = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
        return {
            "difference": float(self.figures[model][0] - self.figures[reference][0]),
            "ci_low": low,
            "ci_high": high,
            "p_value": min(1.0, 2 * (beyond + 1) / (len(differences) + 1)),
        }


@dataclass(frozen=True)
class Ranking:
    """Rows from the highest score to the lowest, of which those of one score have no order.

    Attributes:
        order: the positions of the rows, (rows,).
        starts: where in `order` each score starts, (scores,).
        targets: in this order, (rows,).
    """

    order: np.ndarray
    starts: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, targets: np.ndarray, scores: np.ndarray) -> Self:
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        return cls(order, starts, targets[order])

    def counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and purchases of each score, from the highest, both (scores,), if the rows count so often."""
        ordered = weights[self.order]
        return np.add.reduceat(ordered, self.starts), np.add.reduceat(ordered * self.targets, self.starts)

    def figures(self, weights: np.ndarray) -> np.ndarray:
        """FIGURES of rows that count so often: the AUC, average precision, and recall of the top tenth of the rows.

        Args:
            weights: of the rows, in their own order, (rows,).
        """
        rows, purchases = self.counts(weights)
        rows_until, purchases_until = rows.cumsum(), purchases.cumsum()
        n_purchases, n_rows = purchases_until[-1], rows_until[-1]
        others_below = n_rows - n_purchases - (rows_until - purchases_until) + (rows - purchases) / 2
        auc = purchases @ others_below / (n_purchases * (n_rows - n_purchases))
        drawn = rows_until > 0
        precision = purchases_until[drawn] / rows_until[drawn]
        average_precision = purchases[drawn] @ precision / n_purchases
        recall = np.interp(TOP_SHARE * n_rows, np.append(0, rows_until), np.append(0, purchases_until)) / n_purchases
        return np.array([auc, average_precision, recall])


def draw_weights(clusters: np.ndarray) -> Iterator[np.ndarray]:
    """How often each row counts in each of DRAWS draws; the ids of its clusters and the weights are (rows,)."""
    ids, codes = np.unique(clusters, return_inverse=True)
    for draw in range(DRAWS):
        drawn = np.random.default_rng(draw).integers(len(ids), size=len(ids))
        yield np.bincount(drawn, minlength=len(ids))[codes]


def interval(draws: np.ndarray) -> tuple[float, float]:
    """The ends of the interval of a figure, from its values in the draws, (draws,)."""
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
