"""The grid search: the study's own way against this project's stage, both as whole processes, imports and all.

    python -m benchmarks.grid_search [--points 2] [--runs 1]

The study's way is talos over `model.fit`, one point after the other, on the threads TensorFlow takes by itself. It
gets the rows ready made; the stage cuts them from the training part itself, and trains the winner on all of it
besides. Points are judged as in the study, by one part held out (grid_search.folds: 0). Then milliseconds a training
step of each, and of a bare loop. Needs the default data: `dvc repro split` or `dvc pull` first.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import yaml

from benchmarks import step
from stages.grid_search import judged_rows
from stages.lib.common.params import load
from stages.lib.tuning.grid import Fold, format_point

ROOT = Path(__file__).parents[1]
SPLIT = [ROOT / "data/split" / name for name in ("train.parquet", "test.parquet", "encoder.json")]


def study(folder: Path) -> None:
    """Walk the grid of `folder`'s params.yaml as the study did, and write study.csv, in a process of its own."""
    import keras
    from sklearn.metrics import roc_auc_score
    from talos import Scan

    rows = Fold(**np.load(folder / "rows.npz"))
    search, base = load("grid_search", "train_base", path=folder / "params.yaml")

    def train(x_train, y_train, x_val, y_val, point):
        start = time.perf_counter()
        settings, l2 = base.network, keras.regularizers.L2(base.network.l2)
        start_kernel = keras.initializers.GlorotNormal(seed=42)
        hidden = [
            keras.layers.Dense(units, "relu", kernel_initializer=start_kernel, kernel_regularizer=l2)
            for units in settings.layers
        ]
        output = keras.layers.Dense(1, "sigmoid", kernel_initializer=start_kernel, kernel_regularizer=l2)
        model = keras.Sequential([keras.Input((x_train.shape[1],)), *hidden, output])
        model.compile(keras.optimizers.Adam(point["learning_rate"]), "binary_crossentropy", metrics=["accuracy"])
        history = model.fit(
            x_train, y_train, point["batch_size"], base.training.epochs, 0, validation_data=(x_val, y_val)
        ).history
        seconds = time.perf_counter() - start
        auc = roc_auc_score(y_val, model.predict(x_val, verbose=0))
        print(f"  {format_point(point)}: {seconds:.1f} s, validation AUC {auc:.4f}", flush=True)
        return {"val_auc": auc, "val_accuracy": history["val_accuracy"][-1], "seconds": seconds}

    found = Scan(
        x=rows.inputs, y=rows.targets, x_val=rows.validation_inputs, y_val=rows.validation_targets, params=search.grid,
        model=train, experiment_name="study", experiment_dir=folder / "study", save_weights=False,
        disable_progress_bar=True, reduction_metric="val_auc", seed=1,
    )  # fmt: skip
    found.data[[*search.grid, "val_auc", "seconds"]].to_csv(folder / "study.csv", index=False)


def timed(command: list[str], folder: Path) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env={**_environment(), "PYTHONPATH": str(ROOT)}, check=True)
    return time.perf_counter() - start


def _environment() -> dict[str, str]:
    return dict(os.environ) | {"TF_CPP_MIN_LOG_LEVEL": "3"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, help="only so many points, for a quick look")
    parser.add_argument("--runs", type=int, default=1, help="turns of both ways; medians are printed")
    parser.add_argument("--study", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.study:
        study(options.study)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), options.points, options.runs)


def compare(folder: Path, points: int | None, runs: int) -> None:
    document = yaml.safe_load((ROOT / "params.yaml").read_text())
    document["grid_search"]["folds"] = document["validation"]["folds"] = 0  # as in the study
    if points:
        rates = document["grid_search"]["grid"]["learning_rate"]
        document["grid_search"]["grid"]["learning_rate"] = rates[-max(1, points // 2) :]
    (folder / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    search, split, seed, base = load("grid_search", "split", "seed", "train_base", path=folder / "params.yaml")
    ((rows,),) = judged_rows(SPLIT[0], search, base, split, seed).values()
    np.savez(folder / "rows.npz", **vars(rows))

    outputs = ["model", "predictions.parquet", "importances.csv", "grid.csv"]
    stage = [sys.executable, "-m", "stages.grid_search", *map(str, SPLIT), *outputs]
    own_way = [sys.executable, "-m", "benchmarks.grid_search", "--study", str(folder)]
    seconds: dict[str, list[float]] = {"study": [], "stage": []}
    for _ in range(runs):
        subprocess.run(["rm", "-rf", folder / "study"], check=True)
        seconds["stage"].append(timed(stage, folder))
        seconds["study"].append(timed(own_way, folder))
    report(folder, {way: median(values) for way, values in seconds.items()}, len(rows.inputs), base.training.epochs)
    step.report(runs=3)


def report(folder: Path, seconds: dict[str, float], rows: int, epochs: int) -> None:
    theirs, ours = pd.read_csv(folder / "study.csv"), pd.read_csv(folder / "grid.csv")
    both = ours.merge(theirs, on=["learning_rate", "batch_size"], suffixes=("", "_study"))
    both["difference"] = both.val_auc - both.val_auc_study
    both["ms_a_step_study"] = 1000 * both.seconds / (np.ceil(rows / both.batch_size) * epochs)
    print(
        both[["learning_rate", "batch_size", "val_auc_study", "val_auc", "difference", "ms_a_step_study"]].to_string()
    )
    summary = {
        "points": len(both),
        "study_seconds": round(seconds["study"], 1),
        "stage_seconds": round(seconds["stage"], 1),
        "times_as_fast": round(seconds["study"] / seconds["stage"], 1),
        "largest_difference_in_auc": round(both.difference.abs().max(), 4),
    }
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
