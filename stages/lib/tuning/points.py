"""The points of a grid, and the shards in which workers take them."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

POINTS_PER_SHARD = 10
NOT_COMPILED_IN = ("learning_rate", "weight_decay", "dropout")  # params that a compiled program takes as arguments

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


def shards(points: Sequence[Point], numbers: Sequence[int]) -> list[list[int]]:
    """The numbers of points in parts of at most POINTS_PER_SHARD.

    The points of a shard share a compiled program, so that a worker compiles once for all of them; and they are few,
    because talos' bookkeeping is quadratic in the points. Shards depend on the points alone, so that any number of
    workers can resume them.

    Args:
        points: of a grid.
        numbers: the positions in `points` of those to train.
    """
    by_program: dict[str, list[int]] = {}
    for number in numbers:
        compiled_in = {name: value for name, value in points[number].items() if name not in NOT_COMPILED_IN}
        by_program.setdefault(repr(compiled_in), []).append(number)  # by text, since values may be lists
    return [
        part.tolist()
        for alike in by_program.values()
        for part in np.array_split(alike, math.ceil(len(alike) / POINTS_PER_SHARD))
    ]


def format_point(point: Point) -> str:
    """The point as people write it: no exponents, as in params.yaml."""
    values = (
        (name, np.format_float_positional(value, trim="-") if isinstance(value, float) else value)
        for name, value in point.items()
    )
    return ", ".join(f"{name} {value}" for name, value in values)
