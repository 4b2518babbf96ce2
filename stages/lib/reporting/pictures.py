"""The pictures of the report, made from the files in metrics/."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from stages.lib.evaluation.registry import RegisteredModel
from stages.lib.reporting.by_view import auc_estimates
from stages.lib.reporting.curves import (
    OVERVIEW_HEIGHT,
    Estimate,
    Line,
    plot_curves,
    plot_estimates,
    plot_gains,
    plot_losses,
)
from stages.lib.reporting.grid_plot import plot_grid
from stages.lib.reporting.lines import Lines, style_of
from stages.lib.reporting.metrics_files import read_csv
from stages.lib.reporting.profit import plot_profit
from stages.lib.reporting.slice_plot import plot_slices
from stages.lib.reporting.svg import Picture, inline

TOP_SHARE = 0.1  # of the rows, in the picture of gains
TOP_COLUMNS = 15  # in a picture of feature importance
MIN_RECALL = 0.05  # below it, a handful of sessions decide the precision


def draw_pictures(
    metrics: Path,
    evaluation: dict[str, Any],
    models: Sequence[RegisteredModel],
    grid: pd.DataFrame | None,
    recommended: RegisteredModel,
) -> dict[str, Picture]:
    """Draw all pictures.

    Args:
        metrics: the folder with curves and importances.
        evaluation: the content of evaluation.json.
        models: those that are in it, each of which has a line in each curve.
        grid: the content of grid.csv, if the models include the one of the grid search.
        recommended: the model that stands out from the others, and of which there are pictures of its own.

    Returns:
        By name: aucs, gains, roc, precision_recall, calibration, cumulative_gains and loss; grid, slices, auc_by_view
        and profit if there are any; and importance_NAME for each model whose importances were measured.

    Raises:
        InputError: a file is missing or broken.
    """
    test, by_view = evaluation["test"], evaluation.get("by_view", [])
    lines = Lines(metrics, models, recommended)
    gains = lines.of_curve("cumulative_gains", "share")
    rows = "scored page views" if by_view else "sessions"
    first_ones = f"share of {rows}, most likely first"
    figures = {
        "aucs": plot_estimates(
            _auc_estimates(evaluation, models, recommended), "AUC on the test set", min_height=OVERVIEW_HEIGHT
        ),
        "gains": plot_gains(gains[models.index(recommended)], first_ones, TOP_SHARE),
        "roc": plot_curves(lines.of_curve("roc", "fpr"), "false positive rate", "true positive rate"),
        "precision_recall": _precision_recall(
            lines.of_curve("precision_recall", "recall"), test["purchases"] / test["rows"]
        ),
        "calibration": _calibration(lines.of_calibration()),
        "cumulative_gains": plot_curves(gains, first_ones, "share of purchases"),
        "loss": plot_losses(lines.of_losses()),
    }
    if slices := evaluation.get("slices"):
        auc = evaluation["models"][recommended.name]["auc"]
        figures["slices"] = plot_slices(slices, auc, style_of(recommended))
    if estimates := auc_estimates(by_view, recommended, style_of(recommended)):
        figures["auc_by_view"] = plot_estimates(estimates, f"AUC of {recommended.phrase}")
    if "profit" in evaluation:
        figures["profit"] = plot_profit(evaluation["profit"], recommended, style_of(recommended), rows)
    if grid is not None:
        figures["grid"] = plot_grid(grid)
    for model in models:
        path = metrics / "importance" / f"{model.name}.csv"
        # Importance is not measured for each model, and without validation folds the table is empty.
        if path.exists() and (estimates := importance_estimates(path, style_of(model))):
            figures[f"importance_{model.name}"] = plot_estimates(estimates, "decrease in AUC", zero_line=True)
    return {name: inline(figure, name) for name, figure in figures.items()}


def importance_estimates(path: Path, style: int) -> list[Estimate]:
    """The most important columns of an importance file, ± one standard error."""
    # A column may be called NA.
    table = read_csv(path, ["column", "importance", "se"], dtype={"column": str}, keep_default_na=False)
    return [
        Estimate(column, style, importance, importance - se, importance + se)
        for column, importance, se in table[["column", "importance", "se"]].head(TOP_COLUMNS).itertuples(index=False)
    ]


def _auc_estimates(
    evaluation: dict[str, Any], models: Sequence[RegisteredModel], recommended: RegisteredModel
) -> list[Estimate]:
    """All models, the one with the highest AUC first."""
    estimates = []
    for model in sorted(models, key=lambda model: -evaluation["models"][model.name]["auc"]):
        scores = evaluation["models"][model.name]
        values = scores["auc"], scores["auc_ci_low"], scores["auc_ci_high"]
        estimates.append(Estimate(model.label, style_of(model), *values, is_quiet=model != recommended))
    return estimates


def _precision_recall(lines: list[Line], purchase_rate: float) -> Figure:
    highest = max(line.y[line.x >= MIN_RECALL].max() for line in lines)
    baseline = ((0, purchase_rate), (1, purchase_rate))
    return plot_curves(lines, "recall", "precision", y_max=min(1, 1.2 * highest), baseline=baseline)


def _calibration(lines: list[Line]) -> Figure:
    limit = 1.05 * max(max(line.x.max(), line.y.max()) for line in lines)
    return plot_curves(lines, "predicted probability", "purchase rate", limit, limit, markers=True)
