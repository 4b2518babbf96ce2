"""One column of features: what the encoder learns of it from the training set, and the inputs it becomes."""

from typing import Self

import numpy as np
import pandas as pd
from scipy.special import ndtri

from stages.lib.common.model_params import Encoding, Section

MISSING, INFREQUENT = "(missing)", "(infrequent)"
MAX_SCORE = 3.0  # normal scores are clipped to ± this
MAX_KNOTS = 256  # of the quantile scaling of a column


class NumericColumn(Section):
    """A numeric column: its missing values become the median, and it is standardized by `mean` and `scale`.

    Attributes:
        has_missing: whether the training set has missing values, and so the column a missing indicator.
        knots: with quantile scaling, standardized values, ascending; else empty.
        scores: the normal scores of the knots.
        bin_edges: of the piecewise-linear encoding, standardized values, ascending; empty if there is none.
    """

    name: str
    median: float
    mean: float
    scale: float
    has_missing: bool
    knots: tuple[float, ...]
    scores: tuple[float, ...]
    bin_edges: tuple[float, ...]

    @classmethod
    def fit(cls, column: pd.Series, encoding: Encoding) -> Self:
        values = column.to_numpy(np.float64)
        missing = np.isnan(values)
        median = float(np.median(values[~missing])) if not missing.all() else 0.0
        values = np.where(missing, median, values)
        # Rounding of the mean can give even a constant column a deviation above 0.
        mean, scale = float(values.mean()), float(values.std()) if values.min() < values.max() else 1.0
        standardized = (values - mean) / scale
        knots, scores = _normal_scores(standardized) if encoding.scaling == "quantile" else ((), ())
        return cls(
            name=str(column.name),
            median=median,
            mean=mean,
            scale=scale,
            has_missing=bool(missing.any()),
            knots=knots,
            scores=scores,
            bin_edges=_bin_edges(standardized[~missing], encoding.bins),
        )

    def scaled(self, standardized: np.ndarray) -> np.ndarray:
        """The column's own input, (rows, 1): the values as they are, or their normal scores."""
        return np.interp(standardized, self.knots, self.scores) if self.knots else standardized

    def binned(self, standardized: np.ndarray) -> np.ndarray:
        """The piecewise-linear encoding, (rows, bins), of values (rows, 1): an input rises from 0 to 1 in its bin."""
        low, high = np.array(self.bin_edges[:-1]), np.array(self.bin_edges[1:])
        return np.clip((standardized - low) / (high - low), 0, 1)


class CategoricalColumn(Section):
    """A categorical column: one-hot, without the first category, which is the most frequent.

    Categories that are too infrequent are the one category INFREQUENT; missing values are a category, if the training
    set has any. Unknown values are treated as by scikit-learn's OneHotEncoder with drop="first" and
    handle_unknown="infrequent_if_exist".
    """

    name: str
    categories: tuple[str, ...]

    @classmethod
    def fit(cls, column: pd.Series, encoding: Encoding) -> Self:
        counts = column.fillna(MISSING).value_counts()
        by_frequency = _most_frequent_first(counts)
        if len(counts) > encoding.max_categories:
            by_frequency = by_frequency[: encoding.max_categories - 1]  # INFREQUENT takes the last place
        frequent = [name for name in by_frequency if counts[name] >= encoding.min_frequency * len(column)]
        # A category of the data may itself be called INFREQUENT.
        grouped = counts.groupby(counts.index.where(counts.index.isin(frequent), INFREQUENT)).sum()
        return cls(name=str(column.name), categories=tuple(_most_frequent_first(grouped)))

    @property
    def unknown(self) -> str:
        """The category that a value counts as which the training set does not have."""
        return INFREQUENT if INFREQUENT in self.categories else self.categories[0]

    def ordinals(self, values: pd.Series) -> np.ndarray:
        """The position of each value in `categories`, (rows,)."""
        positions = pd.Index(self.categories).get_indexer(pd.Index(values.fillna(MISSING)))
        return np.where(positions < 0, self.categories.index(self.unknown), positions)

    def one_hot(self, ordinals: np.ndarray) -> np.ndarray:
        """Bool (rows, categories - 1) from ordinals (rows, 1)."""
        return ordinals == np.arange(1, len(self.categories))


def _normal_scores(values: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """At most MAX_KNOTS of the values, and the normal score of the middle rank of each."""
    knots, counts = np.unique(values, return_counts=True)
    scores = ndtri((counts.cumsum() - counts / 2) / len(values))
    if len(knots) > MAX_KNOTS:
        # Evenly spaced in scores: if they were in ranks, the tails would have few.
        targets = np.linspace(scores[0], scores[-1], MAX_KNOTS)
        idx = np.unique(np.searchsorted(scores, targets).clip(max=len(knots) - 1))
        knots, scores = knots[idx], scores[idx]
    scores = np.clip(scores, -MAX_SCORE, MAX_SCORE) if len(knots) > 1 else np.zeros(1)
    return tuple(knots.tolist()), tuple(scores.tolist())


def _bin_edges(values: np.ndarray, bins: int) -> tuple[float, ...]:
    """The distinct values if they are at most `bins`, else the quantiles that divide the values into `bins`."""
    if not bins or not len(values):
        return ()
    edges = np.unique(values)
    if len(edges) > bins:
        edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    return tuple(edges.tolist()) if len(edges) > 1 else ()


def _most_frequent_first(counts: pd.Series) -> list[str]:
    # Ties are in the order of their names, so that the order of the rows does not matter.
    return [str(name) for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
