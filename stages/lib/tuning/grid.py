"""Grid search: every point is trained in every fold by a pool of workers; a killed search can be resumed."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import delayed

from stages.lib.common.errors import InputError
from stages.lib.common.params import ModelConfig
from stages.lib.dataset.matrix import iter_matrix
from stages.lib.tuning.folds import Folds
from stages.lib.tuning.points import Grid, Point, grid_points, shards
from stages.lib.tuning.shard import EPOCHS, METRIC, METRICS, WORKER, run_shard
from stages.lib.tuning.workers import Pool

if TYPE_CHECKING:
    import pandas as pd  # imported where it is used, so that workers load TensorFlow a quarter of a second sooner


def run_grid(
    pool: Pool, grid: Grid, base: ModelConfig, folds: Folds, seed: int, checkpoints: Path
) -> tuple[pd.DataFrame, list[int]]:
    """Train at every point of the grid.

    The results depend neither on the number of workers nor on the order they work in.

    Args:
        pool: the workers.
        grid: values of params.
        base: the configuration that the grid varies.
        folds: for each encoding in the grid, the rows to train and validate on.
        seed: of every training.
        checkpoints: a folder that all workers can access. Completed points are saved in it, for the same search to
            resume from, and so are the folds, for workers to read.

    Returns:
        A row per point, in the order of `grid_points`: its values, val_auc, val_auc_se, val_loss, loss and epochs, as
        they are after the last epoch, each the mean over the folds. val_auc_se is the standard error of the mean; it
        is a little too small, since folds share training rows (Bengio & Grandvalet 2004, No unbiased estimator of the
        variance of k-fold cross-validation), and NaN for a single fold. Then the process id of the worker that
        trained each point.

    Raises:
        InputError: the search was interrupted.
    """
    import pandas as pd

    points = grid_points(grid)
    folder = checkpoints.absolute() / fingerprint(grid, base, folds, seed)
    for other in checkpoints.absolute().glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)  # a worker of an earlier search may still be writing
    saved = {
        encoding: [fold.save(folder / "folds" / f"{i}-{j}") for j, fold in enumerate(encoded)]
        for i, (encoding, encoded) in enumerate(folds.items())
    }
    first, *others = next(iter(folds.values()))
    how = f"{len(others) + 1} folds" if others else "a validation split"
    print(
        f"{len(points)} points, {how}: {len(first.inputs)} training rows, {len(first.val_inputs)} validation rows",
        flush=True,
    )
    calls = []
    for number, shard in enumerate(shards(grid)):
        encodings = dict.fromkeys(base.with_point(point).encoding for point in grid_points(shard))
        shard_folds = {encoding: saved[encoding] for encoding in encodings}
        calls.append(delayed(run_shard)(shard, points, base, shard_folds, seed, folder / f"{number:04}"))
    completed = pd.concat(pool(calls), ignore_index=True)
    table = pd.DataFrame([_row_of(point, completed) for point in points])
    return table.drop(columns=WORKER).assign(epochs=table["epochs"].round().astype("Int64")), table[WORKER].tolist()


def best_point(results: pd.DataFrame) -> int:
    """The row with the highest validation AUC; the first one of several."""
    if results[METRIC].isna().all():
        raise InputError("no point of the grid has a validation AUC: training diverged at all of them")
    return int(results[METRIC].argmax())


def fingerprint(grid: Grid, base: ModelConfig, folds: Folds, seed: int) -> str:
    """A hash of all that the results depend on: searches with different ones do not resume each other."""
    content = hashlib.sha256(repr((grid, base, seed, [*folds])).encode())
    for encoded in folds.values():
        for fold in encoded:
            for array in vars(fold).values():
                for chunk in iter_matrix(array):
                    content.update(np.ascontiguousarray(chunk).data)
    return content.hexdigest()[:16]


def _row_of(point: Point, completed: pd.DataFrame) -> dict[str, Any]:
    # Compared as text, since values may be lists.
    is_point = np.logical_and.reduce([completed[name].map(repr) == repr(value) for name, value in point.items()])
    if is_point.sum() != 1:
        raise RuntimeError(f"talos returned {is_point.sum()} rows for {point}")
    row = completed[is_point].iloc[0]
    return point | {name: row[name] for name in METRICS} | {"epochs": row[EPOCHS], WORKER: row[WORKER]}
