"""Successive halving: each fold trains only the best of the points that the fold before has trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.lib.tuning.shard import METRIC, POINT

if TYPE_CHECKING:
    import pandas as pd  # not needed before workers have started to load TensorFlow


def promoted(completed: pd.DataFrame, factor: int) -> list[int]:
    """The points that go on to the next fold: of those that the last fold trained, the best 1 / factor.

    This is successive halving (Jamieson & Talwalkar 2016, Non-stochastic best arm identification and hyperparameter
    optimization) with folds as the resource, so points are compared on the same rows.

    Args:
        completed: a row per point and fold, with POINT and METRIC.
        factor: 2 or more.

    Returns:
        Their numbers, in order; at least one. Points at which training diverged come last.
    """
    by_point = completed.groupby(POINT)[METRIC]
    in_all = by_point.size() == by_point.size().max()
    mean = by_point.agg(lambda values: values.mean(skipna=False))[in_all]
    best = mean.sort_values(ascending=False, kind="stable", na_position="last")
    return sorted(best.index[: max(1, len(best) // factor)].tolist())
