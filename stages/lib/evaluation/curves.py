"""Curves of a model as small tables: points on a grid that all models share, calibration bins, a confusion matrix."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn import metrics

THRESHOLD = 0.5
GRID = np.linspace(0, 1, 201)  # steps of half a percent: finer ones would not show in a plot
ROUNDING_ERROR = 1e-12  # by which a rate in floats may miss the point of GRID that it equals
BINS = 10


def roc(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The highest true positive rate at each false positive rate of GRID, of shape (201,)."""
    fpr, tpr, _ = metrics.roc_curve(targets, probabilities)
    # Where the curve rises vertically, np.interp takes the last of the points, which is the highest.
    return np.interp(GRID + ROUNDING_ERROR, fpr, tpr)


def precision_recall(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The precision at the first, that is highest, threshold that reaches each recall of GRID, of shape (201,)."""
    precision, recall, _ = metrics.precision_recall_curve(targets, probabilities)
    # From the highest threshold down, without the last point, which belongs to no threshold.
    precision, recall = precision[-2::-1], recall[-2::-1]
    return precision[np.searchsorted(recall, GRID - ROUNDING_ERROR)]


def cumulative_gains(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The fraction of all purchases among each fraction in GRID of the sessions, most likely first, of shape (201,)."""
    return recall_at(GRID, targets, probabilities)


def recall_at(fractions: np.ndarray, targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The fraction of all purchases to be expected among fractions of the sessions, most likely first.

    The order of rows of equal probability is arbitrary: the purchases among them count in proportion to how many of
    these rows are taken. So does a row that a fraction cuts through.

    Args:
        fractions: of the sessions, between 0 and 1, of any shape.
        targets: 0 or 1, of shape (rows,).
        probabilities: of a purchase, of shape (rows,).

    Returns:
        An array of the shape of `fractions`.
    """
    _, level, rows = np.unique(-probabilities, return_inverse=True, return_counts=True)
    purchases = np.bincount(level, weights=targets)
    taken, recall = (np.concatenate([[0], counts.cumsum()]) / counts.sum() for counts in (rows, purchases))
    return np.interp(fractions, taken, recall)


def bin_calibration(targets: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Ten bins of equally many rows, by ascending probability.

    Rows of equal probability share the bin that the middle one of them falls into: bins may then differ in size, and
    there may be fewer.

    Args:
        targets: 0 or 1, of shape (rows,).
        probabilities: of a purchase, of shape (rows,).

    Returns:
        A row a bin: `predicted`, the mean probability, `observed`, the purchase rate, and `rows`, its size.
    """
    probabilities = probabilities.astype(np.float64)  # SciPy 1.18 ranks float32 in float32
    bin_index = (rankdata(probabilities) - 0.5) * BINS // len(probabilities)
    table = pd.DataFrame({"predicted": probabilities, "observed": targets.astype(np.float64)})
    by_bin = table.groupby(bin_index)
    return by_bin.mean().assign(rows=by_bin.size()).reset_index(drop=True)


def confusion(targets: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """The confusion matrix at a threshold of 0.5, a row a cell: `actual`, `predicted` and `rows`."""
    counts = metrics.confusion_matrix(targets, probabilities >= THRESHOLD, labels=[0, 1])
    names = ["no purchase", "purchase"]
    return pd.DataFrame(
        [(actual, predicted, counts[i, j]) for i, actual in enumerate(names) for j, predicted in enumerate(names)],
        columns=["actual", "predicted", "rows"],
    )


def tabulate_curves(targets: np.ndarray, probabilities: Mapping[str, np.ndarray]) -> dict[str, pd.DataFrame]:
    """All curves of all models.

    Args:
        targets: 0 or 1, of shape (rows,).
        probabilities: of a purchase by each model, of shape (rows,).

    Returns:
        By name, tables with GRID as the first column and one column a model (`roc`, `precision_recall` and
        `cumulative_gains`), and tables with the model as the first column (`calibration` and `confusion`).
    """

    def on_grid(x: str, curve: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> pd.DataFrame:
        return pd.DataFrame({x: GRID, **{name: curve(targets, values) for name, values in probabilities.items()}})

    def by_model(table: Callable[[np.ndarray, np.ndarray], pd.DataFrame]) -> pd.DataFrame:
        tables = {name: table(targets, values) for name, values in probabilities.items()}
        return pd.concat(tables, names=["model"]).reset_index("model").reset_index(drop=True)

    return {
        "roc": on_grid("fpr", roc),
        "precision_recall": on_grid("recall", precision_recall),
        "cumulative_gains": on_grid("share", cumulative_gains),
        "calibration": by_model(bin_calibration),
        "confusion": by_model(confusion),
    }


def tabulate_losses(histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The losses of all networks by `epoch`.

    Args:
        histories: by network, its columns `epoch`, `loss` and, if it was trained with a validation split, `val_loss`.

    Returns:
        The column `epoch` and, for each network, its loss (`NAME`) and validation loss (`NAME_val`, where there is
        one), empty after its last epoch.
    """
    losses = {}
    for name, history in histories.items():
        by_epoch = history.set_index("epoch")
        losses[name] = by_epoch["loss"]
        if "val_loss" in by_epoch:
            losses[f"{name}_val"] = by_epoch["val_loss"]
    return pd.DataFrame(losses).rename_axis("epoch").reset_index()
