"""Why a model gives a row its probability: each column's share of the row's log-odds, as Shapley values.

The shares say what the row's own values change, compared with a typical row, which has the median of each number and
the most frequent of each category in the training set: with the typical row's log-odds, the base, they add up to the
row's. These are the baseline Shapley values of Sundararajan & Najmi (2020), The many Shapley values for model
explanation.

How much a value that replaces the typical one changes the log-odds depends on which others have been replaced before; a
share is the mean over all orders. Of these, a few are drawn at random, as by Castro, Gómez & Tejada (2009), Polynomial
calculation of the Shapley value based on sampling, each with its reverse, which makes interactions of two exact:
Mitchell, Cooper, Frank & Holmes (2022), Sampling permutations for Shapley value estimation. The changes of each order
add up to the whole difference, so the shares do too, however few orders there are.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stages.lib.modeling.blend import SavedModel
from stages.lib.modeling.calibration import log_odds
from stages.lib.modeling.columns import MISSING
from stages.lib.modeling.encoder import Encoder

PAIRS = 8  # of an order and its reverse
SEED = 1  # of the orders
ROWS_PER_CALL = 2**16  # that the model predicts in one call


@dataclass(frozen=True)
class Explanation:
    """Of some rows.

    Attributes:
        base: the log-odds of a typical row.
        shares: (rows, columns), float64, in log-odds; with the base, those of a row add up to its log-odds.
        columns: the names of the columns, an object array.
    """

    base: float
    shares: np.ndarray
    columns: np.ndarray

    def largest(self, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """The columns with the largest shares, by their absolute value; of equal ones, the first column.

        Args:
            count: how many columns.

        Returns:
            For each place, the names of the columns and their shares, both of shape (rows,); where only shares of 0 are
            left, the name is None.
        """
        by_size = np.argsort(-np.abs(self.shares), axis=1, kind="stable")[:, :count]
        shares = np.take_along_axis(self.shares, by_size, axis=1)
        names = self.columns[by_size]
        names[shares == 0] = None
        return list(zip(names.T, shares.T, strict=True))


def explain(model: SavedModel, features: pd.DataFrame, *, pairs: int = PAIRS, seed: int = SEED) -> Explanation:
    """Shapley values of each row, of the log-odds before calibration.

    Args:
        model: predicts a row from its columns alone, whatever other rows there are.
        features: (rows, columns); others than the model's columns are ignored.
        pairs: of an order of the columns and its reverse. The error falls with its square root, and the time is
            proportional to it: for each order, the model predicts as many rows as the row has values that are not
            typical.
        seed: of the orders, which are the same for all rows: shares do not depend on the rows that a row comes with.

    Returns:
        The shares of all columns, in the order of the encoder's: first the numeric, then the categorical ones.

    Raises:
        InputError: a column is missing.
    """
    typical = typical_row(model.encoder)
    base = log_odds(model.predict(pd.DataFrame([typical])))[0]
    final = log_odds(model.predict(features))
    values = {name: _values(features[name]) for name in typical}
    differs = np.column_stack([values[name] != value for name, value in typical.items()])
    orders = antithetic_orders(len(typical), pairs, seed)
    shares = np.zeros(differs.shape)
    for rows in _groups(differs.sum(axis=1) * len(orders)):
        of_rows = {name: column[rows] for name, column in values.items()}
        shares[rows] = _mean_changes(model, of_rows, typical, orders, differs[rows], base, final[rows])
    return Explanation(float(base), shares, np.array([*typical], dtype=object))


def typical_row(encoder: Encoder) -> dict[str, float | str]:
    """For each column, the median, or the most frequent category, of the training set."""
    medians = {column.name: column.median for column in encoder.numeric}
    return medians | {column.name: column.categories[0] for column in encoder.categorical}


def antithetic_orders(n_columns: int, pairs: int, seed: int) -> np.ndarray:
    """`pairs` random orders of the columns, each followed by its reverse: (2 * pairs, columns)."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(n_columns) for _ in range(pairs)]
    return np.array([each for order in orders for each in (order, order[::-1])])


def _values(column: pd.Series) -> np.ndarray:
    """Numbers as float64; categories as texts, of which MISSING is one."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(np.float64)
    return column.fillna(MISSING).to_numpy(object)


def _groups(n_predicted: np.ndarray) -> list[slice]:
    """Neighboring rows for which ROWS_PER_CALL rows are predicted, or a single row for which more are."""
    groups, start, total = [], 0, 0
    for row, count in enumerate(n_predicted.tolist()):
        if total + count > ROWS_PER_CALL and row > start:
            groups.append(slice(start, row))
            start, total = row, 0
        total += count
    return [*groups, slice(start, len(n_predicted))]


def _mean_changes(
    model: SavedModel,
    values: dict[str, np.ndarray],
    typical: dict[str, float | str],
    orders: np.ndarray,
    differs: np.ndarray,
    base: float,
    final: np.ndarray,
) -> np.ndarray:
    """How much each value changes the log-odds when it replaces the typical one, as the mean over the orders.

    Args:
        model: see `explain`.
        values: of each column, (rows,).
        typical: of each column, the typical value.
        orders: the numbers of the columns, (orders, columns).
        differs: whether a value is not the typical one, (rows, columns); the others change nothing, in any order.
        base: the log-odds of the typical row.
        final: the log-odds of each row, (rows,).

    Returns:
        Differences of log-odds, (rows, columns).
    """
    row, order, place = np.nonzero(differs[:, orders])  # of each change: by row, then by order, one after the other
    starts = np.flatnonzero(np.diff(row * len(orders) + order, prepend=-1))  # the first change of a row in an order
    is_last = np.zeros(len(row), bool)
    is_last[starts - 1] = True  # -1 is the last of all
    after = np.empty(len(row))
    after[is_last] = final[row[is_last]]
    if not is_last.all():
        between = _replaced(values, typical, orders, row[~is_last], order[~is_last], place[~is_last])
        after[~is_last] = log_odds(model.predict(between))
    before = np.roll(after, 1)
    before[starts] = base
    cells = row * differs.shape[1] + orders[order, place]
    sums = np.bincount(cells, weights=after - before, minlength=differs.size)
    return sums.reshape(differs.shape) / len(orders)


def _replaced(
    values: dict[str, np.ndarray],
    typical: dict[str, float | str],
    orders: np.ndarray,
    row: np.ndarray,
    order: np.ndarray,
    place: np.ndarray,
) -> pd.DataFrame:
    """Typical rows, in each of which the values of `row` replace those up to `place` in an order of the columns."""
    places = np.argsort(orders, axis=1)  # of each column, (orders, columns)
    return pd.DataFrame({
        name: np.where(places[order, number] <= place, values[name][row], value)
        for number, (name, value) in enumerate(typical.items())
    })  # fmt: skip
