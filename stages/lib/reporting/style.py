"""The look of all plots: a color, a dash and a marker for each model, text and sizes; imported for its settings too."""

from typing import Any

import matplotlib

WIDTH = 4.4  # inches of 72 units; text is 10 units high, so that it stays readable on a phone's width

# For light and for dark backgrounds; people who are color-blind can tell them apart.
PALETTE = (
    ("#0a4a99", "#3f8ff5"),
    ("#983c0c", "#dd6a28"),
    ("#018170", "#3fdc96"),
    ("#c95fa8", "#d98ac8"),
    ("#1b1d21", "#f2f2f2"),
    ("#a88f22", "#f0d530"),
)
DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (10, 1.5)), (0, (2.5, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P")

# Figures are drawn in placeholder colors. A page replaces them by its own, which differ by light and by dark.
INK, RULE, QUIET = "#010101", "#010102", "#010103"
LINES = tuple(f"#0102{number:02x}" for number in range(len(PALETTE)))
PAGE_COLORS = {INK: "currentColor", RULE: "var(--rule)", QUIET: "var(--quiet)"} | {
    line: f"var(--line-{i})" for i, line in enumerate(LINES)
}
FILE_COLORS = {INK: "#1b1d21", RULE: "#c6cad1", QUIET: "#5a616d"} | {
    line: PALETTE[i][0] for i, line in enumerate(LINES)
}

SETTINGS: dict[Any, Any] = {
    # Without a salt the ids in an SVG are random.
    "svg.hashsalt": "purchase",
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 10,
    # A column may be called "price in $, without $ of VAT".
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": RULE,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
matplotlib.rcParams.update(SETTINGS)


def line_style(number: int) -> dict[str, Any]:
    """Color, dash and marker of the model with this number, as keywords of `Axes.plot`."""
    # Models beyond the last color reuse the colors with other dashes and markers.
    shift = (number + number // len(LINES)) % len(LINES)
    color = LINES[number % len(LINES)]
    return {"color": color, "linestyle": DASHES[shift], "marker": MARKERS[shift], "markersize": 4.5}
