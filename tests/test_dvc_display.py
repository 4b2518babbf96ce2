"""What DVC shows of the project fits a terminal, with data and on a bare clone."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import Checkout, Clone
from helpers import ROOT

from stages.lib.evaluation.registry import MODELS

NAMES = {model.name for model in MODELS}
NETWORKS = {model.name for model in MODELS if model.is_network}
PARAM = "train_reference.trees.max_iter"
RUN = f"dvc exp run --name more-trees -S {PARAM}=300"
SHOW = "dvc exp show --only-changed --drop '[^:]*/[^:]*$'"
REVISIONS = {"main", "more"}
CHANGED = {"trees", "blend"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def experimented(built_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the experiment has run, which is also the branch `more`."""
    clone = Clone(built_checkout, tmp_path_factory.mktemp("display") / "clone", with_cache=True)
    clone.dvc(*RUN.split()[1:])
    clone.dvc("exp", "branch", "more-trees", "more")
    clone.git("reset", "--quiet", "--hard")
    return clone


@pytest.fixture(scope="module", params=["with data", "bare clone"])
def clone(request: pytest.FixtureRequest, experimented: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Where both branches are: with data and models, and as cloned by somebody who has pulled nothing."""
    if request.param == "with data":
        return experimented
    bare = Clone(experimented, tmp_path_factory.mktemp("bare") / "clone")
    bare.git("branch", "more", "origin/more")
    assert not (bare.folder / ".dvc/cache").exists() and not (bare.folder / "models/base").exists()
    return bare


def width(shown: str) -> int:
    return max(len(line.rstrip()) for line in shown.splitlines())


def rows(shown: str) -> list[list[str]]:
    """The cells of each line that has any."""
    lines = (re.split(r"\s{2,}", line.strip()) for line in shown.splitlines())
    return [cells for cells in lines if any(re.search(r"\w", cell) for cell in cells)]


def changes(clone: Clone, what: str) -> dict[str, dict[str, Any]]:
    """What `dvc params diff` or `dvc metrics diff` finds between the branches, by file and key."""
    found: dict[str, dict[str, Any]] = json.loads(clone.dvc(what, "diff", *sorted(REVISIONS), "--json"))
    return found


def test_metrics_show_is_a_small_table_of_models_by_metrics(clone: Clone) -> None:
    shown = clone.dvc("metrics", "show")
    assert width(shown) < 100
    header, *models = rows(shown)
    assert header == ["Path", "accuracy", "auc"]
    assert {path for path, *_ in models} == {f"metrics/{name}.json" for name in NAMES}
    assert all(0 <= float(value) <= 1 for _, *values in models for value in values)


def test_metrics_diff_is_one_short_row_for_each_metric_that_changed(clone: Clone) -> None:
    changed = changes(clone, "metrics")
    assert set(changed) == {f"metrics/{name}.json" for name in CHANGED} and "auc" in changed["metrics/trees.json"]
    shown = clone.dvc("metrics", "diff", *sorted(REVISIONS))
    assert width(shown) < 100
    header, *metrics = rows(shown)
    assert header == ["Path", "Metric", "main", "more", "Change"]
    assert sorted(cells[:2] for cells in metrics) == sorted([file, key] for file in changed for key in changed[file])


def test_params_diff_is_one_row_for_the_param_that_changed(clone: Clone) -> None:
    assert set(changes(clone, "params")["params.yaml"]) == {PARAM}
    shown = clone.dvc("params", "diff", *sorted(REVISIONS))
    assert width(shown) < 100
    assert rows(shown)[1:] == [["params.yaml", PARAM, "5", "300"]]


@pytest.mark.parametrize("columns", ["--unset=COLUMNS", "COLUMNS=120"], ids=["piped", "in 120 columns"])
def test_experiments_fit_in_200_characters(experimented: Clone, columns: str) -> None:
    shown = experimented.run("env", columns, *shlex.split(SHOW)).stdout
    # On another day than that of the commit, DVC shows its date in place of the time, which is longer by 4, and where
    # an experiment was queued, two more columns.
    assert width(shown) < 200 - 4 - len("State    Executor  ")
    assert "…" not in shown
    header, *experiments = rows(shown)
    metrics = {f"metrics/{name}.json:{key}" for name in CHANGED for key in ("auc", "accuracy")}
    assert "metrics/trees.json:auc" in header and PARAM in header
    assert set(header) - metrics - {PARAM} == {"Experiment", "Created"}
    iterations = {cells[0].split("[")[-1].rstrip("]"): cells[header.index(PARAM)] for cells in experiments}
    assert iterations == {"workspace": "5", "main": "5", "more-trees": "300"}


def test_the_experiment_is_the_documented_one() -> None:
    assert {RUN, SHOW} <= {*(ROOT / "docs/experiments.md").read_text().splitlines()}


@pytest.fixture(scope="module")
def plots(clone: Clone) -> dict[str, list[dict[str, Any]]]:
    """The charts of `dvc plots diff` by their file."""
    shown = json.loads(clone.dvc("plots", "diff", *sorted(REVISIONS), "--json"))
    assert set(shown) == {"data"}, shown
    return {str(name): charts for name, charts in shown["data"].items()}


def drawn(chart: dict[str, Any]) -> list[dict[str, str]]:
    """The chart's data, a row a point."""
    specification = chart["content"]
    assert "<DVC_METRIC" not in json.dumps(specification), "an anchor that DVC does not know"
    points: list[dict[str, str]] = specification["data"]["values"]
    return points


@pytest.mark.parametrize("name", ["roc", "precision_recall", "cumulative_gains", "loss", "calibration", "confusion"])
def test_each_plot_has_all_models_in_both_revisions(plots: dict[str, list[dict[str, Any]]], name: str) -> None:
    (chart,) = plots[f"metrics/{name}.csv"]
    # In a wide table the model is the column that the value is from, in a long one it is a column itself.
    model = "model" if name in ("calibration", "confusion") else "field"
    points = drawn(chart)
    expected = NETWORKS if name == "loss" else NAMES
    assert {(point[model], point["rev"]) for point in points} == {(name, rev) for name in expected for rev in REVISIONS}


def test_curves_of_a_model_that_changed_differ_and_others_do_not(plots: dict[str, list[dict[str, Any]]]) -> None:
    (chart,) = plots["metrics/roc.csv"]
    values: dict[tuple[str, str], list[str]] = {}
    for point in drawn(chart):
        values.setdefault((point["field"], point["rev"]), []).append(point["dvc_inferred_y_value"])
    assert {name for name in NAMES if values[name, "main"] != values[name, "more"]} == CHANGED


def test_the_grid_has_its_points_and_its_picture_in_both_revisions(plots: dict[str, list[dict[str, Any]]]) -> None:
    (chart,) = plots["metrics/grid.csv"]
    assert {point["rev"] for point in drawn(chart)} == REVISIONS
    assert {image["revisions"][0] for image in plots["metrics/grid.svg"]} == REVISIONS


def test_every_plot_template_is_used_and_there(experimented: Clone) -> None:
    pipeline = yaml.safe_load(experimented.file("dvc.yaml"))
    outputs = [plot for stage in pipeline["stages"].values() for plot in stage.get("plots", [])]
    settings = [next(iter(plot.values())) for plot in [*outputs, *pipeline["plots"]] if isinstance(plot, dict)]
    used = {plot["template"] for plot in settings if "template" in plot}
    assert used == {path.stem for path in Path(ROOT / ".dvc/plots").glob("*.json")}
