"""The study's grid search against this project's stage, both as whole processes, imports and all.

    python -m benchmarks.grid_search_speedup [--points 2] [--runs 1]

The study's way is talos over `model.fit`, one point after the other, on as many threads as TensorFlow chooses. It gets
encoded rows; the stage encodes them itself, and also trains the best point on the whole training set. Points are
compared on a single validation split, as in the study (grid_search.folds: 0). Then prints the milliseconds per training
step of each (see benchmarks.training_step). Needs the default data: run `dvc repro split` or `dvc pull` first.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.processes import measure_module
from benchmarks.tools import PARAMS, ROOT, write_params
from stages.lib.common.params import Params
from stages.lib.tuning.folds import Fold, make_folds
from stages.lib.tuning.points import format_point, grid_points

TRAIN, TEST = ROOT / "data/split/train.parquet", ROOT / "data/split/test.parquet"
POINT = ["learning_rate", "batch_size"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, help="only so many points, for a quick look")
    parser.add_argument("--runs", type=int, default=1, help="turns; medians are printed")
    parser.add_argument("--study", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)  # what the other process does
    options = parser.parse_args()
    if options.study:
        search_as_study(options.study)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), options.points, options.runs)


def compare(folder: Path, points: int | None, runs: int) -> None:
    """Run both and print how they compare.

    Args:
        folder: an empty one to work in.
        points: how many points of the study's grid, or None for all.
        runs: how often to run each.
    """
    # Imported here: it sets TensorFlow to one thread, which the study's process must not inherit.
    from benchmarks import training_step

    params = study_params(folder / "params.yaml", points)
    fold = single_fold(TRAIN, params)
    np.savez(folder / "fold.npz", **vars(fold))
    outputs = ("model", "predictions.parquet", "importance.csv", "grid.csv")
    stage_seconds, study_seconds = [], []
    for _ in range(runs):
        measured = measure_module("stages.grid_search", TRAIN, TEST, *outputs, folder=folder)
        print(measured.output, flush=True)
        stage_seconds.append(measured.seconds)
        shutil.rmtree(folder / "study", ignore_errors=True)
        measured = measure_module("benchmarks.grid_search_speedup", "--study", folder, folder=folder)
        print(measured.output, flush=True)
        study_seconds.append(measured.seconds)
    report(folder, params, len(fold.inputs), median(stage_seconds), median(study_seconds))
    training_step.report(runs=3)


def study_params(path: Path, points: int | None) -> Params:
    """Write and load params in which the grid is searched without folds, perhaps with fewer points."""
    changes: dict[str, Any] = {"grid_search.folds": 0, "validation.folds": 0}
    if points:
        rates = Params.load(PARAMS).grid_search.grid["learning_rate"]
        changes["grid_search.grid.learning_rate"] = rates[-max(1, points // 2) :]  # with two batch sizes each
    write_params(path, changes)
    return Params.load(path)


def single_fold(train: Path, params: Params) -> Fold:
    """The one validation split, of a grid without folds and with a single encoding."""
    ((fold,),) = make_folds(train, grid_points(params.grid_search.grid), params).values()
    return fold


def search_as_study(folder: Path) -> None:
    """Search the grid of `folder`'s params as the study did, on `folder`'s fold, and write study.csv."""
    import keras
    from sklearn.metrics import roc_auc_score
    from talos import Scan

    with np.load(folder / "fold.npz") as arrays:
        fold = Fold(**arrays)
    params = Params.load(folder / "params.yaml")
    grid, settings, epochs = params.grid_search.grid, params.train_base.network, params.train_base.training.epochs

    def train(
        x_train: np.ndarray, y_train: np.ndarray, x_val: np.ndarray, y_val: np.ndarray, point: dict[str, Any]
    ) -> dict[str, float]:
        start = time.perf_counter()
        l2, initializer = keras.regularizers.L2(settings.l2), keras.initializers.GlorotNormal(seed=42)
        hidden = [
            keras.layers.Dense(units, "relu", kernel_initializer=initializer, kernel_regularizer=l2)
            for units in settings.layers
        ]
        output = keras.layers.Dense(1, "sigmoid", kernel_initializer=initializer, kernel_regularizer=l2)
        model = keras.Sequential([keras.Input((x_train.shape[1],)), *hidden, output])
        model.compile(keras.optimizers.Adam(point["learning_rate"]), "binary_crossentropy", metrics=["accuracy"])
        validation = (x_val, y_val)
        history = model.fit(x_train, y_train, point["batch_size"], epochs, 0, validation_data=validation).history
        seconds = time.perf_counter() - start
        auc = roc_auc_score(y_val, model.predict(x_val, verbose=0))
        print(f"  {format_point(point)}: {seconds:.1f} s, validation AUC {auc:.4f}", flush=True)
        return {"val_auc": auc, "val_accuracy": history["val_accuracy"][-1], "seconds": seconds}

    scan = Scan(
        x=fold.inputs,
        y=fold.targets,
        x_val=fold.val_inputs,
        y_val=fold.val_targets,
        params=grid,
        model=train,
        experiment_name="study",
        experiment_dir=folder / "study",
        save_weights=False,
        disable_progress_bar=True,
        reduction_metric="val_auc",
        seed=1,
    )
    scan.data[[*grid, "val_auc", "seconds"]].to_csv(folder / "study.csv", index=False)


def report(folder: Path, params: Params, rows: int, stage_seconds: float, study_seconds: float) -> None:
    """Print each point's validation AUC by both ways, and a summary.

    Args:
        folder: with study.csv and the stage's grid.csv.
        params: of both.
        rows: in the training set of the fold.
        stage_seconds: of the whole stage.
        study_seconds: of the whole search as in the study.
    """
    stage, study = pd.read_csv(folder / "grid.csv"), pd.read_csv(folder / "study.csv")
    points = stage.merge(study, on=POINT, suffixes=("", "_study"))
    points["difference"] = points["val_auc"] - points["val_auc_study"]
    steps = np.ceil(rows / points["batch_size"]) * params.train_base.training.epochs
    points["ms_per_step_study"] = 1000 * points["seconds"] / steps
    print(points[[*POINT, "val_auc_study", "val_auc", "difference", "ms_per_step_study"]].to_string())
    summary = {
        "points": len(points),
        "study_seconds": round(study_seconds, 1),
        "stage_seconds": round(stage_seconds, 1),
        "speedup": round(study_seconds / stage_seconds, 1),
        "largest_auc_difference": round(float(points["difference"].abs().max()), 4),
    }
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
