"""Target encoding: a category becomes the log-odds of a purchase among the training rows that have it.

It is for columns of many categories, most of which are too infrequent for an input of their own: Micci-Barreca (2001),
A preprocessing scheme for high-cardinality categorical attributes in classification and prediction problems. Only these
infrequent ones have values other than 0. For a category with an input of its own a value would say nothing new, and
would mislead: among its rows, those whose fold has more purchases have the lower value.

The purchase rate of a category is shrunk towards that of all infrequent ones, the more the fewer rows it has: by
empirical Bayes, with the variances within and between categories that Bühlmann & Straub (1970), Glaubwürdigkeit für
Schadensätze, estimate. Where categories mean nothing, the variance between them is about 0, and so is every value.

A row to train on gets its value from other rows only, since a model would read its target from its own.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Self

import numpy as np
import pandas as pd
from pydantic import Field

from stages.lib.common.errors import InputError
from stages.lib.common.model_params import Section
from stages.lib.dataset.sessions import Sessions
from stages.lib.dataset.splits import cv_folds
from stages.lib.modeling.columns import MISSING

MANY_CATEGORIES = 60  # columns with more categories are target-encoded
N_FOLDS = 5  # in which the training rows are encoded
DECIMALS = 6  # of a value, which keep a file of thousands of them small

# From rows to the positions of those that statistics are computed from, and of those that get them
InnerFolds = Callable[[Sessions], Sequence[tuple[np.ndarray, np.ndarray]]]


class TargetEncodedColumn(Section):
    """A column of many categories.

    Attributes:
        frequent: the categories that have inputs of their own.
        log_odds: of a purchase, for each other category of the training set, relative to those of all of these rows; a
            category that it does not have counts as all of them do, and so has 0.
    """

    name: str
    frequent: tuple[str, ...]
    log_odds: dict[str, Annotated[float, Field(allow_inf_nan=False)]]

    def fit(self, sessions: Sessions) -> Self:
        """The column with what the targets of these rows say; a session's rows of the same category count once."""
        rows = pd.DataFrame({"category": _categories(sessions.table[self.name].to_pandas())})
        rows["target"] = sessions.column("target").to_numpy()
        if sessions.names("view"):
            keys = sessions.select("key", "visitor").to_arrow().to_pandas()
            rows = rows[~pd.concat([keys, rows["category"]], axis=1).duplicated()]
        rows = rows[~rows["category"].isin(self.frequent)]
        counts = rows.groupby("category")["target"].agg(["sum", "size"])
        values = _shrunk_log_odds(counts["sum"].to_numpy(float), counts["size"].to_numpy(float))
        return self.model_copy(update={"log_odds": dict(zip(map(str, counts.index), _rounded(values), strict=True))})

    @classmethod
    def mean(cls, columns: Sequence[Self]) -> Self:
        """The mean of columns of the same name that were fitted on different rows."""
        table = pd.concat([pd.Series(column.log_odds, dtype=float) for column in columns], axis=1).fillna(0.0)
        log_odds = dict(zip(map(str, table.index), _rounded(table.mean(axis=1).to_numpy()), strict=True))
        return columns[0].model_copy(update={"log_odds": log_odds})

    @property
    def input_name(self) -> str:
        """Also the name of a column that has the values already: see `cross_fitted`."""
        return f"{self.name}=(target)"

    def values(self, features: pd.DataFrame) -> np.ndarray:
        """The value of each row, (rows,)."""
        if self.input_name in features:
            return features[self.input_name].to_numpy(np.float64)
        return _categories(features[self.name]).map(self.log_odds).fillna(0.0).to_numpy(np.float64)


def inner_folds(strategy: str, seed: int) -> InnerFolds:
    """Folds of the rows to train on, in which visitors are kept together if the split does that."""
    return partial(cv_folds, strategy="grouped" if strategy == "grouped" else "stratified", n_folds=N_FOLDS, seed=seed)


def cross_fitted(sessions: Sessions, columns: Sequence[TargetEncodedColumn], folds: InnerFolds) -> Sessions:
    """The rows with the value of each column, from statistics of the other folds.

    Raises:
        InputError: there are too few rows for the folds, or a column has the name of a value.
    """
    values = {column.input_name: np.zeros(len(sessions)) for column in columns}
    for name in values:
        if name in sessions.table.schema.names:
            raise InputError(f"column '{name}' has a name that encoding needs: rename it")
    for train_idx, val_idx in folds(sessions):
        train, val = sessions.take(train_idx), sessions.take(val_idx)
        for column in columns:
            rows = val.table[column.name].to_pandas().to_frame(column.name)
            values[column.input_name][val_idx] = column.fit(train).values(rows)
    return sessions.with_features(values)


def _categories(column: pd.Series) -> pd.Series:
    return column.fillna(MISSING)


def _shrunk_log_odds(purchases: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The log-odds of each category's shrunk purchase rate, less those of the purchase rate of all their rows.

    The rate is that of the category's rows together with `strength` more rows that are like all of them. The strength
    is the variance of a target within categories over the variance of the rates between them.

    Args:
        purchases: of each category, (categories,).
        rows: of each category, (categories,), all above 0.
    """
    total, n_categories = rows.sum(), len(rows)
    if n_categories < 2 or total == n_categories or not 0 < purchases.sum() < total:
        return np.zeros(n_categories)
    mean, rates = purchases.sum() / total, purchases / rows
    within = (rows * rates * (1 - rates)).sum() / (total - n_categories)
    of_means = (rows * (rates - mean) ** 2).sum() / (n_categories - 1)
    between = (of_means - within) * (n_categories - 1) / (total - (rows**2).sum() / total)
    if between <= 0:
        return np.zeros(n_categories)
    # Where no category has both targets there is no variance within, and still no rate is 0 or 1.
    strength = max(within / between, 1.0)
    shrunk = (purchases + strength * mean) / (rows + strength)
    return np.log(shrunk / (1 - shrunk)) - np.log(mean / (1 - mean))


def _rounded(values: np.ndarray) -> list[float]:
    return (np.round(values, DECIMALS) + 0.0).tolist()  # adding 0 turns -0.0 into 0.0
