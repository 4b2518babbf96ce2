"""CONTRIBUTING.md is right: the files that it names exist, and a model is added as it says."""

import re
from pathlib import Path

import pandas as pd
import pytest
from checkout import Checkout, Clone
from helpers import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
REGISTRY = "stages/lib/evaluation/registry.py"


def code_blocks(language: str) -> list[str]:
    """The code blocks of the section on adding a model."""
    section = TEXT.partition("### a model\n")[2].partition("\n### ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.M | re.S)


def apply_diff(diff: str, path: Path) -> None:
    """Apply the hunks of a diff, which are separated by empty lines and have no line numbers."""
    text = path.read_text(encoding="utf-8")
    for hunk in diff.strip("\n").split("\n\n"):
        lines = hunk.splitlines()
        old = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
        new = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
        assert text.count(old) == 1, f"{path.name}: not one place for\n{hunk}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def test_all_files_that_are_named_exist() -> None:
    names = set(re.findall(r"`((?:stages|tests|benchmarks|docs)/[\w./]*)`", TEXT)) - {"stages/train_bayes.py"}
    assert len(names) > 15
    assert not [name for name in names if not (ROOT / name).exists()]


@pytest.fixture(scope="module")
def with_another_model(built_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone to which a model was added by the steps in CONTRIBUTING.md, and which was reproduced."""
    clone = Clone(built_checkout, tmp_path_factory.mktemp("contributor") / "clone", with_cache=True)
    (script,) = code_blocks("python")
    registry, pipeline = code_blocks("diff")
    (clone.folder / "stages/train_bayes.py").write_text(script)
    apply_diff(registry, clone.folder / REGISTRY)
    apply_diff(pipeline, clone.folder / "dvc.yaml")
    output = clone.dvc("repro")
    stages = re.findall(r"^Running stage '(\w+)'", output, re.M)
    assert stages == ["train_bayes", "blend", "evaluate"], "no other model is trained again"
    return clone


@pytest.mark.slow
def test_a_model_added_in_two_places_is_among_the_metrics(with_another_model: Clone) -> None:
    shown = with_another_model.dvc("metrics", "show")
    assert re.search(r"^metrics/bayes\.json +0\.\d+ +0\.\d+", shown, re.M), shown


@pytest.mark.slow
@pytest.mark.parametrize("curve", ["roc", "precision_recall", "cumulative_gains"])
def test_a_model_added_in_two_places_has_curves(with_another_model: Clone, curve: str) -> None:
    assert "bayes" in pd.read_csv(with_another_model.folder / f"metrics/{curve}.csv").columns
    with_another_model.dvc("plots", "show", f"metrics/{curve}.csv")
    assert '"bayes"' in with_another_model.file("dvc_plots/index.html").decode()


@pytest.mark.slow
def test_a_model_added_in_two_places_is_compared(with_another_model: Clone) -> None:
    comparisons = with_another_model.json("metrics/evaluation.json")["comparisons"]
    assert ("bayes", "base") in {(each["model"], each["reference"]) for each in comparisons}


@pytest.mark.slow
@pytest.mark.parametrize("page", ["metrics/report.html", "metrics/summary.md"])
def test_a_model_added_in_two_places_is_reported(with_another_model: Clone, page: str) -> None:
    assert "naive Bayes" in with_another_model.file(page).decode()
