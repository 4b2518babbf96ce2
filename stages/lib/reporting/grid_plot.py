"""The plot of a grid search: a table of validation AUCs, or a list of the best ones if the grid is large."""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stages.lib.reporting.style import INK, LINES, WIDTH
from stages.lib.reporting.svg import save_svg

METRICS = ("val_auc", "val_auc_se", "val_loss", "loss")
MAX_COLUMNS, MAX_ROWS = 8, 30

# Inches, roughly, of what makes up the width and the height of the plot.
CELL_WIDTH, LABEL_WIDTH, TITLE_WIDTH = 0.62, 0.085, 0.095  # a column, a letter of a row's label, a letter of the title
ROW_HEIGHT, TWO_LINE_ROW_HEIGHT = 0.26, 0.38


@dataclass(frozen=True)
class Layout:
    """Where the points of a grid are drawn.

    Attributes:
        points: a row a point, with the columns of grid.csv.
        cells: the column and the row of each point.
        columns: labels below the columns.
        rows: labels beside the rows.
        x_label: what the columns are.
        y_label: what the rows are.
        has_two_lines: whether a cell shows the standard error below the AUC, not beside it.
    """

    points: pd.DataFrame
    cells: list[tuple[int, int]]
    columns: list[str]
    rows: list[str]
    x_label: str
    y_label: str
    has_two_lines: bool


def plot_grid(results: pd.DataFrame, title: str = "") -> Figure:
    """Plot the validation AUC of each point.

    The parameter with the most values is across, and all combinations of the others are down. A grid too large for that
    is a list of its best MAX_ROWS points.

    Args:
        results: a row a point, with the columns of grid.csv.
        title: a line above the plot.
    """
    layout = _list_layout(results) if _is_large(results) else _table_layout(results)
    heading = f"{title}\n{layout.y_label}" if title else layout.y_label
    figure = Figure(figsize=_size(layout, heading), layout="constrained")
    figure.suptitle(heading, x=0.01, ha="left", fontsize=10)
    axes = figure.add_subplot()
    points = layout.points.assign(can_win=in_most_folds(layout.points))
    for (column, row), point in zip(layout.cells, points.to_dict("records"), strict=True):
        _draw_cell(axes, column, row, point, layout)
    axes.set_xlim(-0.5, len(layout.columns) - 0.5)
    axes.set_ylim(len(layout.rows) - 0.5, -0.5)
    axes.set_xticks(range(len(layout.columns)), layout.columns)
    axes.set_yticks(range(len(layout.rows)), layout.rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(layout.x_label)
    return figure


def save_grid_plot(results: pd.DataFrame, path: Path) -> None:
    """Write the plot to an SVG file of its own."""
    cut = f", the best {MAX_ROWS} of {len(results)}" if is_cut(results) else ""
    save_svg(plot_grid(results, f"Validation AUC of the grid points{cut}"), path)


def in_most_folds(results: pd.DataFrame) -> pd.Series:
    """Whether as many folds trained the point as any: the best point is one of these."""
    folds = results["folds"].where(results["val_auc"].notna())
    return folds == folds.max()


def is_cut(results: pd.DataFrame) -> bool:
    """Whether the plot leaves points out."""
    return _is_large(results) and len(results) > MAX_ROWS


def _table_layout(results: pd.DataFrame) -> Layout:
    parameters = _parameters(results)
    across = max(parameters, key=lambda name: results[name].nunique())
    down = [name for name in parameters if name != across]
    values, labels = list(results[across].unique()), _labels(results, down)
    rows = list(dict.fromkeys(labels))
    cells = [(values.index(value), rows.index(label)) for value, label in zip(results[across], labels, strict=True)]
    columns = [_format(value) for value in values]
    return Layout(results, cells, columns, rows, _in_words(across), ", ".join(map(_in_words, down)), True)


def _list_layout(results: pd.DataFrame) -> Layout:
    points = results.sort_values(["folds", "val_auc"], ascending=False, kind="stable").head(MAX_ROWS)
    parameters = _parameters(points)
    cells = [(0, row) for row in range(len(points))]
    y_label = ", ".join(map(_in_words, parameters))
    return Layout(points, cells, [""], _labels(points, parameters), "validation AUC", y_label, False)


def _size(layout: Layout, heading: str) -> tuple[float, float]:
    table_width = 0.6 + LABEL_WIDTH * max(map(len, layout.rows)) + CELL_WIDTH * len(layout.columns)
    heading_width = TITLE_WIDTH * max(map(len, heading.split("\n")))
    row_height = TWO_LINE_ROW_HEIGHT if layout.has_two_lines else ROW_HEIGHT
    return max(WIDTH, table_width, heading_width), 0.9 + row_height * len(layout.rows)


def _draw_cell(axes: Axes, column: int, row: float, point: dict[Hashable, Any], layout: Layout) -> None:
    auc, aucs = point["val_auc"], layout.points["val_auc"]
    if np.isnan(auc):
        axes.text(column, row, "–", ha="center", va="center")
        return
    is_best = point["can_win"] and auc == aucs[in_most_folds(layout.points)].max()
    # Opacity, not colors: text shows on it on light and on dark backgrounds.
    opacity = 0.05 + 0.45 * ((auc - aucs.min()) / (np.ptp(aucs.dropna()) or 1))
    area: dict[str, Any] = {"xy": (column - 0.48, row - 0.46), "width": 0.96, "height": 0.92}
    axes.add_patch(Rectangle(**area, facecolor=LINES[0], alpha=opacity, linewidth=0))
    if is_best:
        axes.add_patch(Rectangle(**area, facecolor="none", edgecolor=INK, linewidth=1.2))
    text, note = f"{auc:.4f}", _note(point)
    if note and layout.has_two_lines:
        axes.text(column, row + 0.24, note, ha="center", va="center", fontsize=8)
        row -= 0.17
    elif note:
        text += f" {note}"
    axes.text(column, row, text, ha="center", va="center", weight="bold" if is_best else "normal")


def _note(point: dict[Hashable, Any]) -> str:
    """What stands beside an AUC: its standard error or, if fewer folds trained the point than others, their number."""
    if not point["can_win"]:
        return "1 fold" if point["folds"] == 1 else f"{point['folds']} folds"
    return "" if np.isnan(point["val_auc_se"]) else f"± {point['val_auc_se']:.4f}"


def _is_large(results: pd.DataFrame) -> bool:
    parameters = _parameters(results)
    *down, across = sorted(results[name].nunique() for name in parameters)
    # Values are written with six decimals: points that differ by less look alike, and would be in the same cell.
    looks_alike = bool(results.duplicated(parameters).any())
    return across > MAX_COLUMNS or bool(np.prod(down, dtype=int) > MAX_ROWS) or looks_alike


def _parameters(results: pd.DataFrame) -> list[str]:
    # After val_auc, epochs are those that were trained; a grid of epochs has them before it.
    return [str(name) for name in results.loc[:, :"val_auc"] if name not in METRICS]


def _labels(points: pd.DataFrame, parameters: list[str]) -> list[str]:
    return [", ".join(_format(point[name]) for name in parameters) for point in points.to_dict("records")]


def _format(value: object) -> str:
    return np.format_float_positional(value, trim="-") if isinstance(value, float) else str(value)


def _in_words(name: str) -> str:
    return name.replace("_", " ")
