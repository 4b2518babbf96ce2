"""Pictures, drawn without a screen and with the same bytes each time."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from stages.lib.files import replacing

matplotlib.use("agg")
# Without a salt the ids in an SVG are random.
matplotlib.rcParams.update({"svg.hashsalt": "purchase", "svg.fonttype": "none", "font.size": 10})

FIGURES = ("val_auc", "val_loss", "loss", "epochs")


def grid_heat_map(results: pd.DataFrame, path: Path) -> None:
    """Validation AUC over the grid: the parameter with most values across, all combinations of the others down."""
    from matplotlib import pyplot

    searched = [name for name in results if name not in FIGURES]
    across = max(searched, key=lambda name: results[name].nunique())
    down = [name for name in searched if name != across]
    labels = results[down].astype(str).agg(", ".join, axis=1) if down else pd.Series("", index=results.index)
    table = results.assign(down=labels).pivot(index="down", columns=across, values="val_auc")
    table = table.reindex(index=labels.unique(), columns=results[across].unique())

    figure, axes = pyplot.subplots(
        figsize=(2.5 + 0.9 * table.shape[1], 1.8 + 0.45 * table.shape[0]), layout="constrained"
    )
    image = axes.imshow(table, cmap="viridis", aspect="auto")
    axes.set_xticks(range(table.shape[1]), [_plain(value) for value in table.columns])
    axes.set_yticks(range(table.shape[0]), table.index)
    axes.set_xlabel(_spaced(across))
    axes.set_ylabel(", ".join(_spaced(name) for name in down))
    axes.set_title("Validation AUC of the grid's points")
    middle = np.nanmean(image.get_clim())
    for (row, column), auc in np.ndenumerate(table.to_numpy()):
        best = auc == np.nanmax(table.to_numpy())
        colour = "black" if auc > middle else "white"
        axes.text(
            column, row, f"{auc:.4f}", ha="center", va="center", color=colour, weight="bold" if best else "normal"
        )
    with replacing(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def _plain(value: object) -> str:
    return np.format_float_positional(value, trim="-") if isinstance(value, float) else str(value)


def _spaced(name: str) -> str:
    return name.replace("_", " ")
