"""Knowledge distillation: a network learns the probabilities that boosted trees predict, beside the targets.

A target says only what happened, a probability how likely it was, and so the network fits less noise: Hinton, Vinyals &
Dean (2015), Distilling the Knowledge in a Neural Network. Trees predict no row that they were fitted on, whose target
they would repeat, and are fitted on none but the rows that the network is trained on, so that what the network predicts
for other rows is out of fold.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from joblib import delayed

from stages.lib.common.errors import InputError
from stages.lib.common.model_params import Encoding
from stages.lib.common.processes import Pool
from stages.lib.common.progress import show_progress
from stages.lib.dataset.sessions import Sessions, read_sessions
from stages.lib.modeling.cross_validation import Fit, Fold, fit_fold
from stages.lib.modeling.encoder import Encoder
from stages.lib.modeling.target_encoding import InnerFolds


def teacher_probabilities(
    fit: Fit,
    train: Path,
    sessions: Sessions,
    parts: Sequence[np.ndarray],
    encoding: Encoding | Encoder,
    inner_folds: InnerFolds,
    pool: Pool,
) -> list[np.ndarray]:
    """What a teacher predicts for the rows of each part, which one model is trained on.

    The training set is divided into folds. For the rows of a part in one of them, the teacher is fitted on the part's
    rows in the others. Where parts are the complements of these folds, any two of them share a teacher.

    Args:
        fit: how to fit the teacher.
        train: the file of the training set, absolute, which the workers of the pool read.
        sessions: the training set.
        parts: positions in it, ascending.
        encoding: see `fit_fold`.
        inner_folds: make the folds.
        pool: makes the calls.

    Returns:
        Probabilities for each part, float32 of shape (rows of the part,).

    Raises:
        InputError: there are too few rows for the folds.
    """
    targets, all_folds = sessions.column("target").to_numpy(), inner_folds(sessions)
    needed: dict[bytes, list[tuple[int, np.ndarray]]] = defaultdict(list)  # by rows to fit on: part, rows to predict
    for number, part in enumerate(parts):
        for _, val_idx in all_folds:
            if len(predicted := np.intersect1d(part, val_idx, assume_unique=True)):
                fitted = np.setdiff1d(part, val_idx, assume_unique=True)
                if len(np.unique(targets[fitted])) < 2:
                    raise InputError("too few rows: those of some folds have only one class")
                needed[fitted.tobytes()].append((number, predicted))
    folds = [
        (np.frombuffer(fitted, np.int64), np.unique(np.concatenate([rows for _, rows in predicted])))
        for fitted, predicted in needed.items()
    ]
    print(f"fitting {len(folds)} models to learn from (distillation)", flush=True)
    with show_progress("fitting", len(folds), "models"):
        results = pool([delayed(_teach)(fit, train, fold, encoding, inner_folds) for fold in folds])
    probabilities = np.full((len(parts), len(sessions)), np.nan, np.float32)
    for (_, all_predicted), values, of_parts in zip(folds, results, needed.values(), strict=True):
        for number, predicted in of_parts:
            probabilities[number, predicted] = values[np.searchsorted(all_predicted, predicted)]
    return [by_row[part] for by_row, part in zip(probabilities, parts, strict=True)]


def _teach(fit: Fit, train: Path, fold: Fold, encoding: Encoding | Encoder, inner_folds: InnerFolds) -> np.ndarray:
    return fit_fold(fit, read_sessions(train), fold, encoding, inner_folds)[1].probabilities
