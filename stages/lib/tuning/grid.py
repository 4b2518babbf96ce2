"""Grid search: every point is trained in every fold by a pool of workers; a killed search can be resumed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import delayed

from stages.lib.common.errors import InputError
from stages.lib.common.model_params import ModelConfig
from stages.lib.common.processes import Pool
from stages.lib.common.progress import advance, show_progress
from stages.lib.dataset.matrix import iter_matrix
from stages.lib.tuning.folds import Folds
from stages.lib.tuning.halving import promoted, rounds
from stages.lib.tuning.points import Point, shards
from stages.lib.tuning.shard import EPOCHS, METRIC, METRICS, POINT, run_shard

if TYPE_CHECKING:
    import pandas as pd  # imported where it is used, so that workers load TensorFlow a quarter of a second sooner


def run_grid(
    pool: Pool,
    points: Sequence[Point],
    base: ModelConfig,
    folds: Folds,
    seed: int,
    checkpoints: Path,
    halving_factor: int | None = None,
) -> pd.DataFrame:
    """Train at every point, in every fold or, by successive halving, in more and more folds.

    The results depend neither on the number of workers nor on the order they work in.

    Args:
        pool: the workers.
        points: of a grid.
        base: the configuration that the points vary.
        folds: for each encoding of the points, the rows to train and validate on.
        seed: of every training.
        checkpoints: a folder that all workers can access. Completed points are saved in it, for the same search to
            resume from, and so are the folds, for workers to read.
        halving_factor: each of the `rounds` of folds trains the best 1 / halving_factor of the points that the round
            before has trained; None: every fold trains all points.

    Returns:
        A row per point: its values, val_auc, val_auc_se, val_loss, loss and epochs, as they are after the last epoch,
        each the mean over the folds that trained it, and folds, their number. val_auc_se is the standard error of the
        mean; it is a little too small, since folds share training rows (Bengio & Grandvalet 2004, No unbiased estimator
        of the variance of k-fold cross-validation), and NaN for a single fold.

    Raises:
        InputError: the search was interrupted.
    """
    import pandas as pd

    points = list(points)
    folder = checkpoints.absolute() / fingerprint(points, base, folds, seed, halving_factor)
    for other in checkpoints.absolute().glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)  # a worker of an earlier search may still be writing
    saved = {
        encoding: [fold.save(folder / "folds" / f"{i}-{j}") for j, fold in enumerate(encoded)]
        for i, (encoding, encoded) in enumerate(folds.items())
    }
    first, *others = next(iter(folds.values()))
    n_folds = len(others) + 1
    how = f"{n_folds} folds" if others else "a validation split"
    print(
        f"{len(points)} points, {how}: {len(first.inputs)} training rows, {len(first.val_inputs)} validation rows",
        flush=True,
    )

    def train(numbers: list[int], in_folds: range) -> pd.DataFrame:
        calls = []
        for i, shard in enumerate(shards(points, numbers)):
            encodings = dict.fromkeys(base.with_point(points[number]).encoding for number in shard)
            shard_folds = {encoding: [saved[encoding][fold] for fold in in_folds] for encoding in encodings}
            shard_folder = folder / f"{in_folds[0]}-{i:04}"
            calls.append(delayed(run_shard)(shard, points, base, shard_folds, seed, shard_folder))
        with show_progress("grid", len(calls), "parts of the grid"):
            return pd.concat(pool(calls, on_result=advance), ignore_index=True)

    tables: list[pd.DataFrame] = []
    numbers = [*range(len(points))]
    for in_folds in rounds(n_folds) if halving_factor else [range(n_folds)]:
        if halving_factor and tables:
            numbers = promoted(pd.concat(tables), halving_factor)
            print(f"{in_folds[-1] + 1} of {n_folds} folds: the best {len(numbers)} points", flush=True)
        tables.append(train(numbers, in_folds))
    return _mean_over_folds(points, pd.concat(tables))


def best_point(results: pd.DataFrame) -> int:
    """The row with the highest validation AUC of those that the most folds trained; the first one of several."""
    if results[METRIC].isna().all():
        raise InputError("no point of the grid has a validation AUC: training diverged at all of them")
    folds = results["folds"].where(results[METRIC].notna())
    return int(results[METRIC].where(folds == folds.max()).argmax())


def fingerprint(points: list[Point], base: ModelConfig, folds: Folds, seed: int, halving_factor: int | None) -> str:
    """A hash of all that the results depend on: searches with different ones do not resume each other."""
    content = hashlib.sha256(repr((points, base, seed, halving_factor, [*folds])).encode())
    for encoded in folds.values():
        for fold in encoded:
            for array in vars(fold).values():
                for chunk in iter_matrix(array):
                    content.update(np.ascontiguousarray(chunk).data)
    return content.hexdigest()[:16]


def _mean_over_folds(points: list[Point], completed: pd.DataFrame) -> pd.DataFrame:
    """The table that `run_grid` returns; metrics are NaN for a point at which training diverged in any fold."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for point, (_, by_fold) in zip(points, completed.groupby(POINT), strict=True):
        metrics = {name: by_fold[name].mean(skipna=False) for name in METRICS}
        row = {METRIC: metrics[METRIC], f"{METRIC}_se": by_fold[METRIC].sem(skipna=False), **metrics}
        rows.append(point | row | {"epochs": by_fold[EPOCHS].mean(), "folds": len(by_fold)})
    table = pd.DataFrame(rows)
    return table.assign(epochs=table["epochs"].round().astype("Int64"))
