"""Render the results: an HTML report, a summary for a pull request, a model card, and the grid as a picture."""

import re
from pathlib import Path

from stages.lib.common.cli import run
from stages.lib.common.files import atomic_write
from stages.lib.common.params import PARAMS, Params
from stages.lib.reporting.grid_plot import save_grid_plot
from stages.lib.reporting.render import render
from stages.lib.reporting.report import gather

SIMULATED = "data/raw/clicks.parquet"  # what the simulate stage writes


def main(metrics: Path, page: Path, summary: Path, card: Path, grid: Path) -> None:
    variables = gather(metrics) | {
        "simulated": Params.load().prepare.source == SIMULATED,
        "params": without_runtime(PARAMS.read_text(encoding="utf-8")),
    }
    templates = {"report.html.jinja": page, "summary.md.jinja": summary, "model_card.md.jinja": card}
    for template, path in templates.items():
        text = render(template, variables)
        with atomic_write(path) as temporary:
            temporary.write_bytes(text.encode())
    if variables["grid"] is not None:
        save_grid_plot(variables["grid"], grid)
    print(f"{page}: {variables['headline']}")


def without_runtime(params: str) -> str:
    """The text of params.yaml without the section `runtime`: the page must not depend on where it was rendered."""
    return re.sub(r"^runtime:.*\n(?:[ \t].*\n|\n)*", "", params, flags=re.MULTILINE)


if __name__ == "__main__":
    run(main)
