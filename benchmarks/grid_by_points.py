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

from benchmarks.pictures import save_svg
from benchmarks.tools import PARAMS, ROOT
from benchmarks.training_step import random_rows
from stages.lib.common.params import Params
from stages.lib.tuning.folds import Fold
from stages.lib.tuning.grid import run_grid
from stages.lib.tuning.points import grid_points
from stages.lib.tuning.workers import worker_pool

PICTURE = ROOT / "docs" / "grid_by_points.svg"
TRAIN_ROWS, VAL_ROWS = 3_000, 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[10, 50, 100, 200], help="even numbers")
    options = parser.parse_args()
    results = measure_grids(options.points)
    print(results.round(1).to_string(index=False))
    draw(results, PICTURE)


def measure_grids(points: list[int]) -> pd.DataFrame:
    """The seconds of a grid, a row for each number of points and of processes."""
    base = Params.load(PARAMS).train_base.with_point({"epochs": 1})
    inputs, targets = random_rows(TRAIN_ROWS + VAL_ROWS)
    fold = Fold(inputs[:TRAIN_ROWS], targets[:TRAIN_ROWS], inputs[TRAIN_ROWS:], targets[TRAIN_ROWS:])
    rows = []
    for count in points:
        grid = {"learning_rate": (np.arange(1, count // 2 + 1) / 10_000).tolist(), "batch_size": [24, 48]}
        for processes in sorted({1, joblib.cpu_count()}):
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder, worker_pool(processes) as pool:
                run_grid(pool, grid_points(grid), base, {base.encoding: [fold]}, 1, Path(folder))
            rows.append({"points": count, "processes": processes, "seconds": time.perf_counter() - start})
    return pd.DataFrame(rows)


def draw(results: pd.DataFrame, path: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(4.8, 3.4), layout="constrained")
    for processes in results["processes"].unique():
        group = results[results["processes"] == processes]
        label = "1 process" if processes == 1 else f"{processes} processes"
        axes.plot(group["points"], group["seconds"], marker="o", label=label)
    axes.set(xlabel="points of the grid", ylabel="seconds", title="Grid search, 3,000 rows, one epoch", ylim=0)
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    save_svg(figure, path)


if __name__ == "__main__":
    main()
