"""The points of a grid, and the shards in which workers take them."""

import itertools
from typing import Any

import numpy as np

POINTS_PER_SHARD = 10

Point = dict[str, Any]
Grid = dict[str, list[Any]]


def grid_points(grid: Grid) -> list[Point]:
    """Every combination of the grid's values; the last key varies fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def shards(grid: Grid) -> list[Grid]:
    """Grids of at most POINTS_PER_SHARD points which together are `grid`.

    The points of a shard differ in the learning rate only, so that a worker compiles once for all of them; and they are
    few, because talos' bookkeeping is quadratic in the points. Shards depend on the grid alone, so that any number of
    workers can resume it.
    """
    rates = grid.get("learning_rate")
    others = {name: values for name, values in grid.items() if name != "learning_rate"}
    by_others = [{name: [value] for name, value in point.items()} for point in grid_points(others)]
    if rates is None:
        return by_others
    parts = [rates[start : start + POINTS_PER_SHARD] for start in range(0, len(rates), POINTS_PER_SHARD)]
    return [shard | {"learning_rate": part} for shard in by_others for part in parts]


def format_point(point: Point) -> str:
    """The point as people write it: no exponents, as in params.yaml."""
    values = (
        (name, np.format_float_positional(value, trim="-") if isinstance(value, float) else value)
        for name, value in point.items()
    )
    return ", ".join(f"{name} {value}" for name, value in values)
