"""How the grid search grows with points, with one process and with one per core.

    python -m benchmarks.grid_by_points [--points 10 50 100 200]

Prints a table and draws docs/grid_by_points.svg. The grid is trained on 3,000 rows for one epoch, so that nearly all of
the time goes into loading, compiling and bookkeeping.
"""

import argparse
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from benchmarks.pictures import draw_lines
from benchmarks.tools import PARAMS, ROOT
from benchmarks.training_step import random_rows
from stages.lib.common.model_params import ModelConfig
from stages.lib.common.params import Params
from stages.lib.tuning.folds import Fold
from stages.lib.tuning.grid import run_grid
from stages.lib.tuning.points import Grid, grid_points
from stages.lib.tuning.workers import worker_pool

PICTURE = ROOT / "docs" / "grid_by_points.svg"
ROWS = 4_000  # a quarter of them to validate on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[10, 50, 100, 200], help="even numbers")
    results = measure_grids(parser.parse_args().points)
    print(results.round(1).to_string(index=False))
    draw_lines(results, "points", {"seconds": "seconds"}, "processes", PICTURE, "Grid search, 3,000 rows, one epoch")


def measure_grids(points: list[int]) -> pd.DataFrame:
    """The seconds of a grid, a row for each number of points and of processes."""
    base = Params.load(PARAMS).train_base.with_point({"epochs": 1})
    rows = []
    for processes in sorted({1, joblib.cpu_count()}):
        for count in points:
            grid = {"learning_rate": (np.arange(1, count // 2 + 1) / 10_000).tolist(), "batch_size": [24, 48]}
            seconds = time_grid(grid, base, [random_fold(ROWS)], processes)
            label = "1 process" if processes == 1 else f"{processes} processes"
            rows.append({"processes": label, "points": count, "seconds": seconds})
    return pd.DataFrame(rows)


def random_fold(rows: int) -> Fold:
    inputs, targets = random_rows(rows)
    n_train = rows * 3 // 4
    return Fold(inputs[:n_train], targets[:n_train], np.ones(n_train, np.float32), inputs[n_train:], targets[n_train:])


def time_grid(
    grid: Grid, base: ModelConfig, folds: list[Fold], processes: int, halving_factor: int | None = None
) -> float:
    """The seconds of a grid search in processes that are started for it.

    Args:
        grid: values of params other than those of the encoding.
        base: the configuration that the grid varies.
        folds: to train and validate on.
        processes: how many, at most one per core.
        halving_factor: see `run_grid`.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, worker_pool(processes) as pool:
        run_grid(pool, grid_points(grid), base, {base.encoding: folds}, 1, Path(folder), halving_factor)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
