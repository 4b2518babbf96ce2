"""Score every model's predictions on the test set; the only stage that reads the test targets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.lib.common.cli import run
from stages.lib.common.errors import InputError, file_errors
from stages.lib.common.files import write_csv, write_json
from stages.lib.common.params import Params
from stages.lib.dataset.sessions import Sessions, read_sessions
from stages.lib.evaluation.by_view import metrics_by_view
from stages.lib.evaluation.cluster_bootstrap import ClusterBootstrap
from stages.lib.evaluation.curves import tabulate_curves, tabulate_losses
from stages.lib.evaluation.delong import auc_with_interval, compare_aucs
from stages.lib.evaluation.metrics import decision_metrics, describe_test_set, probability_metrics, round_floats
from stages.lib.evaluation.profit import profit_metrics
from stages.lib.evaluation.registry import COMPARISONS, MODELS

DVC_METRICS = ("accuracy", "auc")  # few, since each is a column for each model in `dvc exp show`


def main(test_targets: Path, predictions: Path, out_of_fold: Path, models: Path, metrics: Path) -> None:
    test = read_sessions(test_targets)
    targets = test.column("target").to_numpy()
    rows = {model.name: read_predictions(predictions / f"{model.name}.parquet", test) for model in MODELS}
    probabilities = {name: predicted.column("probability").to_numpy() for name, predicted in rows.items()}
    scores = {name: round_floats(score(targets, predicted)) for name, predicted in rows.items()}
    for name, figures in scores.items():
        if validated := cross_validated(read_sessions(out_of_fold / f"{name}.parquet")):
            figures["cross_validation"] = round_floats(validated)
    histories = {}
    for model in MODELS:
        if model.is_network:
            folder = models / model.name
            with file_errors(folder, "a trained model", "run the stage that trains it", (KeyError,)):
                training = json.loads((folder / "training.json").read_bytes())
                scores[model.name] |= {name: training[name] for name in ("inputs", "point")}
                histories[model.name] = pd.read_csv(folder / "history.csv")
    further: dict[str, Any] = {}  # figures that not every run has
    clusters = np.arange(len(test))
    differences = {(a, b): compare_aucs(targets, probabilities[a], probabilities[b]) for a, b in COMPARISONS}
    if test.names("view"):  # then rows are not independent, as DeLong's method assumes
        views, clusters = (test.column(role).to_numpy() for role in ("view", "visitor"))
        bootstrap = ClusterBootstrap(targets, probabilities, clusters)
        differences = {(a, b): bootstrap.compare_aucs(a, b) for a, b in COMPARISONS}
        for name, figures in scores.items():
            with_intervals = bootstrap.with_intervals(name)
            figures |= round_floats({key: with_intervals[key] for key in ("auc_ci_low", "auc_ci_high")})
        further["by_view"] = metrics_by_view(targets, probabilities, views, clusters)
    if costs := Params.load().decision.costs:
        decisions = {name: predicted.column("decision").to_numpy() for name, predicted in rows.items()}
        profits = profit_metrics(targets, probabilities, decisions, clusters, **costs.model_dump())
        further["profit"] = {"costs": costs.model_dump(), "models": profits}
    comparisons = [{"model": a, "reference": b, **difference} for (a, b), difference in differences.items()]
    for name, figures in scores.items():
        write_json(metrics / f"{name}.json", {key: figures[key] for key in DVC_METRICS})
        print("{name}: AUC {auc:.4f} ({auc_ci_low:.4f} to {auc_ci_high:.4f})".format(name=name, **figures))
    for name, table in (tabulate_curves(targets, probabilities) | {"loss": tabulate_losses(histories)}).items():
        write_csv(metrics / f"{name}.csv", table)
    evaluation = {"test": describe_test_set(targets), "models": scores, "comparisons": comparisons, **further}
    write_json(metrics / "evaluation.json", round_floats(evaluation))


def read_predictions(path: Path, test: Sessions) -> Sessions:
    predictions = read_sessions(path)
    keys = ("key", "view")
    if not predictions.select(*keys).to_arrow().equals(test.select(*keys).to_arrow()) or len(predictions) != len(test):
        raise InputError(f"{path}: its rows are not those of the test set")
    return predictions


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
