"""Score every model's predictions on the test set; the only stage that reads the test targets."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from stages.lib.common.cli import run
from stages.lib.common.errors import InputError, file_errors
from stages.lib.common.files import write_csv, write_json
from stages.lib.common.params import Params
from stages.lib.dataset.sessions import Sessions, read_sessions
from stages.lib.evaluation.by_slice import metrics_by_slice
from stages.lib.evaluation.by_view import metrics_by_view
from stages.lib.evaluation.cluster_bootstrap import ClusterBootstrap
from stages.lib.evaluation.curves import tabulate_curves, tabulate_losses
from stages.lib.evaluation.delong import auc_with_interval, compare_aucs
from stages.lib.evaluation.metrics import decision_metrics, describe_test_set, probability_metrics, round_floats
from stages.lib.evaluation.profit import profit_metrics
from stages.lib.evaluation.recommended import recommend
from stages.lib.evaluation.registry import COMPARISONS, MODELS
from stages.lib.evaluation.slices import CLICK_LOG_COLUMNS, CLICK_LOG_LABELS, Slices, slice_column

DVC_METRICS = ("accuracy", "auc")  # few, since each is a column for each model in `dvc exp show`


def main(split: Path, predictions: Path, out_of_fold: Path, models: Path, metrics: Path) -> None:
    test = read_sessions(split / "test_targets.parquet")
    params = Params.load()
    features = read_rows(split / "test.parquet", test)
    slices = slice_columns(features, params.evaluate.slices, params.prepare.source_type)
    targets = test.column("target").to_numpy()
    rows = {model.name: read_rows(predictions / f"{model.name}.parquet", test) for model in MODELS}
    probabilities = {name: predicted.column("probability").to_numpy() for name, predicted in rows.items()}
    scores = {name: round_floats(score(targets, predicted)) for name, predicted in rows.items()}
    for name, figures in scores.items():
        if validated := cross_validated(read_sessions(out_of_fold / f"{name}.parquet")):
            figures["cross_validation"] = round_floats(validated)
    visitors: np.ndarray | None = None
    differences = {(a, b): compare_aucs(targets, probabilities[a], probabilities[b]) for a, b in COMPARISONS}
    further: dict[str, Any] = {}  # figures that not every run has
    if test.names("view"):  # then rows are not independent, as DeLong's method assumes
        views, visitors = (test.column(role).to_numpy() for role in ("view", "visitor"))
        bootstrap = ClusterBootstrap(targets, probabilities, visitors)
        differences = {(a, b): bootstrap.compare_aucs(a, b) for a, b in COMPARISONS}
        for name, figures in scores.items():
            with_intervals = bootstrap.with_intervals(name)
            figures |= round_floats({key: with_intervals[key] for key in ("auc_ci_low", "auc_ci_high")})
        further["by_view"] = metrics_by_view(targets, probabilities, views, visitors)
    if slices:
        name = recommend(scores, MODELS).name
        further["slices"] = {"model": name, **metrics_by_slice(targets, probabilities[name], slices, visitors)}
    if costs := params.decision.costs:
        decisions = {name: predicted.column("decision").to_numpy() for name, predicted in rows.items()}
        clusters = np.arange(len(test)) if visitors is None else visitors
        profits = profit_metrics(targets, probabilities, decisions, clusters, **costs.model_dump())
        further["profit"] = {"costs": costs.model_dump(), "models": profits}
    comparisons = [{"model": a, "reference": b, **difference} for (a, b), difference in differences.items()]
    evaluation = {"test": describe_test_set(targets), "models": scores, "comparisons": comparisons, **further}
    curves = tabulate_curves(targets, probabilities) | {"loss": tabulate_losses(read_histories(models, scores))}
    write(metrics, evaluation, curves)


def read_histories(models: Path, scores: dict[str, dict[str, Any]]) -> dict[str, pd.DataFrame]:
    """The losses of each network by epoch; `scores` get what else is known of its training."""
    histories = {}
    for model in MODELS:
        if model.is_network:
            folder = models / model.name
            with file_errors(folder, "a trained model", "run the stage that trains it", (KeyError,)):
                training = json.loads((folder / "training.json").read_bytes())
                scores[model.name] |= {name: training[name] for name in ("inputs", "point")}
                for name in ("distillation", "target_encoded"):  # which few models have
                    if name in training:
                        scores[model.name][name] = training[name]
                histories[model.name] = pd.read_csv(folder / "history.csv")
    return histories


def write(metrics: Path, evaluation: dict[str, Any], curves: dict[str, pd.DataFrame]) -> None:
    for name, figures in evaluation["models"].items():
        write_json(metrics / f"{name}.json", {key: figures[key] for key in DVC_METRICS})
        print("{name}: AUC {auc:.4f} ({auc_ci_low:.4f} to {auc_ci_high:.4f})".format(name=name, **figures))
    for name, table in curves.items():
        write_csv(metrics / f"{name}.csv", table)
    write_json(metrics / "evaluation.json", round_floats(evaluation))


def read_rows(path: Path, test: Sessions) -> Sessions:
    """Predictions or features of the test set, in the order of its targets."""
    rows = read_sessions(path)
    keys = ("key", "view")
    if not rows.select(*keys).to_arrow().equals(test.select(*keys).to_arrow()) or len(rows) != len(test):
        raise InputError(f"{path}: its rows are not those of the test set")
    return rows


def slice_columns(
    features: Sessions, columns: list[str] | Literal["auto"], source_type: Literal["clicks", "sessions"]
) -> dict[str, Slices]:
    """The slices of each column; auto is CLICK_LOG_COLUMNS, as far as the log has them, and none of a session table."""
    is_log, known = source_type == "clicks", features.names("feature", "time")
    if columns == "auto":
        automatic = CLICK_LOG_COLUMNS if is_log else ()
        columns = [name for name in automatic if name in known]
        if absent := [name for name in automatic if name not in known]:
            print(f"not sliced by {', '.join(absent)}: no such feature")
    for name in columns:
        if name not in known:
            raise InputError(f"no column '{name}' (evaluate.slices); there are {', '.join(known)}")
    labels = CLICK_LOG_LABELS if is_log else {}
    table = features.frame("feature", "time")
    return {
        name: [(labels.get(name, {}).get(label, label), inside) for label, inside in slice_column(table[name])]
        for name in columns
    }


def cross_validated(out_of_fold: Sessions) -> dict[str, float]:
    """The mean AUC of the folds and its standard error, on rows of the training set; nothing without folds."""
    rows = pd.DataFrame({role: out_of_fold.column(role) for role in ("fold", "target", "probability")})
    aucs = [
        auc_with_interval(fold["target"].to_numpy(), fold["probability"].to_numpy())["auc"]
        for _, fold in rows.groupby("fold")
    ]
    return {"auc": float(np.mean(aucs)), "auc_se": float(np.std(aucs, ddof=1) / len(aucs) ** 0.5)} if aucs else {}


def score(targets: np.ndarray, predictions: Sessions) -> dict[str, Any]:
    """The metrics of a model's probabilities and, under `decision`, of its decisions at its threshold.

    A model trained with extra seeds also has the mean and the standard deviation of the AUC over all of them.
    """
    probabilities, decisions = (predictions.column(role).to_numpy() for role in ("probability", "decision"))
    threshold = float(predictions.select("decision").table.schema[0].metadata[b"threshold"])
    figures: dict[str, Any] = dict(probability_metrics(targets, probabilities))
    by_seed = predictions.select("probability", "extra_seed").to_arrow()
    if by_seed.num_columns > 1:
        aucs = [auc_with_interval(targets, column.to_numpy())["auc"] for column in by_seed.columns]
        figures |= {"auc_seeds_mean": np.mean(aucs), "auc_seeds_std": np.std(aucs, ddof=1)}
    figures["decision"] = {"threshold": threshold, **decision_metrics(targets, probabilities, decisions)}
    return figures


if __name__ == "__main__":
    run(main)
