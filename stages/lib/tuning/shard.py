"""What a worker does: run talos on a shard of the grid, resuming where an earlier run was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.lib.common.errors import InputError
from stages.lib.common.params import Encoding, ModelConfig
from stages.lib.tuning.folds import Fold
from stages.lib.tuning.points import Grid, Point, format_point, grid_points
from stages.lib.tuning.workers import print_line

if TYPE_CHECKING:
    import pandas as pd  # imported where it is used, so that workers load TensorFlow a quarter of a second sooner

METRIC = "val_auc"  # that points are compared by
STANDARD_ERROR = "val_auc_se"
METRICS = (METRIC, STANDARD_ERROR, "val_loss", "loss")
EPOCHS = "epochs_trained"  # not "epochs", which may be a param in the grid
WORKER = "worker"  # the column of process ids

SavedFolds = dict[Encoding, list[Path]]


def run_shard(
    shard: Grid, points: list[Point], base: ModelConfig, folds: SavedFolds, seed: int, folder: Path
) -> pd.DataFrame:
    """Train at every point of a shard, in each fold.

    Args:
        shard: a part of the grid.
        points: those of the whole grid, to number them in the log.
        base: the configuration that the points vary.
        folds: the folders of the folds, for each encoding in the shard.
        seed: of weights and batches: every point starts from the same.
        folder: talos' own folder. What it completed there is not trained again.

    Returns:
        A row per point: its values, METRICS, EPOCHS and WORKER, this process' id.

    Raises:
        InputError: the run was interrupted, or the folder is not shared by the workers.
    """
    from talos import Scan

    def train(_x: np.ndarray, _y: np.ndarray, _x_val: np.ndarray, _y_val: np.ndarray, point: Point) -> dict[str, float]:
        config = base.with_point(point)
        metrics = _cross_validate(folds[config.encoding], config, seed)
        _log_point(points.index(dict(point)) + 1, len(points), point, metrics)
        return metrics

    def scan(resume: bool) -> Any:
        # talos would hash the data several times per point, so it gets placeholders; the folds are read by `train`.
        placeholder = np.arange(len(next(iter(folds.values()))))
        return Scan(
            x=placeholder,
            y=placeholder,
            x_val=placeholder,
            y_val=placeholder,
            params=shard,
            # talos resumes only if a hash of the code it calls is the same. For a plain function this includes the
            # bytecode, which depends on what the process has run before; for a partial it does not.
            model=partial(train),
            experiment_name="grid",
            experiment_dir=folder,
            resume=resume,
            seed=seed,
            reduction_metric=METRIC,
            save_weights=False,
            disable_progress_bar=True,
        )

    with lock(folder):
        try:
            result = scan(resume=(folder / "checkpoint.json").exists())
        except (ValueError, OSError):
            # The checkpoint is from other code or other versions, or was cut off while it was written.
            if not folder.exists():
                raise
            shutil.rmtree(folder)
            result = scan(resume=False)
    # talos catches an interrupt and returns what it has: a part of a grid is not a result.
    n_points = len(grid_points(shard))
    if result.status != "complete" or len(result.data) != n_points:
        raise InputError(f"the grid was interrupted after {len(result.data)} of the {n_points} points of a shard")
    return result.data.assign(**{WORKER: os.getpid()})


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder, waiting for another worker to release it; if a worker is killed, its lock goes too.

    A Dask scheduler that has lost contact with a worker gives its call to another, while the first may still run.
    """
    try:
        file = folder.with_suffix(".lock").open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        raise InputError(
            f"{folder.parent}: all workers need access to this folder, and file locks in it: {error}"
        ) from None
    with file:
        yield


def _cross_validate(folds: list[Path], config: ModelConfig, seed: int) -> dict[str, float]:
    """METRICS and EPOCHS, each the mean over the folds; all but EPOCHS are NaN if training diverges in any fold."""
    import pandas as pd

    by_fold = pd.DataFrame([_train(Fold.load(folder), config, seed) for folder in folds])
    metrics = {str(name): mean for name, mean in by_fold.mean().items()}
    metrics[STANDARD_ERROR] = by_fold[METRIC].sem(skipna=False)
    if by_fold.isna().any(axis=None):
        metrics |= dict.fromkeys(METRICS, float("nan"))
    return metrics


def _train(fold: Fold, config: ModelConfig, seed: int) -> dict[str, float]:
    """The last epoch's metrics of a single network trained on one fold, and how many epochs it was trained."""
    from stages.lib.modeling.fit import fit
    from stages.lib.modeling.network import build_network

    training = config.training
    model = build_network(config.network, fold.inputs.shape[1], seed)
    try:
        history = fit(
            model,
            fold.inputs,
            fold.targets,
            training,
            seed=seed,
            validation_data=(fold.val_inputs, fold.val_targets),
            validation_freq=1 if training.patience else training.epochs,
        )
    except FloatingPointError:
        # A learning rate that is too high is a result; the grid goes on.
        return dict.fromkeys((METRIC, "val_loss", "loss", EPOCHS), float("nan"))
    return {name: history[name][-1] for name in (METRIC, "val_loss", "loss")} | {EPOCHS: len(history["loss"])}


def _log_point(number: int, n_points: int, point: Point, metrics: dict[str, float]) -> None:
    auc = f"{metrics[METRIC]:.4f}"
    if not np.isnan(metrics[STANDARD_ERROR]):
        auc += f" ± {metrics[STANDARD_ERROR]:.4f}"
    print_line(
        f"point {number}/{n_points}  {format_point(point)}:  {METRIC} {auc}  val_loss {metrics['val_loss']:.4f}  "
        f"after {metrics[EPOCHS]:.0f} epochs"
    )
