"""How good a model is in each slice of the test set, and which slices differ by more than chance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import norm

from stages.lib.evaluation.cluster_bootstrap import ClusterBootstrap
from stages.lib.evaluation.delong import auc_influence, auc_with_interval
from stages.lib.evaluation.proportions import wilson_interval
from stages.lib.evaluation.slices import Slices

MIN_ROWS = 20  # of each class: with fewer, an interval would tell nothing, and a test be inexact


def metrics_by_slice(
    targets: np.ndarray,
    probabilities: np.ndarray,
    columns: Mapping[str, Slices],
    clusters: np.ndarray | None = None,
) -> dict[str, Any]:
    """Figures of a model in each slice.

    Two questions are asked of each slice that is large enough: whether the AUC in it differs from that in all other
    rows, and whether the mean predicted probability differs from the purchase rate. The p-values are corrected for the
    number of these tests: Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6.

    Args:
        targets: 0 or 1, of shape (rows,).
        probabilities: of a purchase, (rows,).
        columns: by their names, the slices of each.
        clusters: the id of each row's cluster, (rows,), for intervals by the cluster bootstrap; None: rows are
            independent, for intervals by DeLong's method.

    Returns:
        `min_rows`, the number of `tests`, and `columns`, each with its name as `column` and its `slices`: `slice`, its
        label, and `rows` and `purchases`. A slice with at least `min_rows` purchases and as many others also has `auc`,
        `predicted` (the mean probability), `observed` (the purchase rate), the intervals of `auc` and `observed`, and
        `calibration_p_holm`; if the other rows are as many too, also `auc_others` and `auc_p_holm`.
    """
    probabilities = probabilities.astype(np.float64)
    by_column: list[dict[str, Any]] = []
    for column, slices in columns.items():
        figures = [{"slice": label, **_figures(targets, probabilities, inside, clusters)} for label, inside in slices]
        by_column.append({"column": column, "slices": figures})
    tests = [
        (figures, name)
        for column in by_column
        for figures in column["slices"]
        for name in ("auc_p_holm", "calibration_p_holm")
        if name in figures
    ]
    for (figures, name), adjusted in zip(tests, holm(np.array([one[name] for one, name in tests])), strict=True):
        figures[name] = float(adjusted)
    return {"min_rows": MIN_ROWS, "tests": len(tests), "columns": by_column}


def holm(p_values: np.ndarray) -> np.ndarray:
    """The p-values, corrected for their number: those below a level are significant at it, all together."""
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted


def _figures(
    targets: np.ndarray, probabilities: np.ndarray, inside: np.ndarray, clusters: np.ndarray | None
) -> dict[str, Any]:
    """The figures of a slice; p-values are not corrected yet."""
    own, scores = targets[inside], probabilities[inside]
    figures: dict[str, Any] = {"rows": len(own), "purchases": int(own.sum())}
    if not _is_large(own):
        return figures
    ids = None if clusters is None else clusters[inside]
    if ids is None:
        figures |= auc_with_interval(own, scores)
    else:
        bootstrap = ClusterBootstrap(own, {"model": scores}, ids).with_intervals("model")
        figures |= {name: bootstrap[name] for name in ("auc", "auc_ci_low", "auc_ci_high")}
    low, high = wilson_interval(own, ids)
    figures |= {"predicted": float(scores.mean()), "observed": float(own.mean())}
    figures |= {"observed_ci_low": low, "observed_ci_high": high}
    figures["calibration_p_holm"] = _p_value(own - scores, ids)
    if _is_large(targets[~inside]):
        auc, influence = np.empty(2), np.empty(len(targets))
        for side, (rows, sign) in enumerate(((inside, 1), (~inside, -1))):
            auc[side], influences = auc_influence(targets[rows], probabilities[rows])
            influence[rows] = sign * influences
        figures["auc_others"] = float(auc[1])
        figures["auc_p_holm"] = _p_value(influence, clusters, float(auc[0] - auc[1]))
    return figures


def _is_large(targets: np.ndarray) -> bool:
    return bool(min(targets.sum(), len(targets) - targets.sum()) >= MIN_ROWS)


def _p_value(deviations: np.ndarray, clusters: np.ndarray | None, estimate: float | None = None) -> float:
    """Two-sided, of an estimate being 0, whose deviation from it is the sum of these, independent between clusters.

    With the influences of an AUC, the variance is DeLong's or, with clusters, that of Obuchowski (1997), Nonparametric
    analysis of clustered ROC curve data, Biometrics 53.

    Args:
        deviations: of each row, (rows,).
        clusters: (rows,); None: rows are independent.
        estimate: None: the sum of the deviations.
    """
    if clusters is not None:
        deviations = np.bincount(np.unique(clusters, return_inverse=True)[1], weights=deviations)
    estimate = float(deviations.sum()) if estimate is None else estimate
    error = float(np.sqrt((deviations**2).sum()))
    return float(2 * norm.sf(abs(estimate) / error)) if error else float(estimate == 0)
