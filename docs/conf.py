"""The site of the documentation, which Sphinx builds from the README and the pages in docs/: make site."""

from sphinx.application import Sphinx

project = "Purchase prediction"
author = project
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "metrics/summary.md"]
exclude_patterns = [".*", "build"]
myst_enable_extensions = ["html_image"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["site"]  # index.html, which leads to the README
html_copy_source = False
html_show_search_summary = False  # it would be fetched, which browsers refuse for files
html_show_copyright = False

# The order of the pages. The README has none, since its readers elsewhere would see it as code.
CONTENTS = {
    "Start": ["docs/tutorial"],
    "Guides": ["docs/your-data", "docs/experiments", "docs/scoring", "docs/days", "docs/sharing", "docs/docker"],
    "Reference": [
        "docs/parameters",
        "docs/features",
        "docs/troubleshooting",
        "docs/reliability",
        "SECURITY",
        "CHANGELOG",
    ],
    "Background": [
        "docs/methodology",
        "docs/models",
        "docs/comparison",
        "MODEL_CARD",
        "metrics/summary",
    ],
    "Machines": ["docs/performance", "docs/scaling"],
    "Development": ["docs/architecture", "CONTRIBUTING"],
}


def add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    if page == root_doc:
        for caption, pages in CONTENTS.items():
            source[0] += "\n".join(["\n```{toctree}", ":hidden:", f":caption: {caption}\n", *pages, "```\n"])
    elif page == "metrics/summary":  # which has no heading, since it is part of a comment
        source[0] = f"# The committed results\n\n{source[0]}"


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)
