"""The plot of slices: in one row of each its AUC, and beside it its purchase rate and what was predicted."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from stages.lib.reporting.curves import shorten
from stages.lib.reporting.slices import Slices, stands_out
from stages.lib.reporting.style import INK, QUIET, RULE, line_style

WIDTH, ROW_HEIGHT = 6.6, 0.21  # inches


def plot_slices(slices: Slices, auc: float, style: int) -> Figure:
    """Plot the slices below the names of their columns; those that stand out are in bold, those too small say so.

    Args:
        slices: of evaluation.json.
        auc: of the model on all rows, a thin vertical line.
        style: the number of the model's style, see `line_style`.
    """
    rows = [row for column in slices["columns"] for row in (column["column"], *column["slices"])]
    # A little space above the name of a column
    positions = np.cumsum([1.4 if isinstance(row, str) else 1 for row in rows])
    figure = Figure(figsize=(WIDTH, 0.7 + ROW_HEIGHT * positions[-1]), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    left.axvline(auc, color=RULE, linewidth=1)
    color = line_style(style)["color"]
    for position, row in zip(positions, rows, strict=True):
        if isinstance(row, str):
            continue
        if "auc" not in row:
            note = f"fewer than {slices['min_rows']} " + (
                "purchases" if row["purchases"] < slices["min_rows"] else "others"
            )
            left.text(auc, position, note, color=QUIET, ha="center", va="center", fontsize=8)
            continue
        _draw_interval(left, position, row, "auc", color)
        _draw_interval(right, position, row, "observed", color)
        right.plot([row["predicted"]], [position], "|", color=INK, markersize=9, markeredgewidth=1.6)
    left.set_yticks(positions, [shorten(row if isinstance(row, str) else row["slice"]) for row in rows])
    for label, row in zip(left.get_yticklabels(), rows, strict=True):
        label.set(weight="bold" if isinstance(row, dict) and stands_out(row) else "normal")
        label.set_color(QUIET if isinstance(row, str) else INK)
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    left.set(xlabel="AUC", ylim=(positions[-1] + 0.6, positions[0] - 0.6))
    right.set_xlabel("purchase rate; | predicted")
    right.xaxis.set_major_formatter(PercentFormatter(1))
    return figure


def _draw_interval(axes: Axes, position: float, row: dict[str, Any], name: str, color: str) -> None:
    axes.plot([row[f"{name}_ci_low"], row[f"{name}_ci_high"]], [position, position], color=color, linewidth=1.6)
    axes.plot([row[name]], [position], "o", color=color, markersize=4.5)
