"""How benchmarks draw and save their pictures."""

from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from stages.lib.common.files import atomic_write


def draw_lines(results: pd.DataFrame, x: str, panels: dict[str, str], by: str, path: Path, title: str = "") -> None:
    """Draw how measured values grow, as SVG.

    Args:
        results: a row per measurement.
        x: the column across, and its label. If its values differ by a factor of more than 30, all axes are logarithmic.
        panels: the columns that were measured, each with its label.
        by: the column whose values are the labels of the lines.
        path: where to write the picture.
        title: a line above it.
    """
    from matplotlib import pyplot

    figure, axes_of_panels = pyplot.subplots(
        1, len(panels), figsize=(4.8 * len(panels), 3.4), layout="constrained", squeeze=False
    )
    is_wide = results[x].max() > 30 * results[x].min() > 0
    for axes, (column, label) in zip(axes_of_panels[0], panels.items(), strict=True):
        for line, group in results.groupby(by, sort=False):
            axes.plot(group[x], group[column], marker="o", label=line)
        axes.set(xlabel=x, ylabel=label)
        if is_wide:
            axes.set(xscale="log", yscale="log")
        else:
            axes.set_ylim(0)
        axes.grid(alpha=0.3)
    axes_of_panels[0][0].legend(frameon=False)
    figure.suptitle(title)
    save_svg(figure, path)


def save_svg(figure: Figure, path: Path) -> None:
    """Write the figure as SVG, atomically; the same figure gives the same bytes."""
    # Without a salt, the ids in an SVG are random.
    with atomic_write(path) as temporary, matplotlib.rc_context({"svg.hashsalt": "purchase", "svg.fonttype": "none"}):
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
