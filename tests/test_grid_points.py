"""Which points a grid has, which of them go on from round to round, and which one is the best."""

import numpy as np
import pandas as pd
import pytest
from talos.parameters.ParamSpace import ParamSpace

from stages.lib.common.errors import InputError
from stages.lib.tuning.grid import best_point
from stages.lib.tuning.halving import promoted, rounds
from stages.lib.tuning.points import POINTS_PER_SHARD, Grid, Point, grid_points, sample_points, shards

pytestmark = pytest.mark.slow


def as_set(points: list[Point]) -> set[str]:
    return {str(sorted(point.items())) for point in points}


def test_shards_have_each_point_once_and_share_what_is_compiled() -> None:
    grid: Grid = {
        "batch_size": [24, 48],
        "learning_rate": [i / 1000 for i in range(1, 8)],
        "dropout": [0.1, 0.2],
        "layers": [[4], [3, 2]],
    }
    points = grid_points(grid)
    for numbers in (range(len(points)), [2, 3, 5, 30, 50]):
        parts = shards(points, numbers)
        assert sorted(number for part in parts for number in part) == [*numbers]
        for part in parts:
            programs = {(points[number]["batch_size"], str(points[number]["layers"])) for number in part}
            assert len(programs) == 1 and len(part) <= POINTS_PER_SHARD
    assert [len(part) for part in shards(points, range(len(points)))] == [7] * 8


def test_points_are_drawn_as_talos_draws_them_and_in_the_order_of_the_grid() -> None:
    grid: Grid = {"layers": [[4], [3, 2], [5]], "learning_rate": [i / 1000 for i in range(1, 8)], "dropout": [0.0, 0.1]}
    points = sample_points(grid, 9, seed=3)
    drawn = ParamSpace(grid, round_limit=9, seed=3)
    assert as_set(points) == as_set([dict(zip(grid, values, strict=True)) for values in drawn.param_space])
    assert points == [point for point in grid_points(grid) if point in points] and len(points) == 9
    assert sample_points(grid, 9, seed=4) != points == sample_points(grid, 9, seed=3)
    assert (
        sample_points(grid, None, 3) == sample_points(grid, 42, 3) == sample_points(grid, 1000, 3) == grid_points(grid)
    )
    huge: Grid = {name: [*range(1000)] for name in ("a", "b", "c", "d")}  # too large to be listed
    assert len(sample_points(huge, 5, seed=1)) == 5


def test_the_first_of_several_best_points_is_chosen() -> None:
    results = pd.DataFrame({"learning_rate": [1.0, 2.0, 3.0], "val_auc": [0.6, 0.7, 0.7], "folds": 5})
    assert best_point(results) == 1


def test_a_point_of_fewer_folds_is_never_the_best_unless_training_diverged_at_the_others() -> None:
    results = pd.DataFrame({"val_auc": [0.9, 0.8, 0.6, 0.7], "folds": [1, 2, 5, 5]})
    assert best_point(results) == 3
    assert best_point(results.assign(val_auc=[0.9, 0.8, np.nan, np.nan])) == 1


@pytest.mark.parametrize(
    ("n_folds", "ends"), [(1, [1]), (2, [1, 2]), (3, [1, 3]), (4, [1, 2, 4]), (5, [1, 2, 5]), (10, [1, 2, 4, 10])]
)
def test_rounds_have_each_fold_once_and_about_twice_as_many_from_round_to_round(n_folds: int, ends: list[int]) -> None:
    assert [in_folds[-1] + 1 for in_folds in rounds(n_folds)] == ends
    assert [fold for in_folds in rounds(n_folds) for fold in in_folds] == [*range(n_folds)]


def test_the_best_points_of_the_last_round_go_on_and_those_that_diverged_come_last() -> None:
    aucs = {0: [0.6], 1: [0.9], 2: [0.7, 0.7], 3: [np.nan, 0.9], 4: [0.8, 0.8], 5: [0.7, 0.8], 6: [0.6, 0.7]}
    rows = [{"point": number, "val_auc": auc} for number, values in aucs.items() for auc in values]
    completed = pd.DataFrame(rows)
    assert promoted(completed, 2) == [4, 5] and promoted(completed, 3) == promoted(completed, 100) == [4]
    assert promoted(completed[completed["point"] == 3], 2) == [3]


def test_a_grid_that_diverges_everywhere_is_an_error() -> None:
    with pytest.raises(InputError, match="training diverged at all of them"):
        best_point(pd.DataFrame({"learning_rate": [1.0, 2.0], "val_auc": [np.nan, np.nan], "folds": 5}))
