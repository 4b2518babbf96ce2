"""How much a model needs each column: the AUC it loses when the column is shuffled.

Permutation importance, Breiman 2001, "Random Forests", section 10. Columns that say the same share their importance:
the model can do without either.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

ROWS = 2048  # that a column is judged by, in each fold
AT_ONCE = 4  # columns whose shuffled rows are predicted in one call, most of which is overhead


def sample_rows(rows: int, random: np.random.Generator) -> np.ndarray:
    """The numbers, ascending, of at most ROWS rows."""
    return np.sort(random.permutation(rows)[:ROWS])


def permutation_importance(
    predict: Callable[[np.ndarray], np.ndarray],
    inputs: np.ndarray,
    targets: np.ndarray,
    columns: list[str],
    random: np.random.Generator,
) -> pd.Series:
    """The fall in AUC for each raw column, all of whose inputs are shuffled together, by its name.

    Args:
        predict: from inputs to probabilities, (rows,).
        inputs: (rows, inputs), of rows that the model was not trained on: those `chosen` by the same `random`.
        targets: (rows,), 0 or 1.
        columns: for each input, the raw column that it comes from.
    """
    names = list(dict.fromkeys(columns))
    aucs: list[float] = []
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        copies = np.repeat(inputs[np.newaxis], len(some), axis=0)
        for copy, column in zip(copies, some, strict=True):
            block = [place for place, name in enumerate(columns) if name == column]
            copy[:, block] = inputs[random.permutation(len(inputs))][:, block]
        probabilities = predict(copies.reshape(-1, inputs.shape[1])).reshape(len(some), -1)
        aucs += [roc_auc_score(targets, shuffled) for shuffled in probabilities]
    return roc_auc_score(targets, predict(inputs)) - pd.Series(aucs, index=names)


def importance_table(by_fold: pd.DataFrame) -> pd.DataFrame:
    """Columns column, importance and se: mean and standard error over the folds, the most important first."""
    found = pd.DataFrame(
        {
            "column": by_fold.index.astype(str),
            "importance": by_fold.mean(axis=1).to_numpy(),
            "se": by_fold.sem(axis=1).to_numpy(),
        }
    )
    return found.sort_values(["importance", "column"], ascending=[False, True], ignore_index=True)
