"""The templates of the report, filled in."""

import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2

from stages.lib.reporting.grid_plot import MAX_ROWS
from stages.lib.reporting.pictures import TOP_COLUMNS
from stages.lib.reporting.profit import amount
from stages.lib.reporting.sentences import number, percent, period
from stages.lib.reporting.style import PALETTE

LIBRARIES = (
    "tensorflow", "keras", "talos", "imbalanced-learn", "scikit-learn", "pandas", "numpy", "duckdb", "ibis-framework",
    "dvc",
)  # fmt: skip


def render(template: str, variables: dict[str, Any]) -> str:
    """The text of a template with these variables, which are escaped in HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        # Names of columns come with the data, which may be anybody's.
        autoescape=jinja2.select_autoescape(enabled_extensions=["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "percent": percent, "count": "{:,}".format, "period": period}
    environment.filters["amount"] = amount
    return environment.get_template(template).render(
        variables,
        libraries=library_versions(),
        palette=PALETTE,
        top_columns=TOP_COLUMNS,
        max_grid_rows=MAX_ROWS,
    )


def library_versions() -> dict[str, str]:
    """The version of Python, and of those libraries that results depend on and that are installed."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
