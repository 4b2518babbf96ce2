"""Plots of several models or columns: curves, losses by epoch, and estimates with their intervals."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from stages.lib.reporting.style import INK, QUIET, RULE, WIDTH, line_style

Point = tuple[float, float]
DIAGONAL: tuple[Point, Point] = ((0, 0), (1, 1))
LABEL_LENGTH = 30  # characters
OVERVIEW_HEIGHT = 2.9  # inches
QUIET_ALPHA = 0.65


@dataclass(frozen=True)
class Line:
    """A line of a plot; `style` is the number of its model, see `line_style`, and a quiet one is thin and pale."""

    label: str
    style: int
    x: pd.Series
    y: pd.Series
    is_validation: bool = False
    is_quiet: bool = False


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; `style` is the number of its model, see `line_style`, and a quiet one is pale."""

    label: str
    style: int
    value: float
    low: float
    high: float
    is_quiet: bool = False


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


def plot_gains(line: Line, x_label: str, share: float) -> Figure:
    """Plot the cumulative gains of one model against chance, with what the first `share` contains beside its point."""
    figure = Figure(figsize=(WIDTH, OVERVIEW_HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*DIAGONAL, strict=True), color=RULE, linewidth=1)
    style = line_style(line.style) | {"marker": ""}
    axes.plot(line.x, line.y, linewidth=2.2, **style)
    gain = float(np.interp(share, line.x, line.y))
    axes.plot([share, share], [share, gain], color=style["color"], linewidth=1, linestyle=":")
    axes.plot([share], [gain], "o", color=style["color"], markersize=7)
    label = f"{gain:.0%} in the\nfirst {share:.0%}"
    axes.annotate(label, (share, gain), (9, -2), textcoords="offset points", va="center", fontsize=9)
    axes.annotate("chance", (0.8, 0.8), (4, -12), textcoords="offset points", color=QUIET)
    axes.set(xlabel=x_label, ylabel="share of purchases", xlim=(0, 1.005), ylim=(0, 1.005))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    return figure


def plot_estimates(estimates: list[Estimate], x_label: str, zero_line: bool = False, min_height: float = 0) -> Figure:
    """Plot a dot and an interval per row, the first on top.

    Args:
        estimates: the rows.
        x_label: what the x axis shows.
        zero_line: whether to draw a thin vertical line at 0.
        min_height: of the figure, in inches.
    """
    figure = Figure(figsize=(WIDTH, max(min_height, 0.65 + 0.25 * len(estimates))), layout="constrained")
    axes = figure.add_subplot()
    if zero_line:
        axes.axvline(0, color=RULE, linewidth=1)
    for row, estimate in enumerate(estimates):
        style = line_style(estimate.style)
        alpha, width, size = (QUIET_ALPHA, 1.2, 4.5) if estimate.is_quiet else (1, 1.6, 6)
        axes.plot([estimate.low, estimate.high], [row, row], color=style["color"], linewidth=width, alpha=alpha)
        axes.plot([estimate.value], [row], **(style | {"linestyle": "", "markersize": size, "alpha": alpha}))
    axes.set_yticks(range(len(estimates)), [shorten(estimate.label) for estimate in estimates])
    for label, estimate in zip(axes.get_yticklabels(), estimates, strict=True):
        label.set_color(QUIET if estimate.is_quiet else INK)
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
        style |= {"alpha": QUIET_ALPHA, "linewidth": 1.2} if line.is_quiet else {"linewidth": 2, "zorder": 3}
        axes.plot(line.x, line.y, label=line.label, **style)
    figure.legend(loc="outside lower left", ncols=2, handlelength=3)
    return figure, axes
