"""Tell what was found: a page for people, a short text for a pull request, and a card that goes with the models."""

from pathlib import Path

from stages.lib import params, plots, report, stage
from stages.lib.files import replacing


def main(metrics: Path, page: Path, summary: Path, card: Path, grid: Path) -> None:
    (prepare,) = params.load("prepare")
    found = report.gather(metrics)
    found["simulated"] = prepare.source == report.SIMULATED
    # As it is written, comments and all
    found["params"] = params.PARAMS.read_text(encoding="utf-8")
    pages = {"report.html.jinja": page, "summary.md.jinja": summary, "model_card.md.jinja": card}
    for template, path in pages.items():
        text = report.filled(template, found)
        with replacing(path) as temporary:
            temporary.write_bytes(text.encode())
    if found["grid"] is not None:
        plots.grid_heat_map(found["grid"], grid)
    print(f"{page}: {found['headline']}")


if __name__ == "__main__":
    stage.run(main)
