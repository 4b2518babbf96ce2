"""A folder of metrics with made-up values, as evaluate and the stages before it write them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.lib.evaluation import registry

MODELS = tuple(model.name for model in registry.MODELS)
NETWORKS = tuple(model.name for model in registry.MODELS if model.is_network)
AUCS = {"base": 0.75, "grid": 0.751, "smote": 0.74, "strong": 0.76, "logistic": 0.745, "trees": 0.77, "blend": 0.768}
DATA = {
    "rows": 51349, "purchases": 4112, "purchase_rate": 0.080079, "missing_share": 0.0213, "features": 95,
    "train_rows": 41079, "test_rows": 10270, "duplicates_across": 31, "first": "2015-01-01T00:03:12",
    "last": "2015-12-31T23:58:41", "fingerprint": "0123456789abcdef", "split_strategy": "stratified",
    "suspects": {"<b>&": 0.9312},
}  # fmt: skip
SCORES = {"accuracy": 0.913, "average_precision": 0.23, "log_loss": 0.25, "brier": 0.07, "ece": 0.01}
DECISION = {
    "threshold": 0.144, "balanced_accuracy": 0.65, "f1": 0.28, "precision": 0.22, "recall": 0.41, "lift_at_5": 3.8,
    "recall_at_5": 0.19, "lift_at_10": 3.1, "recall_at_10": 0.314, "lift_at_20": 2.5, "recall_at_20": 0.5,
}  # fmt: skip
INPUTS = {"base": 125, "grid": 125, "smote": 125, "strong": 711}


def comparison(model: str, reference: str, difference: float, half_width: float = 0.006) -> dict[str, Any]:
    return {
        "model": model,
        "reference": reference,
        "difference": difference,
        "ci_low": difference - half_width,
        "ci_high": difference + half_width,
        "p_value": 0.00001 if difference else 1.0,
    }


def evaluation(models: Sequence[str] = MODELS) -> dict[str, Any]:
    """The content of evaluation.json for these models."""
    scores: dict[str, dict[str, Any]] = {}
    for name in models:
        auc = AUCS.get(name, 0.7)
        interval = {"auc": auc, "auc_ci_low": auc - 0.014, "auc_ci_high": auc + 0.014}
        scores[name] = {**SCORES, **interval, "decision": DECISION}
        if name in INPUTS:
            scores[name]["inputs"] = INPUTS[name]
    pairs = [(name, "base") for name in models if name in AUCS and name != "base"]
    if {"strong", "trees"} <= set(models):
        pairs.append(("strong", "trees"))
    return {
        "test": {"rows": 10270, "purchases": 822, "majority_accuracy": 0.919961},
        "models": scores,
        "comparisons": [comparison(name, reference, AUCS[name] - AUCS[reference]) for name, reference in pairs],
    }


def slices() -> dict[str, Any]:
    """What evaluation.json has of two columns: a slice that stands out, one that does not, one that is too small."""
    interval = {"auc": 0.6, "auc_ci_low": 0.55, "auc_ci_high": 0.65, "auc_others": 0.78}
    rates = {"predicted": 0.08, "observed": 0.09, "observed_ci_low": 0.07, "observed_ci_high": 0.11}
    large = {"rows": 3000, "purchases": 250, **interval, **rates, "calibration_p_holm": 1.0}
    columns = [
        {"column": "month", "slices": [{"slice": "Jan", **large, "auc_p_holm": 0.001}]},
        {
            "column": "<b>&",
            "slices": [{"slice": "<u>", **large, "auc_p_holm": 0.5}, {"slice": "rare", "rows": 120, "purchases": 3}],
        },
    ]
    return {"model": "trees", "min_rows": 20, "tests": 4, "columns": columns}


def by_view(recalls: Sequence[float], models: Sequence[str] = MODELS) -> list[dict[str, Any]]:
    """What evaluation.json has of page views 1, 3, 5 …, with these lower ends of recall at 10%, the same of all models.

    A view whose recall is NaN has no purchase.
    """
    views = []
    for number, recall in enumerate(recalls):
        rows, figures = 10270 - 2000 * number, {}
        for name in models:
            auc = AUCS.get(name, 0.7) + 0.01 * number
            values = {"auc": auc, "average_precision": 0.23, "recall_at_10": recall + 0.03}
            lower = {f"{key}_ci_low": value - 0.03 for key, value in values.items()}
            figures[name] = values | lower | {f"{key}_ci_high": value + 0.03 for key, value in values.items()}
        counts = {"view": 2 * number + 1, "rows": rows, "purchases": 0 if np.isnan(recall) else 822 - number}
        views.append(counts | {"models": {} if np.isnan(recall) else figures})
    return views


def write_views(folder: Path, recalls: Sequence[float]) -> Path:
    """The folder as the stages write it where sessions are scored at several page views; see `by_view`."""
    content = json.loads((folder / "evaluation.json").read_text())
    write_json(folder / "evaluation.json", content | {"by_view": by_view(recalls, [*content["models"]])})
    write_json(folder / "data.json", json.loads((folder / "data.json").read_text()) | {"sessions": 20123})
    return folder


def grid_results(values: dict[str, list[Any]]) -> pd.DataFrame:
    """The content of grid.csv for all combinations of these values; the last has the highest AUC, 0.75."""
    points = pd.MultiIndex.from_product(list(values.values()), names=list(values)).to_frame(index=False)
    aucs = np.linspace(0.7, 0.75, len(points))
    results = points.assign(val_auc=aucs, val_auc_se=0.0041, val_loss=0.3, loss=0.3)
    return (results if "epochs" in results else results.assign(epochs=10)).assign(folds=5)


def write_metrics(folder: Path, models: Sequence[str] = MODELS) -> Path:
    """Write all that the report reads of these models, with curves of as many points as real ones have."""
    write_json(folder / "evaluation.json", evaluation(models))
    write_json(folder / "data.json", DATA)
    share = np.linspace(0, 1, 201)
    rising = {name: share ** (0.4 + 0.02 * number) for number, name in enumerate(models)}
    write_csv(folder / "roc.csv", pd.DataFrame({"fpr": share, **rising}))
    write_csv(folder / "cumulative_gains.csv", pd.DataFrame({"share": share, **rising}))
    falling = dict.fromkeys(models, 0.4 - 0.3 * share)
    write_csv(folder / "precision_recall.csv", pd.DataFrame({"recall": share, **falling}))
    bins = pd.DataFrame({"predicted": share[:100:10], "observed": share[:100:10] ** 1.1, "rows": 1027})
    write_csv(folder / "calibration.csv", pd.concat([bins.assign(model=name) for name in models]))
    epochs = np.arange(1, 11)
    losses = {name: 1 / epochs for name in models if name in NETWORKS}
    write_csv(folder / "loss.csv", pd.DataFrame({"epoch": epochs, **losses}))
    if "grid" in models:
        write_csv(folder / "grid.csv", grid_results({"learning_rate": [0.00001, 0.0001], "batch_size": [24, 48]}))
    for name in ("base", "grid", "strong"):
        if name in models:
            columns = ["<b>&", *(f"column {number}" for number in range(1, 20))]
            importances = pd.DataFrame({"column": columns, "importance": np.linspace(0.02, 0, 20), "se": 0.001})
            write_csv(folder / "importance" / f"{name}.csv", importances)
    return folder


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_csv(path: Path, content: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content.to_csv(path, index=False, float_format="%.6f")
