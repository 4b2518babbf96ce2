"""The points of a grid, and the shards in which workers take them."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

POINTS_PER_SHARD = 10

Point = dict[str, Any]
Grid = dict[str, list[Any]]


def grid_points(grid: Grid) -> list[Point]:
    """Every combination of the grid's values; the last key varies fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def sample_points(grid: Grid, n_points: int | None, seed: int) -> list[Point]:
    """The points that talos draws at random for this seed, in the order of `grid_points`.

    Args:
        grid: values of params.
        n_points: how many; None for all, as for a number that is larger than the grid.
        seed: other seeds draw other points.
    """
    from talos.reducers.sample_reducer import sample_reducer

    shape = [len(values) for values in grid.values()]
    if n_points is None or n_points >= math.prod(shape):
        return grid_points(grid)
    drawn = sorted(sample_reducer(n_points, math.prod(shape), "uniform_mersenne", seed))
    positions = zip(*np.unravel_index(drawn, shape), strict=True)
    return [
        {name: values[i] for (name, values), i in zip(grid.items(), position, strict=True)} for position in positions
    ]


def shards(points: Sequence[Point]) -> list[Grid]:
    """Grids of at most POINTS_PER_SHARD points which together are `points`.

    The points of a shard differ in the learning rate only, so that a worker compiles once for all of them; and they are
    few, because talos' bookkeeping is quadratic in the points. Shards depend on the points alone, so that any number of
    workers can resume them.
    """
    by_others: dict[str, list[Point]] = {}
    for point in points:
        others = {name: value for name, value in point.items() if name != "learning_rate"}
        by_others.setdefault(repr(others), []).append(point)  # by text, since values may be lists
    return [
        _as_grid(alike[start : start + POINTS_PER_SHARD])
        for alike in by_others.values()
        for start in range(0, len(alike), POINTS_PER_SHARD)
    ]


def format_point(point: Point) -> str:
    """The point as people write it: no exponents, as in params.yaml."""
    values = (
        (name, np.format_float_positional(value, trim="-") if isinstance(value, float) else value)
        for name, value in point.items()
    )
    return ", ".join(f"{name} {value}" for name, value in values)


def _as_grid(points: Sequence[Point]) -> Grid:
    """The grid of points that differ in the learning rate only."""
    return {
        name: [point[name] for point in points] if name == "learning_rate" else [value]
        for name, value in points[0].items()
    }
