"""What can make a score too good to be true: a column that gives the target away, and rows on both sides."""

import numpy as np
import pandas as pd

from stages.lib.dataset.parquet import Frame, iter_chunks

FOLDS = 5
PRIOR_ROWS = 10  # a level's share of purchases counts as if so many rows more had the share of all levels


def univariate_auc(features: Frame, targets: np.ndarray) -> pd.Series:
    """The AUC that each column reaches by itself on these rows, by column; targets are 0 and 1, both of them there.

    A number ranks the rows by its value, in whichever direction, and with missing values at whichever end, gives
    more. A category ranks them by its levels' shares of purchases among the rows of other folds, drawn to the share
    of all levels (Micci-Barreca 2001, SIGKDD Explorations 3:1): on the same rows, rare levels would seem to tell much.
    """
    folds = _folds(targets)
    return pd.Series(
        {
            name: _of_number(column.to_numpy(np.float64), targets)
            if pd.api.types.is_numeric_dtype(column)
            else _of_category(column, targets, folds)
            for name, column in features.items()
        },
        dtype=np.float64,
    )


def count_duplicates(train: Frame, test: Frame) -> int:
    """How many rows of `test` equal one of `train` in all columns; a missing value equals a missing one."""
    return int(np.isin(_hashes(test), _hashes(train)).sum())


def _of_number(values: np.ndarray, targets: np.ndarray) -> float:
    missing = np.isnan(values)
    ends = (-np.inf, np.inf) if missing.any() else (0.0,)
    aucs = [np.divide(*_pairs_won(np.where(missing, end, values), targets)) for end in ends]
    return max(*aucs, *(1 - auc for auc in aucs))


def _of_category(column: pd.Series, targets: np.ndarray, folds: np.ndarray) -> float:
    levels, names = pd.factorize(column, use_na_sentinel=False)
    cells = levels * FOLDS + folds
    # By level and fold; then of the other folds, which alone a row is judged by.
    rows, purchases = (np.bincount(cells, weights, FOLDS * len(names)) for weights in (None, targets))
    others, bought = (_of_other_folds(counts.reshape(-1, FOLDS)) for counts in (rows, purchases))
    prior = bought.sum(axis=0) / np.maximum(others.sum(axis=0), 1)
    shares = ((bought + PRIOR_ROWS * prior) / (others + PRIOR_ROWS)).ravel()[cells]
    # Within folds: across them, a fold with more purchases is judged by rows with fewer, and would seem worse.
    won = [_pairs_won(shares[folds == fold], targets[folds == fold]) for fold in range(FOLDS)]
    return np.divide(*np.sum(won, axis=0))


def _of_other_folds(counts: np.ndarray) -> np.ndarray:
    return counts.sum(axis=1, keepdims=True) - counts


def _folds(targets: np.ndarray) -> np.ndarray:
    """A fold for each row, at random but the same each time, with as many of each class as the others."""
    order = np.random.default_rng(0).permutation(len(targets))
    folds = np.empty(len(targets), np.int64)
    for label in (0, 1):
        rows = order[targets[order] == label]
        folds[rows] = np.arange(len(rows)) % FOLDS
    return folds


def _pairs_won(values: np.ndarray, targets: np.ndarray) -> tuple[float, int]:
    """Of the pairs of a purchase and another row, those where the purchase is higher, a tie being half; and all."""
    purchases, others = np.sort(values[targets == 1]), np.sort(values[targets == 0])
    below, at_most = (np.searchsorted(others, purchases, side).sum() for side in ("left", "right"))
    return (below + at_most) / 2, len(purchases) * len(others)


def _hashes(rows: Frame) -> np.ndarray:
    # As floats, as a column of whole numbers is where a value is missing; adding 0 makes 0 of -0.
    hashes = [
        pd.util.hash_pandas_object(part.assign(**part.select_dtypes("number").astype(np.float64) + 0.0), index=False)
        for part in iter_chunks(rows)
    ]
    return np.concatenate(hashes)
