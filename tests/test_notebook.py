"""notebooks/models.ipynb: its cells run in order in a fresh checkout, and it is committed without their output."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from checkout import Checkout, Clone
from helpers import ROOT

NAME = "notebooks/models.ipynb"
NOTEBOOK: dict[str, Any] = json.loads((ROOT / NAME).read_text(encoding="utf-8"))
# As Jupyter, which is not installed, runs the cells: in one namespace, in the folder of the notebook.
RUN_CELLS = """
import json

namespace = {}
for number, cell in enumerate(json.load(open("models.ipynb", encoding="utf-8"))["cells"]):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), namespace)
namespace["axes"].figure.savefig("curve.png")
namespace["metrics"].to_csv("metrics.csv")
namespace["scores"].to_parquet("scores.parquet")
"""


def test_the_notebook_has_the_form_of_nbformat_4_and_no_output() -> None:
    assert NOTEBOOK["nbformat"] == 4 and NOTEBOOK["nbformat_minor"] >= 5
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(ids) == len(set(ids))
    for cell in NOTEBOOK["cells"]:
        assert isinstance(cell["source"], list) and cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
        else:
            assert cell["cell_type"] == "markdown"


def test_the_links_of_the_notebook_lead_to_files() -> None:
    text = "".join(line for cell in NOTEBOOK["cells"] if cell["cell_type"] == "markdown" for line in cell["source"])
    assert "](../docs/scoring.md)" in text and (ROOT / "docs" / "scoring.md").exists()


@pytest.mark.slow
def test_the_cells_run_in_order_and_give_what_the_pipeline_has_predicted(
    built_checkout: Checkout, tmp_path: Path
) -> None:
    clone = Clone(built_checkout, tmp_path / "clone", with_cache=True)
    folder = clone.folder / "notebooks"
    folder.mkdir()
    shutil.copy(ROOT / NAME, folder)
    clone.environment = {**clone.environment, "MPLBACKEND": "agg"}
    done = clone.run("bash", "-c", 'cd notebooks && exec python -W error::FutureWarning -c "$0"', RUN_CELLS)
    assert done.returncode == 0, done.stdout + done.stderr
    scores = pd.read_parquet(clone.folder / "scores.parquet")  # the notebook has changed to this folder
    predicted = pd.read_parquet(io.BytesIO(clone.file("data/predictions/blend.parquet"))).head(len(scores))
    assert len(scores) == 8 and scores.probability.tolist() == predicted.probability.tolist()
    assert scores.decision.tolist() == predicted.decision.tolist()
    metrics = pd.read_csv(clone.folder / "metrics.csv", index_col=0)
    assert metrics.loc["trees", "auc"] == clone.json("metrics/trees.json")["auc"]
    assert (clone.folder / "curve.png").stat().st_size > 1000
