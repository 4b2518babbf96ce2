"""The picture of benchmarks.quality."""

import math
from pathlib import Path
from typing import Any

from matplotlib import pyplot
from matplotlib.axes import Axes

from benchmarks.compared_models import CANDIDATES
from benchmarks.pictures import save_svg

COLORS = {"network": "#0a4a99", "trees": "#983c0c", "linear": "#1b1d21", "blend": "#018170"}
MARKERS = {"network": "o", "trees": "s", "linear": "o", "blend": "D"}
MAX_AUC_RANGE = 0.045  # models that are further behind the best one are drawn at the edge, as an arrow


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw a panel per table with the mean AUC of each model, ± one standard error."""
    columns = min(2, len(results))
    rows = math.ceil(len(results) / columns)
    size = (4.5 * columns, 0.6 + 2.3 * rows)
    figure, panels = pyplot.subplots(rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axes, result in zip(panels.flat, results.values(), strict=False):
        _draw_table(axes, result)
    for axes in panels.flat[len(results) :]:
        axes.set_visible(False)
    panels[0, 0].invert_yaxis()
    figure.supxlabel("AUC, mean ± standard error", size=10)
    save_svg(figure, path)


def _draw_table(axes: Axes, result: dict[str, Any]) -> None:
    models = result["models"]
    errors = {name: metrics.get("auc_se", 0) for name, metrics in models.items()}
    highest = max(metrics["auc"] + errors[name] for name, metrics in models.items())
    aucs = {name: metrics["auc"] for name, metrics in models.items()}
    lowest = min(auc - errors[name] for name, auc in aucs.items() if auc > max(aucs.values()) - MAX_AUC_RANGE)
    left = lowest - 0.1 * (highest - lowest) - 0.002
    for position, (name, metrics) in enumerate(models.items()):
        family, auc = CANDIDATES[name].family, metrics["auc"]
        x, error, marker = auc, errors[name], MARKERS[family]
        if auc < left:
            x, error, marker = left, 0, "<"
        axes.errorbar(x, position, xerr=error, fmt=marker, color=COLORS[family], markersize=5, clip_on=False)
        axes.annotate(f"{auc:.3f}", (x + error, position), (6, 0), textcoords="offset points", va="center", size=8.5)
    right = highest + 0.3 * (highest - left)  # room for the numbers
    labels = [CANDIDATES[name].label for name in models]
    axes.set(xlim=(left, right), yticks=range(len(models)), yticklabels=labels)
    axes.set_title(f"{result['title']}\n{result['rows']:,} rows", size=10)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", alpha=0.3)
