"""The evaluate stage: the files that it writes, and predictions and models that it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers import RunStage, WriteParams
from scipy.stats import sem
from sklearn.metrics import roc_auc_score

from stages.lib.dataset.sessions import Sessions, read_sessions, with_roles, write_sessions
from stages.lib.evaluation.by_slice import metrics_by_slice
from stages.lib.evaluation.by_view import metrics_by_view
from stages.lib.evaluation.cluster_bootstrap import ClusterBootstrap
from stages.lib.evaluation.delong import auc_with_interval, compare_aucs
from stages.lib.evaluation.metrics import round_floats
from stages.lib.evaluation.profit import profit_metrics
from stages.lib.evaluation.proportions import wilson_interval
from stages.lib.evaluation.recommended import recommend
from stages.lib.evaluation.registry import COMPARISONS, MODELS

NAMES = [model.name for model in MODELS]
NETWORKS = [model.name for model in MODELS if model.is_network]
PATHS = [*map(Path, ("split", "predictions", "out_of_fold", "models", "metrics"))]
ROWS = 200
COSTS = {"contact": 1.0, "missed_purchase": 20.0}


@pytest.fixture
def probabilities(workdir: Path, write_params: WriteParams) -> dict[str, np.ndarray]:
    """The params, a test set and each model's predictions and folder; returns the predicted probabilities."""
    write_params()
    rng = np.random.default_rng(3)
    targets = (np.arange(ROWS) % 5 == 0).astype(np.int64)
    write_columns(Path("split/test_targets.parquet"), key=np.arange(ROWS), target=targets)
    write_columns(Path("split/test.parquet"), key=np.arange(ROWS), feature1=np.arange(ROWS) // 100)
    result = {}
    for position, name in enumerate(NAMES):
        result[name] = rng.beta(1 + targets, 4 + position).astype(np.float32)
        write_predictions(name, result[name])
        write_out_of_fold(name, position + 1)
    for epochs, name in enumerate(NETWORKS, start=1):
        folder = Path("models") / name
        folder.mkdir(parents=True)
        (folder / "training.json").write_text(json.dumps({"inputs": 10 * epochs, "point": {}}))
        history = pd.DataFrame({"epoch": range(1, epochs + 1), "loss": 0.5, "val_loss": 0.6})
        history.drop(columns="val_loss" if name == "base" else []).to_csv(folder / "history.csv", index=False)
    return result


def write_columns(path: Path, **columns: np.ndarray) -> None:
    """Write a table in which each column is named as its role, but for digits at the end."""
    schema = with_roles(pa.table(columns).schema, {name: name.rstrip("0123456789") for name in columns})
    write_sessions(path, Sessions(pa.table(columns).cast(schema)))


def write_predictions(name: str, probability: np.ndarray, **more: np.ndarray) -> None:
    """Predictions of sessions numbered from 0, which decide for a purchase from 0.25 on, with more columns."""
    path = Path("predictions") / f"{name}.parquet"
    keys, decision = np.arange(len(probability)), probability >= 0.25
    write_columns(path, **{"key": keys, "probability": probability, "decision": decision} | more)
    table = read_sessions(path).to_arrow()
    position = table.schema.get_field_index("decision")
    field = table.schema.field(position).with_metadata({"role": "decision", "threshold": "0.25"})
    write_sessions(path, Sessions(table.cast(table.schema.set(position, field))))


def write_out_of_fold(name: str, seed: int, n_folds: int = 4) -> None:
    rows, rng = np.arange(ROWS if n_folds else 0), np.random.default_rng(seed)
    targets = (rows % 5 == 0).astype(np.int64)
    probability = rng.beta(1 + targets, 4).astype(np.float32)
    path = Path("out_of_fold") / f"{name}.parquet"
    write_columns(path, key=rows, fold=rows % (n_folds or 1), target=targets, probability=probability)


def evaluate(run_stage: RunStage) -> dict[str, Any]:
    result = run_stage("evaluate", *PATHS)
    assert result.code == 0, result.err
    evaluation: dict[str, Any] = json.loads(Path("metrics/evaluation.json").read_bytes())
    return evaluation


def test_each_model_has_a_metrics_file_with_its_auc_and_accuracy(
    run_stage: RunStage, probabilities: dict[str, np.ndarray]
) -> None:
    evaluation = evaluate(run_stage)
    assert [*evaluation["models"]] == sorted(NAMES)
    for name, figures in evaluation["models"].items():
        metrics = json.loads(Path(f"metrics/{name}.json").read_bytes())
        assert metrics == {key: figures[key] for key in ("accuracy", "auc")}
        assert set(figures["decision"]) > {"threshold", "f1", "recall_at_10", "lift_at_10"}
        assert figures["decision"]["threshold"] == 0.25
    assert evaluation["test"] == {"rows": ROWS, "purchases": ROWS // 5, "majority_accuracy": 0.8}


def test_models_are_compared_as_the_registry_says(run_stage: RunStage, probabilities: dict[str, np.ndarray]) -> None:
    comparisons = evaluate(run_stage)["comparisons"]
    assert [(comparison["model"], comparison["reference"]) for comparison in comparisons] == [*COMPARISONS]
    targets = (np.arange(ROWS) % 5 == 0).astype(np.int64)
    for (name, reference), comparison in zip(COMPARISONS, comparisons, strict=True):
        expected = compare_aucs(targets, probabilities[name], probabilities[reference])
        assert {key: comparison[key] for key in expected} == pytest.approx(expected, abs=1e-6)


def test_networks_alone_have_inputs_and_losses(run_stage: RunStage, probabilities: dict[str, np.ndarray]) -> None:
    training = {"inputs": 40, "point": {}, "target_encoded": ["city"], "distillation": 0.5}
    Path("models/strong/training.json").write_text(json.dumps(training))
    models = evaluate(run_stage)["models"]
    assert {name for name, figures in models.items() if figures.get("target_encoded") == ["city"]} == {"strong"}
    assert {name: figures["distillation"] for name, figures in models.items() if "distillation" in figures} == {
        "strong": 0.5
    }
    inputs = {name: figures["inputs"] for name, figures in models.items() if "inputs" in figures}
    assert inputs == {name: 10 * position for position, name in enumerate(NETWORKS, start=1)}
    losses = pd.read_csv("metrics/loss.csv")
    validated = [f"{name}_val" for name in NETWORKS if name != "base"]
    assert set(losses) == {"epoch", *NETWORKS, *validated}
    assert losses[NETWORKS].count().to_dict() == {name: position for position, name in enumerate(NETWORKS, start=1)}


def test_models_have_the_mean_auc_of_their_folds_and_its_standard_error_unless_there_are_none(
    run_stage: RunStage, probabilities: dict[str, np.ndarray]
) -> None:
    write_out_of_fold("trees", seed=9, n_folds=0)
    models = evaluate(run_stage)["models"]
    assert {name for name in NAMES if "cross_validation" not in models[name]} == {"trees"}
    rows = read_sessions(Path("out_of_fold/strong.parquet")).to_arrow().to_pandas()
    aucs = [roc_auc_score(fold["target"], fold["probability"]) for _, fold in rows.groupby("fold")]
    expected = {"auc": np.mean(aucs), "auc_se": sem(aucs)}
    assert models["strong"]["cross_validation"] == pytest.approx(expected, abs=1e-6)


def test_curves_have_all_models(run_stage: RunStage, probabilities: dict[str, np.ndarray]) -> None:
    evaluate(run_stage)
    for name in ("roc", "precision_recall", "cumulative_gains"):
        assert [*pd.read_csv(f"metrics/{name}.csv")][1:] == NAMES
    for name in ("calibration", "confusion"):
        rows = pd.read_csv(f"metrics/{name}.csv").groupby("model").rows.sum()
        assert rows.to_dict() == dict.fromkeys(NAMES, ROWS)


def test_extra_seeds_give_the_mean_and_standard_deviation_of_the_auc(
    run_stage: RunStage, probabilities: dict[str, np.ndarray]
) -> None:
    assert "auc_seeds_mean" not in evaluate(run_stage)["models"]["base"]
    seeds = {"extra_seed1": probabilities["grid"], "extra_seed2": probabilities["strong"]}
    write_predictions("base", probabilities["base"], **seeds)
    figures = evaluate(run_stage)["models"]["base"]
    targets = (np.arange(ROWS) % 5 == 0).astype(np.int64)
    aucs = [auc_with_interval(targets, probabilities[name])["auc"] for name in ("base", "grid", "strong")]
    assert figures["auc_seeds_mean"] == pytest.approx(np.mean(aucs), abs=1e-6)
    assert figures["auc_seeds_std"] == pytest.approx(np.std(aucs, ddof=1), abs=1e-6)


def test_predictions_of_other_rows_are_an_error(run_stage: RunStage, probabilities: dict[str, np.ndarray]) -> None:
    write_predictions("smote", probabilities["smote"][1:])
    error = run_stage("evaluate", *PATHS).error
    assert error == "evaluate: predictions/smote.parquet: its rows are not those of the test set"


@pytest.mark.parametrize(("file", "content"), [("training.json", "{}"), ("history.csv", "")])
def test_a_broken_model_is_an_error(
    run_stage: RunStage, probabilities: dict[str, np.ndarray], file: str, content: str
) -> None:
    (Path("models/grid") / file).write_text(content)
    assert run_stage("evaluate", *PATHS).error.startswith("evaluate: models/grid: not a trained model: ")
    (Path("models/grid") / file).unlink()
    expected = "evaluate: models/grid: no such file; run the stage that trains it"
    assert run_stage("evaluate", *PATHS).error == expected


def test_the_same_predictions_give_the_same_bytes(run_stage: RunStage, probabilities: dict[str, np.ndarray]) -> None:
    evaluate(run_stage)
    before = {path.name: path.read_bytes() for path in Path("metrics").iterdir()}
    evaluate(run_stage)
    assert {path.name: path.read_bytes() for path in Path("metrics").iterdir()} == before
    assert len(before) == len(NAMES) + 7


# Slices -----------------------------------------------------------


def test_slices_of_columns_that_params_name_have_the_figures_of_the_recommended_model(
    run_stage: RunStage, probabilities: dict[str, np.ndarray], write_params: WriteParams
) -> None:
    write_params(**{"evaluate.slices": ["feature1"]})
    evaluation = evaluate(run_stage)
    slices = evaluation["slices"]
    model = recommend(evaluation["models"], MODELS).name
    targets = (np.arange(ROWS) % 5 == 0).astype(np.int64)
    half = np.arange(ROWS) < 100
    expected = metrics_by_slice(targets, probabilities[model], {"feature1": [("0", half), ("1", ~half)]})
    assert slices == {"model": model, **round_floats(expected)} and slices["tests"] == 4


def test_a_column_to_slice_by_that_is_not_there_is_an_error_that_lists_the_columns(
    run_stage: RunStage, probabilities: dict[str, np.ndarray], write_params: WriteParams
) -> None:
    write_params(**{"evaluate.slices": ["feature1", "country"]})
    error = run_stage("evaluate", *PATHS).error
    assert error == "evaluate: no column 'country' (evaluate.slices); there are feature1"


def test_auto_slices_a_click_log_by_the_columns_that_it_has_and_a_session_table_by_none(
    run_stage: RunStage, probabilities: dict[str, np.ndarray], write_params: WriteParams
) -> None:
    assert "slices" not in evaluate(run_stage)
    write_params(**{"prepare.source_type": "sessions"})
    test = read_sessions(Path("split/test.parquet")).to_arrow().rename_columns(["key", "visitorKnown"])
    write_sessions(Path("split/test.parquet"), Sessions(test))
    assert "slices" not in evaluate(run_stage)
    write_params()
    ran = run_stage("evaluate", *PATHS)
    assert "not sliced by operatingSystem, weekday, month: no such feature\n" in ran.out
    (column,) = json.loads(Path("metrics/evaluation.json").read_bytes())["slices"]["columns"]
    assert [one["slice"] for one in column["slices"]] == ["new visitor", "returning visitor"]


def test_evaluate_has_profits_only_where_costs_are_given(
    run_stage: RunStage, write_params: WriteParams, probabilities: dict[str, np.ndarray]
) -> None:
    without = evaluate(run_stage)
    assert "profit" not in without
    write_params(**{"decision.costs": COSTS})
    evaluation = evaluate(run_stage)
    figures = evaluation.pop("profit")
    assert evaluation == without and figures["costs"] == COSTS
    targets = (np.arange(ROWS) % 5 == 0).astype(np.int64)
    for name, predicted in probabilities.items():
        contacted = predicted >= 0.25
        expected = 20 * targets[contacted].sum() - contacted.sum()
        assert figures["models"][name]["profit"] == pytest.approx(expected * 1000 / ROWS)


# Several page views -----------------------------------------------

SESSION, VIEW, VISITOR = np.arange(ROWS) // 2, np.arange(ROWS) % 2 * 2 + 1, np.arange(ROWS) // 6
PURCHASES = (SESSION % 5 == 0).astype(np.int64)


@pytest.fixture
def by_view(probabilities: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same probabilities, of sessions at their first and at their third page view."""
    write_columns(Path("split/test_targets.parquet"), key=SESSION, visitor=VISITOR, view=VIEW, target=PURCHASES)
    write_columns(Path("split/test.parquet"), key=SESSION, visitor=VISITOR, view=VIEW, feature1=VIEW)
    for name, values in probabilities.items():
        write_predictions(name, values, key=SESSION, view=VIEW)
    return probabilities


def test_intervals_of_several_page_views_come_from_the_bootstrap_over_visitors(
    run_stage: RunStage, by_view: dict[str, np.ndarray]
) -> None:
    evaluation = evaluate(run_stage)
    bootstrap = ClusterBootstrap(PURCHASES, by_view, VISITOR)
    for name, figures in evaluation["models"].items():
        expected = bootstrap.with_intervals(name)
        assert {
            key: figures[key] for key in ("auc", "auc_ci_low", "auc_ci_high", "average_precision")
        } == pytest.approx(
            {key: expected[key] for key in ("auc", "auc_ci_low", "auc_ci_high", "average_precision")}, abs=1e-6
        )
        assert figures["decision"]["recall_at_10"] == pytest.approx(expected["recall_at_10"], abs=1e-6)
    for (name, reference), comparison in zip(COMPARISONS, evaluation["comparisons"], strict=True):
        expected = bootstrap.compare_aucs(name, reference)
        assert {key: comparison[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    # Which is not what DeLong's method gives
    assert figures["auc_ci_low"] != auc_with_interval(PURCHASES, by_view[name])["auc_ci_low"]


def test_intervals_of_profits_come_from_the_bootstrap_over_visitors(
    run_stage: RunStage, write_params: WriteParams, by_view: dict[str, np.ndarray]
) -> None:
    write_params(**{"decision.costs": COSTS})
    figures = evaluate(run_stage)["profit"]["models"]["trees"]
    decisions = {"trees": by_view["trees"] >= 0.25}
    expected = profit_metrics(PURCHASES, {"trees": by_view["trees"]}, decisions, VISITOR, **COSTS)["trees"]
    assert [figures["ci_low"], figures["ci_high"]] == pytest.approx([expected["ci_low"], expected["ci_high"]], abs=1e-6)


def test_each_page_view_has_its_rows_and_the_figures_of_all_models(
    run_stage: RunStage, by_view: dict[str, np.ndarray]
) -> None:
    found = evaluate(run_stage)["by_view"]
    expected = metrics_by_view(PURCHASES, by_view, VIEW, VISITOR)
    for one, other in zip(found, expected, strict=True):
        models = other.pop("models")
        assert {key: one[key] for key in other} == other and one["rows"] == ROWS // 2
        assert [*one["models"]] == sorted(NAMES)
        for name in NAMES:
            assert one["models"][name] == pytest.approx(models[name], abs=1e-6)


def test_slices_of_several_page_views_have_intervals_over_visitors(
    run_stage: RunStage, by_view: dict[str, np.ndarray], write_params: WriteParams
) -> None:
    write_params(**{"evaluate.slices": ["feature1"]})
    slices = evaluate(run_stage)["slices"]
    first, _ = slices["columns"][0]["slices"]
    at_first = VIEW == 1
    expected = ClusterBootstrap(PURCHASES[at_first], {"": by_view[slices["model"]][at_first]}, VISITOR[at_first])
    for key in ("auc", "auc_ci_low", "auc_ci_high"):
        assert first[key] == pytest.approx(expected.with_intervals("")[key], abs=1e-6)
    assert first["observed_ci_low"] == pytest.approx(
        wilson_interval(PURCHASES[at_first], VISITOR[at_first])[0], abs=1e-6
    )


def test_sessions_of_one_page_view_have_no_figures_by_view(
    run_stage: RunStage, probabilities: dict[str, np.ndarray]
) -> None:
    assert "by_view" not in evaluate(run_stage)


def test_predictions_at_other_page_views_are_an_error(run_stage: RunStage, by_view: dict[str, np.ndarray]) -> None:
    write_predictions("trees", by_view["trees"], key=SESSION, view=4 - VIEW)
    error = run_stage("evaluate", *PATHS).error
    assert error == "evaluate: predictions/trees.parquet: its rows are not those of the test set"
