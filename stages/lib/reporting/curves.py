"""Plots of several models or columns: curves, losses by epoch, and estimates with their intervals."""

import math
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from stages.lib.reporting.style import RULE, WIDTH, line_style

Point = tuple[float, float]
DIAGONAL: tuple[Point, Point] = ((0, 0), (1, 1))
LABEL_LENGTH = 30  # characters


@dataclass(frozen=True)
class Line:
    """A line of a plot; `style` is the number of its model, see `line_style`."""

    label: str
    style: int
    x: pd.Series
    y: pd.Series
    is_validation: bool = False


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; `style` is the number of its model, see `line_style`."""

    label: str
    style: int
    value: float
    low: float
    high: float


def plot_curves(
    lines: list[Line],
    x_label: str,
    y_label: str,
    x_max: float = 1,
    y_max: float = 1,
    baseline: tuple[Point, Point] = DIAGONAL,
    markers: bool = False,
) -> Figure:
    """Plot curves of fractions, with both axes in percent and a legend below.

    Args:
        lines: the curves.
        x_label: what the x axis shows.
        y_label: what the y axis shows.
        x_max: where the x axis ends; it starts at 0.
        y_max: where the y axis ends; it starts at 0.
        baseline: the ends of a thin line without a label, for comparison.
        markers: whether to mark the points of the curves.
    """
    figure, axes = _figure_with_legend(lines, markers)
    axes.plot(*zip(*baseline, strict=True), color=RULE, linewidth=1, zorder=1)
    # A little more, so that a curve along the edge shows in its full width.
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(0, x_max * 1.005), ylim=(0, y_max * 1.005))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    return figure


def plot_losses(lines: list[Line]) -> Figure:
    """Plot losses by epoch, with a legend below."""
    figure, axes = _figure_with_legend(lines, markers=False)
    axes.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def plot_estimates(estimates: list[Estimate], x_label: str, zero_line: bool = False) -> Figure:
    """Plot a dot and an interval per row, the first on top.

    Args:
        estimates: the rows.
        x_label: what the x axis shows.
        zero_line: whether to draw a thin vertical line at 0.
    """
    figure = Figure(figsize=(WIDTH, 0.65 + 0.25 * len(estimates)), layout="constrained")
    axes = figure.add_subplot()
    if zero_line:
        axes.axvline(0, color=RULE, linewidth=1)
    for row, estimate in enumerate(estimates):
        style = line_style(estimate.style)
        axes.plot([estimate.low, estimate.high], [row, row], color=style["color"], linewidth=1.6)
        axes.plot([estimate.value], [row], **(style | {"linestyle": "", "markersize": 6}))
    axes.set_yticks(range(len(estimates)), [shorten(estimate.label) for estimate in estimates])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(estimates) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(x_label)
    return figure


def shorten(label: str) -> str:
    """The label without unprintable characters, cut to LABEL_LENGTH characters."""
    label = "".join(character if character.isprintable() else " " for character in label)
    return label if len(label) <= LABEL_LENGTH else label[: LABEL_LENGTH - 1] + "…"


def _figure_with_legend(lines: list[Line], markers: bool) -> tuple[Figure, Axes]:
    legend_rows = math.ceil(len(lines) / 2)
    figure = Figure(figsize=(WIDTH, 3.4 + 0.2 * legend_rows), layout="constrained")
    axes = figure.add_subplot()
    for line in lines:
        style = line_style(line.style)
        if line.is_validation:
            style |= {"alpha": 0.5, "markersize": 3}
        elif not markers:
            style["marker"] = ""
        axes.plot(line.x, line.y, label=line.label, linewidth=1.6, **style)
    figure.legend(loc="outside lower left", ncols=2, handlelength=3)
    return figure, axes
