"""The folds that grid points are trained and validated on: encoded once, and passed to workers as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from stages.lib.common.files import atomic_write
from stages.lib.common.model_params import Encoding
from stages.lib.common.params import Params
from stages.lib.dataset.matrix import FileMatrix, Matrix, iter_matrix, write_npy
from stages.lib.tuning.points import Point


@dataclass(frozen=True)
class Fold:
    """Inputs, (rows, inputs), targets and weights, (rows,), to train on, and rows to validate on, all float32."""

    inputs: Matrix
    targets: np.ndarray
    weights: np.ndarray
    val_inputs: Matrix
    val_targets: np.ndarray

    def save(self, folder: Path) -> Path:
        """Write a .npy file per array; returns the folder.

        A file that an earlier search has left is written again, since it may be damaged.
        """
        for name, array in vars(self).items():
            with atomic_write(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
                write_npy(file, array.shape, iter_matrix(array))
        return folder

    @classmethod
    def load(cls, folder: Path) -> Fold:
        """The fold that was saved there; its inputs are read from disk on demand."""
        arrays = {field.name: FileMatrix.open(folder / f"{field.name}.npy") for field in fields(cls)}
        return cls(
            inputs=arrays["inputs"],
            targets=arrays["targets"][:],
            weights=arrays["weights"][:],
            val_inputs=arrays["val_inputs"],
            val_targets=arrays["val_targets"][:],
        )


Folds = dict[Encoding, list[Fold]]  # the same folds for each encoding in the grid


def make_folds(train: Path, points: Sequence[Point], params: Params) -> Folds:
    """Encode the folds of the training set, or the one validation split, for each encoding of the points.

    The encoder is fitted on the training rows of each fold. Inputs larger than a chunk are in unnamed temporary files
    until `run_grid` saves them: the disk needs room for all folds' inputs twice.

    Args:
        train: the training set.
        points: of a grid.
        params: of the grid search, the split and the configuration that the grid varies.

    Raises:
        InputError: the training set cannot be read, or is too small for the folds.
    """
    # Imported here, so that the workers load TensorFlow while this process loads these.
    from stages.lib.dataset.sessions import Sessions, read_sessions
    from stages.lib.dataset.splits import cv_folds, train_test_split
    from stages.lib.modeling.encoder import fit_to_train
    from stages.lib.modeling.target_encoding import inner_folds

    settings, strategy, sessions = params.grid_search, params.split.strategy, read_sessions(train)
    if settings.folds:
        splits = cv_folds(sessions, strategy, settings.folds, params.seed)
    else:
        splits = [train_test_split(sessions, strategy, settings.validation_split, params.seed)]

    def make_fold(train_rows: Sessions, val_rows: Sessions, encoding: Encoding) -> Fold:
        encoder, encoded_rows = fit_to_train(train_rows, encoding, inner_folds(strategy, params.seed))
        weights = train_rows.weights
        return Fold(
            inputs=encoder.inputs(encoded_rows.features),
            targets=train_rows.column("target").to_numpy("float32"),
            weights=np.ones(len(train_rows), np.float32) if weights is None else weights.astype(np.float32),
            val_inputs=encoder.inputs(val_rows.features),
            val_targets=val_rows.column("target").to_numpy("float32"),
        )

    encodings = dict.fromkeys(params.grid_base.with_point(point).encoding for point in points)
    return {
        encoding: [
            make_fold(sessions.take(train_idx), sessions.take(val_idx), encoding) for train_idx, val_idx in splits
        ]
        for encoding in encodings
    }
