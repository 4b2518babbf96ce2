"""Tell what was found: a page for people, a short text for a pull request, and a card that goes with the models."""

from pathlib import Path

from stages.lib.common.cli import run
from stages.lib.common.files import atomic_write
from stages.lib.common.params import PARAMS, Params
from stages.lib.reporting.plots import grid_heat_map
from stages.lib.reporting.report import SIMULATED, filled, gather


def main(metrics: Path, page: Path, summary: Path, card: Path, grid: Path) -> None:
    found = gather(metrics)
    found["simulated"] = Params.load().prepare.source == SIMULATED
    # As it is written, comments and all
    found["params"] = PARAMS.read_text(encoding="utf-8")
    pages = {"report.html.jinja": page, "summary.md.jinja": summary, "model_card.md.jinja": card}
    for template, path in pages.items():
        text = filled(template, found)
        with atomic_write(path) as temporary:
            temporary.write_bytes(text.encode())
    if found["grid"] is not None:
        grid_heat_map(found["grid"], grid)
    print(f"{page}: {found['headline']}")


if __name__ == "__main__":
    run(main)
