"""Pictures as SVG, drawn without a screen and with the same bytes each time: files, or parts of a page."""

import io
import re
import warnings
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from stages.lib.common.files import atomic_write

FIGURES = ("val_auc", "val_auc_se", "val_loss", "loss")
WIDTH = 4.4  # inches of 72 units; text is 10 units high, so that it stays readable on a phone's width
Pair = tuple[float, float]
DIAGONAL: tuple[Pair, Pair] = ((0, 0), (1, 1))
MOST_ACROSS, MOST_DOWN = 8, 30

# The looks of the models' lines, in the models' order: colours that the colour-blind tell apart, on white and on black.
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

# Pictures are drawn in these colours, which stand for others: a page's, which has a light and a dark set, or a file's.
INK, RULE = "#010101", "#010102"
LINES = tuple(f"#0102{number:02x}" for number in range(len(PALETTE)))
ON_PAGE = {INK: "currentColor", RULE: "var(--rule)"} | {line: f"var(--line-{i})" for i, line in enumerate(LINES)}
IN_FILE = {INK: "#1b1d21", RULE: "#c6cad1"} | {line: PALETTE[i][0] for i, line in enumerate(LINES)}

matplotlib.rcParams.update(
    {  # type: ignore[arg-type]   # its types know the keys one by one
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
    }
    | dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
)


@dataclass(frozen=True)
class Picture:
    """What stands inside an SVG of this width and height, for a page that sets --rule and --line-0 and so on."""

    width: float
    height: float
    body: str


@dataclass(frozen=True)
class Line:
    """A line of a picture; `style` is its model's number, and `pale` its second line."""

    label: str
    style: int
    x: pd.Series
    y: pd.Series
    pale: bool = False


@dataclass(frozen=True)
class Dot:
    """A value with an interval."""

    label: str
    style: int
    value: float
    low: float
    high: float


def curves(
    lines: list[Line],
    x_label: str,
    y_label: str,
    most: Pair = (1, 1),
    thin: tuple[Pair, Pair] = DIAGONAL,
    marked: bool = False,
) -> Figure:
    """Lines of shares from 0 to `most` of x and y, above a legend; with marks on them if `marked`.

    `thin` is a line without a name, from one point to another.
    """
    figure, axes = _with_legend(lines, marked)
    axes.plot(*zip(*thin, strict=True), color=RULE, linewidth=1, zorder=1)
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(0, most[0] * 1.005), ylim=(0, most[1] * 1.005))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    return figure


def losses(lines: list[Line]) -> Figure:
    """Losses by epoch, above a legend."""
    figure, axes = _with_legend(lines, marked=False)
    axes.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def dots(rows: list[Dot], x_label: str, zero: bool = False) -> Figure:
    """A row a value, the first on top; with a line at nothing if `zero`."""
    figure = Figure(figsize=(WIDTH, 0.65 + 0.25 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    if zero:
        axes.axvline(0, color=RULE, linewidth=1)
    for place, dot in enumerate(rows):
        look = _look(dot.style)
        axes.plot([dot.low, dot.high], [place, place], color=look["color"], linewidth=1.6)
        axes.plot([dot.value], [place], **(look | {"linestyle": "", "markersize": 6}))
    axes.set_yticks(range(len(rows)), [shortened(dot.label) for dot in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(x_label)
    return figure


def grid_heat_map(results: pd.DataFrame, path: Path) -> None:
    """The grid as a picture of its own, as a file."""
    cut = f", the best {MOST_DOWN} of {len(results)}" if is_cut(results) else ""
    text = _svg(grid(results, f"Validation AUC of the grid's points{cut}\n"), transparent=False).decode()
    for stand_in, colour in IN_FILE.items():
        text = text.replace(stand_in, colour)
    with atomic_write(path) as temporary:
        temporary.write_bytes(text.encode())


def grid(results: pd.DataFrame, title: str = "") -> Figure:
    """Validation AUC over the grid: the parameter with most values across, all combinations of the others down.

    A grid that is too large for that is a list of its best points.
    """
    searched = _searched(results)
    across = None if _is_large(results) else max(searched, key=lambda name: results[name].nunique())
    if across is None:
        results = results.sort_values("val_auc", ascending=False, kind="stable").head(MOST_DOWN)
    down = [name for name in searched if name != across]
    points = results.to_dict("records")
    labels = [", ".join(_plain(point[name]) for name in down) for point in points]
    # In the file values have six digits: two points may look alike.
    rows = list(dict.fromkeys(labels)) if across else labels
    columns = list(results[across].unique()) if across else [""]
    title += ", ".join(_spaced(name) for name in down)

    # By the width of a letter and the height of a line, about, in inches
    wide = max(0.6 + 0.085 * max(map(len, rows)) + 0.62 * len(columns), 0.095 * max(map(len, title.split("\n"))))
    high = 0.9 + (0.38 if across and "val_auc_se" in results else 0.26) * len(rows)
    figure = Figure(figsize=(max(WIDTH, wide), high), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    axes = figure.add_subplot()
    for place, point in enumerate(points):
        column, row = (columns.index(point[across]), rows.index(labels[place])) if across else (0, place)
        _cell(axes, column, row, point, results["val_auc"], stacked=across is not None)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), [_plain(value) for value in columns])
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(_spaced(across or "validation AUC"))
    return figure


def is_cut(results: pd.DataFrame) -> bool:
    """Whether the picture of the grid leaves points out."""
    return _is_large(results) and len(results) > MOST_DOWN


def inline(figure: Figure, name: str) -> Picture:
    """The figure as a part of a page, where `name` tells its ids from those of the page's other pictures.

    Text is in the page's font, and colours are the page's.
    """
    root = ElementTree.fromstring(_svg(figure, transparent=True))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for element in list(root.iter()):
        for child in list(element):
            if child.tag.endswith(("}metadata", "}style")):
                element.remove(child)
        # In a page, names need no namespace.
        element.tag = element.tag.rpartition("}")[2]
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        if element.tag == "g":
            # Nothing refers to them.
            attributes.pop("id", None)
        element.attrib = {key: _of_page(key, value, name) for key, value in attributes.items()}
        element.tail = None
    return Picture(width, height, "".join(ElementTree.tostring(child, encoding="unicode") for child in root))


def shortened(label: str, most: int = 30) -> str:
    """The label without what can't be shown, cut to `most` characters."""
    label = "".join(character if character.isprintable() else " " for character in label)
    return label if len(label) <= most else label[: most - 1] + "…"


def _of_page(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "style":
        value = re.sub(r"font-family:[^;]*(; )?", "", value)
        return re.sub("#[0-9a-f]{6}", lambda colour: ON_PAGE.get(colour[0], colour[0]), value)
    if key == "d":
        # A hundredth of a unit is finer than any screen.
        return re.sub(r"(\.\d\d)\d+", r"\1", value.replace("\n", ""))
    return re.sub(r"^(#|url\(#)", rf"\g<1>{name}-", value)


def _svg(figure: Figure, transparent: bool) -> bytes:
    content = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():
        # Column names in scripts that the drawing font lacks: who shows the picture has others.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(content, format="svg", metadata=nothing, transparent=transparent)
    return content.getvalue()


def _with_legend(lines: list[Line], marked: bool) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, 3.4 + 0.2 * -(-len(lines) // 2)), layout="constrained")
    axes = figure.add_subplot()
    for line in lines:
        look = _look(line.style)
        if line.pale:
            look |= {"alpha": 0.5, "markersize": 3}
        elif not marked:
            look["marker"] = ""
        axes.plot(line.x, line.y, label=line.label, linewidth=1.6, **look)
    figure.legend(loc="outside lower left", ncols=2, handlelength=3)
    return figure, axes


def _look(style: int) -> dict:
    # After a round of colours they come again with other dashes and marks.
    other = (style + style // len(LINES)) % len(LINES)
    return {"color": LINES[style % len(LINES)], "linestyle": DASHES[other], "marker": MARKERS[other], "markersize": 4.5}


def _cell(axes: Axes, column: int, row: float, point: dict[Hashable, Any], aucs: pd.Series, stacked: bool) -> None:
    auc, error = point["val_auc"], point.get("val_auc_se", np.nan)
    if np.isnan(auc):
        axes.text(column, row, "–", ha="center", va="center")
        return
    best = auc == aucs.max()
    # Opacity, not colours: the text's ink shows on it by light and by dark.
    shade = 0.05 + 0.45 * ((auc - aucs.min()) / (np.ptp(aucs.dropna()) or 1))
    place: dict[str, Any] = {"xy": (column - 0.48, row - 0.46), "width": 0.96, "height": 0.92}
    axes.add_patch(Rectangle(**place, facecolor=LINES[0], alpha=shade, linewidth=0))
    if best:
        axes.add_patch(Rectangle(**place, facecolor="none", edgecolor=INK, linewidth=1.2))
    said = "" if np.isnan(error) else f"± {error:.4f}"
    if said and stacked:
        axes.text(column, row + 0.24, said, ha="center", va="center", fontsize=8)
        row, said = row - 0.17, ""
    weight = "bold" if best else "normal"
    axes.text(column, row, f"{auc:.4f} {said}".rstrip(), ha="center", va="center", weight=weight)


def _searched(results: pd.DataFrame) -> list[str]:
    # Epochs too, if they stand before: after it they are those that were trained.
    return [str(name) for name in results.loc[:, :"val_auc"] if name not in FIGURES]


def _is_large(results: pd.DataFrame) -> bool:
    values = sorted(results[name].nunique() for name in _searched(results))
    down = np.prod(values[:-1], dtype=int)
    return bool(values[-1] > MOST_ACROSS or down > MOST_DOWN or results.duplicated(_searched(results)).any())


def _plain(value: object) -> str:
    return np.format_float_positional(value, trim="-") if isinstance(value, float) else str(value)


def _spaced(name: str) -> str:
    return name.replace("_", " ")
