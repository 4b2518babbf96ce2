"""Search a grid by cross-validation, train the best point on the whole training set, and predict the test set."""

import shutil
from pathlib import Path

from stages.lib.common.cli import run
from stages.lib.common.files import write_csv
from stages.lib.common.params import Params
from stages.lib.tuning.folds import make_folds
from stages.lib.tuning.grid import best_point, run_grid
from stages.lib.tuning.points import format_point, sample_points, shards
from stages.lib.tuning.shard import METRIC
from stages.lib.tuning.workers import worker_pool

CHECKPOINTS = Path(".grid_search")


def main(
    train: Path, test: Path, model: Path, predictions: Path, out_of_fold: Path, importance: Path, results: Path
) -> None:
    params = Params.load()
    settings, base = params.grid_search, params.grid_base
    points = sample_points(settings.grid, settings.n_points, params.seed)
    with worker_pool(len(shards(points, range(len(points)))), params.runtime.backend) as pool:
        folds = make_folds(train, points, params)
        table = run_grid(pool, points, base, folds, params.seed, CHECKPOINTS, settings.halving_factor)
        best = best_point(table)
        point = points[best]
        print(f"best point: {format_point(point)}, validation AUC {table[METRIC][best]:.4f}", flush=True)
        # Imported here, so that the workers load TensorFlow while this process makes the folds.
        from stages.lib.modeling.network_stage import train_network

        paths = (train, test, model, predictions, out_of_fold, importance)
        train_network(base.with_point(point), params, *paths, pool=pool)
    write_csv(results, table)
    shutil.rmtree(CHECKPOINTS, ignore_errors=True)  # a lost worker may hold a file open there


if __name__ == "__main__":
    run(main)
