"""The whole pipeline, run by `dvc repro` on little data.

That a second run gives the same bytes, test_faults tests: one of its faults makes everything anew.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from checkout import TINY, Checkout, Clone

from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import read_sessions
from stages.lib.evaluation.registry import BLENDED, COMPARISONS, MODELS
from stages.lib.modeling.blend import Weights, load_model, save_blend
from stages.lib.modeling.decision import Decision

N_TEST = 60
NAMES = [model.name for model in MODELS]
NETWORKS = [model.name for model in MODELS if model.is_network]
SAVED = [name for name in NAMES if name != "logistic"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(built_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(built_checkout, tmp_path_factory.mktemp("built") / "clone", with_cache=True)


def test_every_model_has_its_metrics_with_intervals(built: Checkout) -> None:
    evaluation = built.json("metrics/evaluation.json")
    assert list(evaluation["models"]) == sorted(NAMES)
    for name, metrics in evaluation["models"].items():
        assert metrics["auc_ci_low"] < metrics["auc"] < metrics["auc_ci_high"]
        assert {"auc_seeds_mean", "auc_seeds_std", "average_precision", "log_loss", "brier", "ece"} <= set(metrics)
        shown = built.json(f"metrics/{name}.json")
        assert {"auc", "accuracy"} <= set(shown) and shown == {key: metrics[key] for key in shown}
    assert evaluation["test"]["rows"] == built.json("metrics/data.json")["test_rows"] == N_TEST


def test_models_are_compared_with_confidence_intervals(built: Checkout) -> None:
    evaluation = built.json("metrics/evaluation.json")
    auc = {name: metrics["auc"] for name, metrics in evaluation["models"].items()}
    comparisons = evaluation["comparisons"]
    assert [(each["model"], each["reference"]) for each in comparisons] == list(COMPARISONS)
    for each in comparisons:
        assert each["difference"] == pytest.approx(auc[each["model"]] - auc[each["reference"]], abs=2e-6)
        assert each["ci_low"] <= each["difference"] <= each["ci_high"] and 0 <= each["p_value"] <= 1


def test_every_curve_has_a_column_for_each_model(built: Checkout) -> None:
    for curve in ("roc", "precision_recall", "cumulative_gains"):
        _, *columns = pd.read_csv(built.folder / f"metrics/{curve}.csv")
        assert columns == NAMES
    _, *columns = pd.read_csv(built.folder / "metrics/loss.csv")
    assert columns == NETWORKS
    for table in ("calibration", "confusion"):
        assert list(pd.read_csv(built.folder / f"metrics/{table}.csv")["model"].unique()) == NAMES


def test_decisions_are_made_at_the_threshold_saved_with_the_model(built: Checkout) -> None:
    models = built.json("metrics/evaluation.json")["models"]
    for name in NETWORKS:
        threshold = built.json(f"models/{name}/decision.json")["threshold"]
        assert models[name]["decision"]["threshold"] == pytest.approx(threshold, abs=1e-6)
        predictions = read_sessions(built.folder / f"data/predictions/{name}.parquet")
        expected = predictions.column("probability").astype(float) >= threshold
        assert (predictions.column("decision") == expected).all()


def test_every_column_has_its_permutation_importance(built: Checkout) -> None:
    for name in ("base", "grid", "strong"):
        importance = pd.read_csv(built.folder / f"metrics/importance/{name}.csv")
        assert list(importance) == ["column", "importance", "se"] and len(importance) == 95


def test_after_repro_everything_is_up_to_date(built: Checkout) -> None:
    assert not (built.folder / ".grid_search").exists()
    assert "up to date" in built.dvc("status")
    before = built.file("dvc.lock")
    assert "Running stage" not in built.dvc("repro")
    assert built.file("dvc.lock") == before


def test_the_default_data_has_the_columns_of_the_study(built: Checkout) -> None:
    schema = pq.read_schema(built.folder / "data/prepared/sessions.parquet")
    roles = [field.metadata[b"role"].decode() for field in schema]
    assert (roles.count("feature"), roles.count("target")) == (95, 1)


def test_a_saved_model_makes_exactly_the_saved_predictions_in_a_new_process(built: Checkout) -> None:
    program = f"""
from pathlib import Path

from stages.lib.dataset.sessions import read_sessions
from stages.lib.modeling.blend import load_model
from stages.lib.modeling.decision import Decision

test = read_sessions(Path("data/split/test.parquet"))
for name in {SAVED}:
    saved = read_sessions(Path(f"data/predictions/{{name}}.parquet")).column("probability").to_numpy()
    probabilities = load_model(Path(f"models/{{name}}")).predict(test.features)
    decision = Decision.load(Path(f"models/{{name}}/decision.json"))
    assert (decision.calibration.apply(probabilities) == saved).all(), name
    assert (probabilities != saved).any(), name
"""
    completed = built.run(sys.executable, "-c", program)
    assert completed.returncode == 0, completed.stderr


def test_a_blend_of_a_network_and_trees_weights_what_they_predicted(built: Checkout, tmp_path: Path) -> None:
    parts = [built.folder / "models" / name for name in BLENDED]
    decision, schema = Decision.load(parts[0] / "decision.json"), Schema.load(parts[0] / "schema.json")
    weights = Weights(weights=dict.fromkeys(BLENDED, 0.5))
    save_blend(tmp_path / "blend", weights, parts, decision, schema)
    predicted = {name: read_sessions(built.folder / f"data/predictions/{name}.parquet") for name in BLENDED}
    expected = weights.apply({name: rows.column("probability").to_numpy() for name, rows in predicted.items()})
    test = read_sessions(built.folder / "data/split/test.parquet")
    np.testing.assert_array_equal(load_model(tmp_path / "blend").predict(test.features), expected)


@pytest.mark.parametrize("name", ["trees", "blend"])
def test_a_log_is_scored_exactly_as_the_test_set_was_predicted(name: str, built: Checkout, tmp_path: Path) -> None:
    output = tmp_path / "scores.parquet"
    command = ("stages.score", f"models/{name}", "data/raw/clicks.parquet", "-o", str(output))
    completed = built.run(sys.executable, "-m", *command)
    assert completed.returncode == 0, completed.stderr
    predicted = read_sessions(built.folder / f"data/predictions/{name}.parquet").to_arrow().to_pandas()
    both = predicted.merge(pd.read_parquet(output), on="session", suffixes=("", "_scored"), validate="one_to_one")
    assert len(both) == N_TEST and both.probability.nunique() > 5
    assert (both.probability == both.probability_scored).all() and (both.decision == both.decision_scored).all()


def test_each_row_of_the_training_set_has_an_out_of_fold_prediction_of_each_model(built: Checkout) -> None:
    train = read_sessions(built.folder / "data/split/train.parquet")
    keys = train.select("key").to_arrow()
    for name in NAMES:
        rows = read_sessions(built.folder / f"data/out_of_fold/{name}.parquet")
        assert rows.select("key").to_arrow().equals(keys)
        assert (rows.column("target") == train.column("target")).all()
        assert {*rows.column("fold")} == {0, 1} and rows.column("probability").between(0, 1).all()


def test_plots_are_drawn_without_errors(built: Checkout) -> None:
    built.dvc("plots", "show")
    page = built.file("dvc_plots/index.html").decode()
    for title in ("ROC curve", "Precision", "Training loss"):
        assert title in page
    assert "grid.svg" in page


def test_only_the_stages_that_use_a_changed_param_are_out_of_date(built: Checkout) -> None:
    built.set_params(**TINY, **{"train_base.training.learning_rate": 0.0002})
    try:
        assert set(built.status()) == {"train_base", "grid_search", "smote_train", "evaluate"}
    finally:
        built.set_params(**TINY)


def test_changed_runtime_params_put_nothing_out_of_date(built: Checkout) -> None:
    runtime = {"engine": "pyspark://", "memory_limit": "1GB", "backend": "tcp://127.0.0.1:8786"}
    built.set_params(**TINY, **{f"runtime.{name}": value for name, value in runtime.items()})
    try:
        assert not built.status()
    finally:
        built.set_params(**TINY)


def test_the_report_shows_all_params_but_runtime(built: Checkout) -> None:
    """Or else the report, and its hash in dvc.lock, would depend on where it was rendered."""
    page = built.file("metrics/report.html").decode()
    assert "learning_rate" in page and "score_at_views" in page
    assert "memory_limit" not in page


def test_a_stage_that_fails_leaves_earlier_outputs_unchanged(built: Checkout) -> None:
    names = ("dvc.lock", "data/prepared/sessions.parquet", "metrics/evaluation.json")
    before = {name: built.file(name) for name in names}
    built.set_params(**TINY, **{"prepare.clicks.columns.time": "no such column"})
    try:
        repro = built.run("dvc", "repro")
        assert repro.returncode != 0
        assert "'no such column'" in repro.stderr and "prepare.clicks.columns.time" in repro.stderr
        assert "Traceback" not in repro.stderr
        built.set_params(**TINY)
        built.dvc("checkout")
        assert {name: built.file(name) for name in names} == before
    finally:
        built.set_params(**TINY)


def test_files_that_stages_write_are_not_merged_line_by_line(built_checkout: Checkout) -> None:
    stages = yaml.safe_load(built_checkout.file("dvc.lock"))["stages"].values()
    outs = [out["path"] for stage in stages for out in stage["outs"]]
    committed = [path for path in built_checkout.git("ls-files").splitlines() if path.startswith(tuple(outs))]
    assert len(committed) > 20
    for line in built_checkout.git("check-attr", "merge", "--", "dvc.lock", *committed).splitlines():
        assert line.endswith(": merge: unset"), line
    assert built_checkout.git("check-attr", "merge", "--", "params.yaml").endswith(": merge: unspecified\n")
