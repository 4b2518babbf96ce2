"""How benchmarks save their pictures."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from stages.lib.common.files import atomic_write


def save_svg(figure: Figure, path: Path) -> None:
    """Write the figure as SVG, atomically; the same figure gives the same bytes."""
    # Without a salt, the ids in an SVG are random.
    with atomic_write(path) as temporary, matplotlib.rc_context({"svg.hashsalt": "purchase", "svg.fonttype": "none"}):
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
