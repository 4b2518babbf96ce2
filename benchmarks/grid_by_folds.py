"""How the grid search grows with folds, in all of them and by successive halving.

    python -m benchmarks.grid_by_folds [--folds 2 3 5 10]

Prints a table and draws docs/grid_by_folds.svg. A grid of 50 points of the strong network is trained on 9,000 rows,
with a process per core.
"""

import argparse

import joblib
import pandas as pd

from benchmarks.grid_by_points import random_fold, time_grid
from benchmarks.pictures import draw_lines
from benchmarks.tools import PARAMS, ROOT
from stages.lib.common.params import Params

PICTURE = ROOT / "docs" / "grid_by_folds.svg"
ROWS, FACTOR = 12_000, 4  # a quarter of the rows to validate on
RATES = [0.0005 * i for i in range(1, 11)]  # differ in no program
GRID = {"learning_rate": RATES, "weight_decay": [0.1, 0.3, 1.0, 3.0, 10.0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, nargs="+", default=[2, 3, 5, 10])
    results = measure_grids(parser.parse_args().folds, GRID, ROWS)
    print(results.round(1).to_string(index=False))
    draw_lines(results, "folds", {"seconds": "seconds"}, "trained", PICTURE, "Grid search of 50 points, 9,000 rows")


def measure_grids(folds: list[int], grid: dict[str, list[float]], rows: int) -> pd.DataFrame:
    """The seconds of a grid, with and without halving, a row for each number of folds.

    Args:
        folds: numbers of folds.
        grid: values of params.
        rows: of each fold.
    """
    base, processes = Params.load(PARAMS).train_strong, joblib.cpu_count()
    ways = {"all points in each fold": None, "successive halving": FACTOR}
    return pd.DataFrame(
        {"trained": trained, "folds": n, "seconds": time_grid(grid, base, [random_fold(rows)] * n, processes, factor)}
        for trained, factor in ways.items()
        for n in folds
    )


if __name__ == "__main__":
    main()
