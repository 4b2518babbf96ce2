"""A grid of settings, walked by talos on all workers; killed and started again, it goes on where it was."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import delayed

from stages.lib.common.errors import InputError
from stages.lib.common.params import Encoding, ModelConfig
from stages.lib.dataset.matrix import iter_matrix
from stages.lib.tuning.folds import Fold, Folds
from stages.lib.tuning.points import Grid, Point, format_point, grid_points, shards
from stages.lib.tuning.workers import Pool, print_line

if TYPE_CHECKING:
    import pandas as pd  # where it is used: the workers start a quarter of a second sooner

METRIC = "val_auc"
STANDARD_ERROR = "val_auc_se"
FIGURES = (METRIC, "val_loss", "loss")
WORKER = "worker"


SavedFolds = dict[Encoding, list[Path]]


def run_grid(
    pool: Pool, grid: Grid, base: ModelConfig, folds: Folds, seed: int, checkpoints: Path
) -> tuple[pd.DataFrame, list[int]]:
    """Train at every point of the grid, once a fold: a row a point, in the grid's order, with last epochs' figures.

    Beside it, the process id of the worker that each point came from.

    With several folds these are means, and beside that of the AUC stands its standard error, the folds' deviation
    over the root of their number. It is a little too small, as folds share rows to train on (Bengio & Grandvalet
    2004, "No unbiased estimator of the variance of k-fold cross-validation").
    The figures do not depend on the number of workers in the `pool`, nor on the order they work in. Finished points
    are kept under `checkpoints`, for another walk of the same folds, grid and settings to go on from; so are the
    rows, to be read by the workers.
    Raises InputError if the walk was interrupted: a part of a grid is no result.
    """
    import pandas as pd

    wanted = grid_points(grid)
    folder = checkpoints.absolute() / _fingerprint(grid, base, folds, seed)
    for other in checkpoints.absolute().glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)  # a worker of that walk may be at work yet
    saved = {
        encoded: [rows.save(folder / "rows" / f"{number}-{part}") for part, rows in enumerate(parts)]
        for number, (encoded, parts) in enumerate(folds.items())
    }
    first, *others = next(iter(folds.values()))
    print(
        f"{len(wanted)} points, {len(others) + 1} {'folds' if others else 'part held out'}, "
        f"{len(first.inputs)} rows each, judged by {len(first.val_inputs)}", flush=True
    )  # fmt: skip
    work = (
        delayed(_walk_shard)(shard, wanted, base, _needed(saved, base, shard), seed, folder / f"{number:04}")
        for number, shard in enumerate(shards(grid))
    )
    found = pd.concat(pool(work), ignore_index=True)
    rows = pd.DataFrame([_row(point, found) for point in wanted])
    return rows.drop(columns=WORKER).assign(epochs=rows["epochs"].round().astype("Int64")), rows[WORKER].tolist()


def best_point(results: pd.DataFrame) -> int:
    """The row of the point with the highest validation AUC; the first of them, if several are."""
    if results[METRIC].isna().all():
        raise InputError("no point of the grid has a validation AUC")
    return int(results[METRIC].argmax())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other worker is in here for the same folder; the lock of a killed one goes with it.

    A scheduler that has lost sight of a worker gives its call to another, while it may still be at work.
    """
    try:
        lock = folder.with_suffix(".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise InputError(f"{folder.parent}: workers must share this folder, and lock files in it: {error}") from None
    with lock:
        yield


def _walk_shard(
    shard: Grid, wanted: list[Point], base: ModelConfig, folds: SavedFolds, seed: int, folder: Path
) -> pd.DataFrame:
    """What talos found for the points of `shard`, in a worker process."""
    import pandas as pd
    from talos import Scan

    # talos is handed the numbers of the folds, not their rows, which it would hash several times a round.
    def train(numbers: np.ndarray, _y: np.ndarray, _x_val: np.ndarray, _y_val: np.ndarray, point: Point) -> dict:
        settings = base.with_point(point)
        by_fold = pd.DataFrame([_figures(Fold.load(rows), settings, seed) for rows in folds[settings.encoding]])
        figures = by_fold.mean().to_dict() | {STANDARD_ERROR: by_fold[METRIC].sem(skipna=False)}
        if by_fold.isna().any(axis=None):
            figures |= dict.fromkeys((*FIGURES, STANDARD_ERROR), float("nan"))
        auc = f"{figures[METRIC]:.4f}" + (f" ± {figures[STANDARD_ERROR]:.4f}" if len(numbers) > 1 else "")
        print_line(
            f"point {wanted.index(dict(point)) + 1}/{len(wanted)}  {format_point(point)}:  {METRIC} {auc}  val_loss "
            f"{figures['val_loss']:.4f}  after {figures['epochs_trained']:.0f} epochs"
        )
        return figures

    def scan(resume: bool) -> Any:
        numbers = np.arange(len(next(iter(folds.values()))))
        return Scan(
            x=numbers,
            y=numbers,
            x_val=numbers,
            y_val=numbers,
            params=shard,
            # talos hashes the source of all that is called, and goes on from nothing where it has changed. Of a bare
            # function it would hash the bytecode too, which differs with what the process has done before.
            model=partial(train),
            experiment_name="grid",
            experiment_dir=folder,
            resume=resume,
            seed=seed,
            reduction_metric=METRIC,
            save_weights=False,
            disable_progress_bar=True,
        )

    with _alone(folder):
        try:
            result = scan(resume=(folder / "checkpoint.json").exists())
        except (ValueError, OSError):
            # Made by other code or other versions, or cut off while it was written: nothing to go on from.
            if not folder.exists():
                raise
            shutil.rmtree(folder)
            result = scan(resume=False)
    # talos swallows an interrupt and returns what it has.
    if result.status != "complete" or len(result.data) != len(grid_points(shard)):
        raise InputError(
            f"the grid was interrupted after {len(result.data)} of {len(grid_points(shard))} points of a shard"
        )
    return result.data.assign(**{WORKER: os.getpid()})


def _needed(folds: SavedFolds, base: ModelConfig, shard: Grid) -> SavedFolds:
    return {
        encoded: folds[encoded] for encoded in {base.with_point(point).encoding: None for point in grid_points(shard)}
    }


def _figures(rows: Fold, settings: ModelConfig, seed: int) -> dict[str, float]:
    """The last epoch's figures of a network trained on one fold."""
    from stages.lib.modeling.fit import fit
    from stages.lib.modeling.network import build_network, member_weights

    # talos seeds each round anew; here every point starts from the same weights and sees the same batches.
    built = build_network(settings.network, rows.inputs.shape[1], seed)
    weights = member_weights(len(rows.inputs), settings.network.ensemble_size, seed)
    try:
        history = fit(
            built,
            rows.inputs,
            rows.targets,
            settings.training,
            seed=seed,
            validation=(rows.val_inputs, rows.val_targets),
            sample_weight=weights,
            validation_freq=1 if settings.training.patience else settings.training.epochs,
        )
    except FloatingPointError:
        # A rate that is too high is a result, not the end of the grid.
        return dict.fromkeys((*FIGURES, "epochs_trained"), float("nan"))
    return {name: history[name][-1] for name in FIGURES} | {"epochs_trained": len(history["loss"])}


def _row(point: Point, found: pd.DataFrame) -> dict[str, Any]:
    is_point = np.logical_and.reduce([found[name].map(repr) == repr(value) for name, value in point.items()])
    if is_point.sum() != 1:
        raise RuntimeError(f"talos returned {is_point.sum()} rows for {point}")
    row = found[is_point].iloc[0]
    figures = (METRIC, STANDARD_ERROR, *(name for name in FIGURES if name != METRIC))
    return point | {name: row[name] for name in figures} | {"epochs": row["epochs_trained"], WORKER: row[WORKER]}


def _fingerprint(grid: Grid, base: ModelConfig, folds: Folds, seed: int) -> str:
    content = hashlib.sha256(repr((grid, base, seed, [*folds])).encode())
    for array in (array for parts in folds.values() for rows in parts for array in vars(rows).values()):
        for piece in iter_matrix(array):
            content.update(np.ascontiguousarray(piece).data)
    return content.hexdigest()[:16]
