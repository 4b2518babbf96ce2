"""Figures as SVG, with the same bytes each time: a file of its own, or a part of an HTML page."""

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from matplotlib.figure import Figure

from stages.lib.common.files import atomic_write
from stages.lib.reporting.style import FILE_COLORS, PAGE_COLORS


@dataclass(frozen=True)
class Picture:
    """The content of an SVG element of this width and height, for a page that sets --rule, --line-0, --line-1, …"""

    width: float
    height: float
    body: str


def inline(figure: Figure, name: str) -> Picture:
    """Prepare a figure for an HTML page.

    Its text takes the font of the page, and its colors are those that the page sets. Its ids start with `name`, so that
    they differ from those of the page's other pictures.
    """
    root = ElementTree.fromstring(_to_svg(figure, transparent=True))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for element in list(root.iter()):
        for child in list(element):
            if child.tag.endswith(("}metadata", "}style")):
                element.remove(child)
        # In HTML, names need no namespace.
        element.tag = element.tag.rpartition("}")[2]
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        if element.tag == "g":
            attributes.pop("id", None)  # nothing refers to it
        element.attrib = {key: _for_page(key, value, name) for key, value in attributes.items()}
        element.tail = None
    return Picture(width, height, "".join(ElementTree.tostring(child, encoding="unicode") for child in root))


def save_svg(figure: Figure, path: Path) -> None:
    """Write a figure to a file, in the colors for light backgrounds."""
    text = _to_svg(figure, transparent=False).decode()
    for placeholder, color in FILE_COLORS.items():
        text = text.replace(placeholder, color)
    with atomic_write(path) as temporary:
        temporary.write_bytes(text.encode())


def _for_page(key: str, value: str, name: str) -> str:
    """The value of an attribute as it is on a page."""
    if key == "id":
        return f"{name}-{value}"
    if key == "style":
        value = re.sub(r"font-family:[^;]*(; )?", "", value)
        return re.sub("#[0-9a-f]{6}", lambda color: PAGE_COLORS.get(color[0], color[0]), value)
    if key == "d":
        # Two decimals are finer than any screen.
        return re.sub(r"(\.\d\d)\d+", r"\1", value.replace("\n", ""))
    return re.sub(r"^(#|url\(#)", rf"\g<1>{name}-", value)


def _to_svg(figure: Figure, transparent: bool) -> bytes:
    content = io.BytesIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():
        # The drawing font lacks some scripts, but the text is drawn by the browser, which has other fonts.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(content, format="svg", metadata=no_metadata, transparent=transparent)
    return content.getvalue()
