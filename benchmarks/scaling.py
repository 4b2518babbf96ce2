"""How training grows with rows, and the grid search with points and with processes; a table and docs/scaling.svg.

python -m benchmarks.scaling [--most-rows 5000000] [--most-points 200]
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import joblib
import numpy as np
import pandas as pd

from benchmarks import step
from stages.lib.common.params import load
from stages.lib.tuning.grid import Fold, run_grid
from stages.lib.tuning.workers import worker_pool

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "scaling.svg"


def rows(most: int) -> pd.DataFrame:
    """Seconds of an epoch of the study's network, and what that makes a step, by rows."""
    from stages.lib.modeling.fit import fit

    (base,) = load("train_base", path=ROOT / "params.yaml")
    settings = base.with_point({"batch_size": 24, "epochs": 3}).training
    found = []
    for count in (50_000, 150_000, 500_000, 1_500_000, 5_000_000):
        if count > most:
            break
        inputs, targets = step.synthetic(count)
        clock = step._Clock()
        fit(step.network(), inputs, targets, settings, seed=1, callbacks=[clock])
        seconds = median(clock.seconds[1:])
        found.append({"rows": count, "seconds an epoch": seconds, "ms a step": 1000 * seconds / -(-count // 24)})
    return pd.DataFrame(found)


def points(most: int) -> pd.DataFrame:
    """Seconds to walk a grid on 3,000 rows for an epoch, where nearly all is loading, compiling and bookkeeping."""
    (base,) = load("train_base", path=ROOT / "params.yaml")
    inputs, targets = step.synthetic(4_000)
    judged = Fold(inputs[:3_000], targets[:3_000], inputs[3_000:], targets[3_000:])
    found = []
    for count in (10, 50, 100, 200):
        if count > most:
            break
        grid = {"learning_rate": (np.arange(1, count // 2 + 1) / 10_000).tolist(), "batch_size": [24, 48]}
        for processes in sorted({1, joblib.cpu_count()}):
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder, worker_pool(processes) as pool:
                run_grid(pool, grid, base.with_point({"epochs": 1}), {base.encoding: [judged]}, 1, Path(folder))
            found.append({"points": count, "processes": processes, "seconds": time.perf_counter() - start})
    return pd.DataFrame(found)


def draw(by_rows: pd.DataFrame, by_points: pd.DataFrame) -> None:
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.loglog(by_rows["rows"], by_rows["seconds an epoch"], marker="o")
    left.set(xlabel="rows", ylabel="seconds an epoch", title="Training, batches of 24")
    for processes, group in by_points.groupby("processes"):
        label = f"{processes} process{'es' * (processes > 1)}"
        right.plot(group["points"], group["seconds"], marker="o", label=label)
    right.set(xlabel="points of the grid", ylabel="seconds", title="Grid search, 3,000 rows, one epoch", ylim=0)
    right.legend(frameon=False)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most-rows", type=int, default=5_000_000)
    parser.add_argument("--most-points", type=int, default=200)
    options = parser.parse_args()
    by_points = points(options.most_points)
    print(by_points.round(1).to_string(index=False))
    by_rows = rows(options.most_rows)
    print(by_rows.round(4).to_string(index=False))
    draw(by_rows, by_points)


if __name__ == "__main__":
    main()
