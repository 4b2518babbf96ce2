"""Successive halving: rounds of more and more folds, each of which trains only the best points of the round before.

Jamieson & Talwalkar 2016, Non-stochastic best arm identification and hyperparameter optimization. The resource is the
number of folds, so points are always compared on the same rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.lib.tuning.shard import METRIC, POINT

if TYPE_CHECKING:
    import pandas as pd  # not needed before workers have started to load TensorFlow


def rounds(n_folds: int) -> list[range]:
    """The folds of each round: the first one, then as many as before, and in the last round all that are left."""
    ends = [2**i for i in range(n_folds.bit_length())]
    ends[-1] = n_folds
    return [range(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def promoted(completed: pd.DataFrame, factor: int) -> list[int]:
    """The points that the next round trains: of those of the last round, the best 1 / factor.

    Args:
        completed: a row per point and fold, with POINT and METRIC.
        factor: 2 or more.

    Returns:
        Their numbers, in order; at least one. Points at which training diverged come last.
    """
    by_point = completed.groupby(POINT)[METRIC]
    in_last_round = by_point.size() == by_point.size().max()
    mean = by_point.agg(lambda values: values.mean(skipna=False))[in_last_round]
    best = mean.sort_values(ascending=False, kind="stable", na_position="last")
    return sorted(best.index[: max(1, len(best) // factor)].tolist())
