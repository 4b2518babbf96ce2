"""Checks for leakage: columns that predict the target too well by themselves, and rows that are on both sides."""

import numpy as np
import pandas as pd

from stages.lib.dataset.parquet import Frame, iter_chunks

FOLDS = 5
SMOOTHING = 10  # a category's purchase rate is computed as if it had this many more rows, with the overall rate


def univariate_auc(features: Frame, targets: np.ndarray) -> pd.Series:
    """The AUC of each column by itself, by column; `targets` are 0 and 1, of shape (rows,), with rows of both.

    A number ranks the rows by its value, and a category by its purchase rate. The rate is computed on the rows of other
    folds and smoothed (Micci-Barreca 2001, SIGKDD Explorations 3:1), since on the same rows infrequent categories would
    seem to predict well. For a number, the direction counts that gives the higher AUC, with missing values at the end
    that does.
    """
    folds = assign_folds(targets)
    aucs = {}
    for name, column in features.items():
        if pd.api.types.is_numeric_dtype(column):
            aucs[name] = _numeric_auc(column.to_numpy(np.float64), targets)
        else:
            aucs[name] = _category_auc(column, targets, folds)
    return pd.Series(aucs, dtype=np.float64)


def count_duplicates(train: Frame, test: Frame) -> int:
    """The number of rows in `test` that equal a row of `train` in all columns; missing values equal each other."""
    return int(np.isin(_hash_rows(test), _hash_rows(train)).sum())


def assign_folds(targets: np.ndarray) -> np.ndarray:
    """The fold of each row, from 0 to 4: random, the same on each call, with equally many rows of each class."""
    order = np.random.default_rng(0).permutation(len(targets))
    folds = np.empty(len(targets), np.int64)
    for label in (0, 1):
        rows = order[targets[order] == label]
        folds[rows] = np.arange(len(rows)) % FOLDS
    return folds


def _numeric_auc(values: np.ndarray, targets: np.ndarray) -> float:
    is_missing = np.isnan(values)
    fills = (-np.inf, np.inf) if is_missing.any() else (0.0,)
    aucs = []
    for fill in fills:
        concordant, pairs = _concordant_pairs(np.where(is_missing, fill, values), targets)
        aucs += [concordant / pairs, 1 - concordant / pairs]
    return max(aucs)


def _category_auc(column: pd.Series, targets: np.ndarray, folds: np.ndarray) -> float:
    codes, categories = pd.factorize(column, use_na_sentinel=False)
    cells = codes * FOLDS + folds
    n_cells = len(categories) * FOLDS
    other_rows = _sum_of_other_folds(np.bincount(cells, minlength=n_cells))
    other_purchases = _sum_of_other_folds(np.bincount(cells, targets, n_cells))
    prior = other_purchases.sum(axis=0) / np.maximum(other_rows.sum(axis=0), 1)
    rates = ((other_purchases + SMOOTHING * prior) / (other_rows + SMOOTHING)).ravel()[cells]
    # Only pairs within a fold count. Where a fold happens to have more purchases, the others have fewer, and so its
    # rates are lower: across folds, this alone would rank purchases below other rows.
    concordant, pairs = 0.0, 0
    for fold in range(FOLDS):
        in_fold = folds == fold
        fold_concordant, fold_pairs = _concordant_pairs(rates[in_fold], targets[in_fold])
        concordant += fold_concordant
        pairs += fold_pairs
    return concordant / pairs


def _sum_of_other_folds(counts: np.ndarray) -> np.ndarray:
    """For each category and fold the sum over the other folds, from and to an array of shape (categories, folds)."""
    by_fold = counts.reshape(-1, FOLDS)
    return by_fold.sum(axis=1, keepdims=True) - by_fold


def _concordant_pairs(values: np.ndarray, targets: np.ndarray) -> tuple[float, int]:
    """Of the pairs of a purchase and another row, those with the higher value for the purchase, and all of them.

    A tie counts one half.
    """
    purchases, others = np.sort(values[targets == 1]), np.sort(values[targets == 0])
    below, at_most = (np.searchsorted(others, purchases, side).sum() for side in ("left", "right"))
    return float(below + at_most) / 2, len(purchases) * len(others)


def _hash_rows(rows: Frame) -> np.ndarray:
    hashes = []
    for chunk in iter_chunks(rows):
        # Integers are read as floats on the side where a value is missing. Adding 0 turns -0 into 0.
        numbers = chunk.select_dtypes("number").astype(np.float64) + 0.0
        hashes.append(pd.util.hash_pandas_object(chunk.assign(**numbers), index=False))
    return np.concatenate(hashes)
