"""A page of the report with everything in it, and what is in a page."""

import re
from html.parser import HTMLParser
from pathlib import Path

from metrics_folder import evaluation, slices, write_json, write_metrics

from stages.lib.reporting.render import render
from stages.lib.reporting.report import gather

CURVES = ("roc", "precision_recall", "calibration", "cumulative_gains")


def full_page(folder: Path) -> str:
    """A page with everything in it, of metrics that are written to the folder."""
    folder = write_metrics(folder)
    write_json(folder / "evaluation.json", evaluation() | {"slices": slices()})
    variables = gather(folder)
    return render("report.html.jinja", variables | {"simulated": True, "params": "seed: 42  # <i>\n"})


class Reader(HTMLParser):
    """The tags of a page, and its text by the heading above it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {"": ""}
        self.tag = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.tag = tag

    def handle_data(self, data: str) -> None:
        if self.tag in ("h2", "h3") and data.strip():
            self.sections[data] = ""
        elif self.tag != "style":
            self.sections[list(self.sections)[-1]] += f"{data} "

    def handle_endtag(self, tag: str) -> None:
        self.tag = ""


def text(page: str) -> str:
    return " ".join(" ".join(Reader(page).sections.values()).split())


def pictures(page: str) -> dict[str, str]:
    """The SVGs of a page by name."""
    svgs = re.finditer(r'<svg[^>]*aria-labelledby="(\w+)-title.*?</svg>', page, re.DOTALL)
    return {svg[1]: svg[0].replace("&#39;", "'") for svg in svgs}
