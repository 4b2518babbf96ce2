"""How much a model relies on each column: the AUC it loses when the column is shuffled.

Permutation importance: Breiman (2001), Random Forests, section 10. Columns with the same information share their
importance: the model can do without either.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from stages.lib.modeling.roc_auc import roc_auc

SAMPLE_ROWS = 2048  # of each fold
COLUMNS_PER_CALL = 4  # whose shuffled rows are predicted in one call, since a call is mostly overhead


def sample_rows(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """At most SAMPLE_ROWS of the row numbers, ascending."""
    return np.sort(rng.permutation(n_rows)[:SAMPLE_ROWS])


def permutation_importance(
    predict: Callable[[np.ndarray], np.ndarray],
    inputs: np.ndarray,
    targets: np.ndarray,
    input_columns: list[str],
    rng: np.random.Generator,
) -> pd.Series:
    """Shuffle each column, all of whose inputs are shuffled together.

    Args:
        predict: from inputs to probabilities, (rows,).
        inputs: (rows, inputs), of rows that the model was not trained on.
        targets: (rows,), 0 or 1.
        input_columns: for each input, the column that it comes from.
        rng: shuffles.

    Returns:
        For each column, by name, the AUC of the rows as they are less that of the shuffled ones.
    """
    positions: dict[str, list[int]] = {}
    for position, column in enumerate(input_columns):
        positions.setdefault(column, []).append(position)
    columns = [*positions]
    shuffled_aucs: list[float] = []
    for start in range(0, len(columns), COLUMNS_PER_CALL):
        batch = columns[start : start + COLUMNS_PER_CALL]
        shuffled = np.repeat(inputs[np.newaxis], len(batch), axis=0)
        for copy, column in zip(shuffled, batch, strict=True):
            idx = positions[column]
            copy[:, idx] = inputs[rng.permutation(len(inputs))[:, np.newaxis], idx]
        probabilities = predict(shuffled.reshape(-1, inputs.shape[1])).reshape(len(batch), -1)
        shuffled_aucs += [roc_auc(targets, row) for row in probabilities]
    return roc_auc(targets, predict(inputs)) - pd.Series(shuffled_aucs, index=columns)


def importance_table(by_fold: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over the folds, the most important column first.

    Args:
        by_fold: a row per column of features, and a column per fold.

    Returns:
        Columns column, importance and se.
    """
    table = pd.DataFrame(
        {
            "column": by_fold.index.astype(str),
            "importance": by_fold.mean(axis=1).to_numpy(),
            "se": by_fold.sem(axis=1).to_numpy(),
        }
    )
    return table.sort_values(["importance", "column"], ascending=[False, True], ignore_index=True)
