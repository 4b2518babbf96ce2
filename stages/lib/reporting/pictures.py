"""The pictures of the report, made from the files in metrics/."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from stages.lib.evaluation import registry
from stages.lib.evaluation.registry import RegisteredModel
from stages.lib.reporting.by_view import auc_estimates
from stages.lib.reporting.curves import Estimate, Line, plot_curves, plot_estimates, plot_losses
from stages.lib.reporting.grid_plot import plot_grid
from stages.lib.reporting.metrics_files import read_csv
from stages.lib.reporting.profit import plot_profit
from stages.lib.reporting.svg import Picture, inline

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
        recommended: the model whose profit, and whose AUC by page view, are drawn where there are such figures.

    Returns:
        By name: aucs, roc, precision_recall, calibration, cumulative_gains and loss; grid, auc_by_view and profit if
        there are any; and importance_NAME for each model whose importances were measured.

    Raises:
        InputError: a file is missing or broken.
    """
    test, by_view = evaluation["test"], evaluation.get("by_view", [])
    rows = "scored page views" if by_view else "sessions"
    figures = {
        "aucs": plot_estimates(_auc_estimates(evaluation, models), "AUC on the test set"),
        "roc": plot_curves(
            _curve_lines(metrics / "roc.csv", "fpr", models), "false positive rate", "true positive rate"
        ),
        "precision_recall": _precision_recall(
            metrics / "precision_recall.csv", models, test["purchases"] / test["rows"]
        ),
        "calibration": _calibration(metrics / "calibration.csv", models),
        "cumulative_gains": plot_curves(
            _curve_lines(metrics / "cumulative_gains.csv", "share", models),
            f"share of {rows}, most likely first",
            "share of purchases",
        ),
        "loss": plot_losses(_loss_lines(metrics / "loss.csv", models)),
    }
    if estimates := auc_estimates(by_view, recommended, _style(recommended)):
        figures["auc_by_view"] = plot_estimates(estimates, f"AUC of {recommended.phrase}")
    if "profit" in evaluation:
        figures["profit"] = plot_profit(evaluation["profit"], recommended, _style(recommended), rows)
    if grid is not None:
        figures["grid"] = plot_grid(grid)
    for model in models:
        path = metrics / "importance" / f"{model.name}.csv"
        # Importance is not measured for each model, and without validation folds the table is empty.
        if path.exists() and (estimates := importance_estimates(path, _style(model))):
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


def _auc_estimates(evaluation: dict[str, Any], models: Sequence[RegisteredModel]) -> list[Estimate]:
    estimates = []
    for model in models:
        scores = evaluation["models"][model.name]
        estimates.append(
            Estimate(model.label, _style(model), scores["auc"], scores["auc_ci_low"], scores["auc_ci_high"])
        )
    return estimates


def _precision_recall(path: Path, models: Sequence[RegisteredModel], purchase_rate: float) -> Figure:
    lines = _curve_lines(path, "recall", models)
    highest = max(line.y[line.x >= MIN_RECALL].max() for line in lines)
    baseline = ((0, purchase_rate), (1, purchase_rate))
    return plot_curves(lines, "recall", "precision", y_max=min(1, 1.2 * highest), baseline=baseline)


def _calibration(path: Path, models: Sequence[RegisteredModel]) -> Figure:
    table = read_csv(path, ["model", "predicted", "observed"])
    lines = []
    for model in models:
        bins = table[table["model"] == model.name]
        lines.append(Line(model.label, _style(model), bins["predicted"], bins["observed"]))
    limit = 1.05 * table[["predicted", "observed"]].to_numpy().max()
    return plot_curves(lines, "predicted probability", "purchase rate", limit, limit, markers=True)


def _curve_lines(path: Path, x: str, models: Sequence[RegisteredModel]) -> list[Line]:
    table = read_csv(path, [x, *(model.name for model in models)])
    return [Line(model.label, _style(model), table[x], table[model.name]) for model in models]


def _loss_lines(path: Path, models: Sequence[RegisteredModel]) -> list[Line]:
    networks = [model for model in models if model.is_network]
    table = read_csv(path, ["epoch", *(model.name for model in networks)])
    lines = []
    for model in networks:
        for column, label in ((model.name, model.label), (f"{model.name}_val", f"{model.label}, validation")):
            if column in table:
                epochs = table.dropna(subset=column)
                is_validation = column != model.name
                lines.append(Line(label, _style(model), epochs["epoch"], epochs[column], is_validation))
    return lines


def _style(model: RegisteredModel) -> int:
    """The number of the model's style, which does not depend on which other models there are."""
    return registry.MODELS.index(model)
