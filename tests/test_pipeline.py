"""The whole pipeline by `dvc repro`, in folders of its own and on small data."""

import json
import sys

import pyarrow.parquet as pq
import pytest
from project import Project

from stages.lib.dataset.sessions import read_sessions

SMALL = {
    "simulate.sessions": 1500,
    "simulate.purchases": 150,
    "train_base.training.epochs": 2,
    "train_strong.network.ensemble_size": 2,
    "grid_search.grid": {"learning_rate": [0.0001, 0.001], "batch_size": [64]},
    "grid_search.folds": 2,
    "validation.folds": 2,
    "validation.calibration": "sigmoid",
    "validation.extra_seeds": 1,
}
NETWORKS = ("base", "grid", "smote", "strong")
MODELS = (*NETWORKS, "logistic", "trees")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    built = Project(tmp_path_factory.mktemp("project"), **SMALL)
    built.dvc("repro")
    return built


def test_the_scores_of_all_models_are_metrics(project) -> None:
    shown = json.loads(project.dvc("metrics", "show", "--json"))[""]["data"]
    found = shown["metrics/scores.json"]["data"]
    assert found == project.scores()
    for model in MODELS:
        assert {"auc", "auc_low", "auc_high", "accuracy", "accuracy_of_no", "auc_seeds_sd"} <= set(found[model])
        assert found[model]["auc_low"] < found[model]["auc"] < found[model]["auc_high"]
        if model != "base":
            change = found[f"{model}_minus_base"]
            assert change["difference"] == pytest.approx(found[model]["auc"] - found["base"]["auc"], abs=2e-6)
            assert change["low"] <= change["difference"] <= change["high"] and 0 <= change["p_value"] <= 1
    assert found["test"]["rows"] == 300 and shown["metrics/data.json"]["data"]["test_rows"] == 300
    assert set(shown["metrics/decisions.json"]["data"]) == set(MODELS)
    assert project.file("metrics/scores.json").endswith(b"}\n")


def test_decisions_are_made_at_thresholds_that_come_with_the_models(project) -> None:
    decisions = json.loads(project.file("metrics/decisions.json"))
    for model in NETWORKS:
        threshold = json.loads(project.file(f"models/{model}/decision.json"))["threshold"]
        assert decisions[model]["threshold"] == pytest.approx(threshold, abs=1e-6)
        predicted = read_sessions(project.folder / f"data/predictions/{model}.parquet")
        expected = predicted.column("probability").astype(float) >= threshold
        assert (predicted.column("decision") == expected).all()


def test_every_column_has_its_importance(project) -> None:
    for model in ("base", "grid", "strong"):
        lines = project.file(f"metrics/importance/{model}.csv").decode().splitlines()
        assert lines[0] == "column,importance,se" and len(lines) == 1 + 95


def test_afterwards_nothing_is_out_of_date(project) -> None:
    assert not (project.folder / ".grid_search").exists()
    assert "up to date" in project.dvc("status")
    before = project.file("dvc.lock")
    assert "Running stage" not in project.dvc("repro")
    assert project.file("dvc.lock") == before


def test_a_second_clone_gives_the_same_lock(project, tmp_path: Path) -> None:
    second = Project(tmp_path, **SMALL)
    second.dvc("repro")
    assert second.file("dvc.lock") == project.file("dvc.lock")


def test_the_default_data_has_the_columns_of_the_study(project) -> None:
    schema = pq.read_schema(project.folder / "data/prepared/sessions.parquet")
    roles = [field.metadata[b"role"].decode() for field in schema]
    assert (roles.count("feature"), roles.count("target")) == (95, 1)


def test_a_saved_model_gives_exactly_the_saved_predictions_in_a_new_process(project) -> None:
    program = (
        "from pathlib import Path; from stages.lib import table\n"
        "from stages.lib.decision import Decision; from stages.lib.model import Model\n"
        "test = table.read(Path('data/split/test.parquet'))\n"
        f"for name in {NETWORKS}:\n"
        "    saved = table.read(Path(f'data/predictions/{name}.parquet')).column('probability').to_numpy()\n"
        "    raw = Model.load(Path(f'models/{name}')).predict(test.features)\n"
        "    decision = Decision.load(Path(f'models/{name}/decision.json'))\n"
        "    assert (decision.recalibration.apply(raw) == saved).all(), name\n"
        "    assert (raw != saved).any(), name\n"
    )
    done = project.run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr


def test_the_plots_are_drawn_from_files_that_are_there(project) -> None:
    project.dvc("plots", "show")
    page = (project.folder / "dvc_plots" / "index.html").read_text()
    for title in ("ROC curve", "Precision and recall", "Training loss per epoch"):
        assert title in page
    assert "grid.svg" in page


def test_another_learning_rate_trains_anew_and_no_more(project) -> None:
    project.set_params(**SMALL, **{"train_base.training.learning_rate": 0.0002})
    try:
        stale = json.loads(project.dvc("status", "--json"))
        # The report shows the params as they are written.
        assert set(stale) == {"train_base", "grid_search", "smote_train", "report"}
    finally:
        project.set_params(**SMALL)


def test_a_stage_that_fails_leaves_what_was_there(project) -> None:
    before = {
        name: project.file(name) for name in ("dvc.lock", "data/prepared/sessions.parquet", "metrics/scores.json")
    }
    project.set_params(**SMALL, **{"prepare.clicks.columns.time": "no such column"})
    try:
        done = project.run("dvc", "repro")
        assert done.returncode != 0
        assert "no column 'no such column' for prepare.clicks.columns.time" in done.stderr
        assert "Traceback" not in done.stderr
        project.set_params(**SMALL)
        project.dvc("checkout")
        assert {name: project.file(name) for name in before} == before
    finally:
        project.set_params(**SMALL)
