"""What a worker does: run talos on a shard of the grid, resuming where an earlier run was killed."""

from __future__ import annotations

import shutil
import zlib
from functools import partial
from pathlib import Path
from threading import RLock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.lib.common.errors import InputError
from stages.lib.common.files import lock
from stages.lib.common.model_params import Encoding, ModelConfig
from stages.lib.tuning.folds import Fold
from stages.lib.tuning.points import Point, format_point
from stages.lib.tuning.workers import print_line

if TYPE_CHECKING:
    import pandas as pd  # imported where it is used, so that workers load TensorFlow a quarter of a second sooner

METRIC = "val_auc"  # that points are compared by
METRICS = (METRIC, "val_loss", "loss")
CHECKSUM = "checksum"  # of a row's metrics, which talos keeps in its checkpoint
EPOCHS = "epochs_trained"  # not "epochs", which may be a param in the grid
POINT = "point"  # the column of points' numbers

SavedFolds = dict[Encoding, list[Path]]


def run_shard(
    shard: list[int], points: list[Point], base: ModelConfig, folds: SavedFolds, seed: int, folder: Path
) -> pd.DataFrame:
    """Train at every point of a shard, in each fold.

    Args:
        shard: the numbers of its points, which are positions in `points`.
        points: all of them.
        base: the configuration that the points vary.
        folds: the folders of the folds, for each encoding in the shard.
        seed: of weights and batches: every point starts from the same.
        folder: talos' own folder. What it completed there is not trained again.

    Returns:
        A row per point and fold: POINT, METRICS and EPOCHS.

    Raises:
        InputError: the run was interrupted, or the folder is not shared by the workers.
    """
    import pandas as pd

    def train(_x: np.ndarray, _y: np.ndarray, _x_val: np.ndarray, _y_val: np.ndarray, row: Point) -> dict[str, float]:
        point = points[row[POINT]]
        config = base.with_point(point)
        by_fold = [_train(Fold.load(fold), config, seed) for fold in folds[config.encoding]]
        _log_point(row[POINT], len(points), point, by_fold)
        return _with_checksum({f"{name} {i}": value for i, row in enumerate(by_fold) for name, value in row.items()})

    def scan(resume: bool) -> Any:
        # talos would hash the data several times per point, so it gets placeholders; the folds are read by `train`.
        placeholder = np.arange(len(next(iter(folds.values()))))
        return _scan(
            x=placeholder,
            y=placeholder,
            x_val=placeholder,
            y_val=placeholder,
            # Not the points themselves, since talos walks all combinations of values.
            params={POINT: shard},
            # talos resumes only if a hash of the code it calls is the same. For a plain function this includes the
            # bytecode, which depends on what the process has run before; for a partial it does not.
            model=partial(train),
            experiment_name="grid",
            experiment_dir=folder,
            resume=resume,
            seed=seed,
            save_weights=False,
            disable_progress_bar=True,
        )

    with lock(folder):
        try:
            result = scan(resume=(folder / "checkpoint.json").exists())
            _check(result.data)
        except (ValueError, OSError):
            # The checkpoint is from other code or other versions, was cut off while it was written, or is damaged.
            if not folder.exists():
                raise
            shutil.rmtree(folder)
            result = scan(resume=False)
    # talos catches an interrupt and returns what it has: a part of a grid is not a result.
    if result.status != "complete" or len(result.data) != len(shard):
        raise InputError(f"the grid was interrupted after {len(result.data)} of the {len(shard)} points of a shard")
    n_folds = len(next(iter(folds.values())))
    return pd.DataFrame(
        {POINT: int(row[POINT])} | {name: row[f"{name} {fold}"] for name in (*METRICS, EPOCHS)}
        for row in result.data.to_dict("records")
        for fold in range(n_folds)
    )


def _scan(**options: Any) -> Any:
    from talos import Scan
    from talos.experiment import provenance
    from tqdm import tqdm

    # talos would start git to find the revision of its own code: there may be none, and each commit would be new.
    provenance.subprocess = SimpleNamespace(run=lambda *_, **__: SimpleNamespace(returncode=1))
    tqdm.set_lock(RLock())  # its own is a semaphore of the system, which a worker would leave behind
    return Scan(**options)


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
            sample_weight=fold.weights,
            validation_data=(fold.val_inputs, fold.val_targets),
            validation_freq=1 if training.patience else training.epochs,
        )
    except FloatingPointError:
        # A learning rate that is too high is a result; the grid goes on.
        return dict.fromkeys((*METRICS, EPOCHS), float("nan"))
    return {name: history[name][-1] for name in METRICS} | {EPOCHS: len(history["loss"])}


def _with_checksum(metrics: dict[str, float]) -> dict[str, float]:
    content = repr(sorted((name, float(value)) for name, value in metrics.items()))
    return metrics | {CHECKSUM: float(zlib.crc32(content.encode()))}


def _check(results: pd.DataFrame) -> None:
    """Raise a ValueError unless all rows have the metrics that were saved with their checksums."""
    for row in results.to_dict("records"):
        metrics = {str(name): value for name, value in row.items() if str(name).split(" ")[0] in (*METRICS, EPOCHS)}
        if row[CHECKSUM] != _with_checksum(metrics)[CHECKSUM]:
            raise ValueError("damaged metrics")


def _log_point(number: int, n_points: int, point: Point, by_fold: list[dict[str, float]]) -> None:
    values = {name: np.array([row[name] for row in by_fold]) for name in (METRIC, "val_loss", EPOCHS)}
    auc = f"{values[METRIC].mean():.4f}"
    if len(by_fold) > 1 and not np.isnan(values[METRIC]).any():
        auc += f" ± {values[METRIC].std(ddof=1) / len(by_fold) ** 0.5:.4f}"
    print_line(
        f"point {number + 1}/{n_points}  {format_point(point)}:  {METRIC} {auc}  "
        f"val_loss {values['val_loss'].mean():.4f}  after {values[EPOCHS].mean():.0f} epochs"
    )
