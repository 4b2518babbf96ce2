"""Score every model's predictions of the test part: the only stage that sees the test targets."""

from pathlib import Path

import numpy as np
import pandas as pd

from stages.lib.common.cli import run
from stages.lib.common.errors import InputError
from stages.lib.common.files import atomic_write, write_json
from stages.lib.dataset.sessions import Sessions, read_sessions
from stages.lib.evaluation import metrics as scores
from stages.lib.evaluation.delong import auc_with_interval, compare_aucs

NETWORKS = ("base", "grid", "smote", "strong")
REFERENCES = ("logistic", "trees")
COMPARED = [(name, "base") for name in (*NETWORKS[1:], *REFERENCES)]
COMPARED += [("strong", name) for name in ("grid", *REFERENCES)]
CURVES = (scores.roc, scores.precision_recall, scores.confusion, scores.reliability, scores.lift)


def main(test_targets: Path, predictions: Path, models: Path, metrics: Path) -> None:
    tested = read_sessions(test_targets)
    targets = tested.column("target").to_numpy()
    predicted = {name: read(predictions / f"{name}.parquet", tested) for name in (*NETWORKS, *REFERENCES)}
    probabilities = {name: rows.column("probability").to_numpy() for name, rows in predicted.items()}
    scalars, decisions = {"test": scores.test_part(targets)}, {}
    for name, rows in predicted.items():
        scalars[name] = scores.scores(targets, probabilities[name]) | spread(targets, rows)
        decisions[name] = decided(targets, rows)
        for curve in CURVES:
            write_csv(metrics / curve.__name__ / f"{name}.csv", curve(targets, probabilities[name]))
        low, auc, high = (scalars[name][figure] for figure in ("auc_low", "auc", "auc_high"))
        print(f"{name}: AUC {auc:.4f} ({low:.4f} to {high:.4f})")
    for name in NETWORKS:
        write_csv(metrics / "loss" / f"{name}.csv", pd.read_csv(models / name / "history.csv"))
    for one, other in COMPARED:
        scalars[f"{one}_minus_{other}"] = compare_aucs(targets, probabilities[one], probabilities[other])
    write_json(metrics / "decisions.json", scores.rounded(decisions))
    write_json(metrics / "scores.json", scores.rounded(scalars))


def read(path: Path, tested: Sessions) -> Sessions:
    rows = read_sessions(path)
    if not rows.keys.equals(tested.keys) or len(rows) != len(tested):
        raise InputError(f"{path}: the rows are not those of the test part")
    return rows


def spread(targets: np.ndarray, rows: Sessions) -> dict[str, float]:
    """Mean and standard deviation of the AUC over the seeds that the model was trained with, if there are several."""
    repeats = rows.select("probability", "extra_seed").to_arrow()
    if repeats.num_columns == 1:
        return {}
    aucs = [auc_with_interval(targets, column.to_numpy())["auc"] for column in repeats.columns]
    return {"auc_seeds_mean": float(np.mean(aucs)), "auc_seeds_sd": float(np.std(aucs, ddof=1))}


def decided(targets: np.ndarray, rows: Sessions) -> dict[str, float]:
    """What the decisions are worth that the model makes at its threshold, which test rows had no part in."""
    probabilities, decision = rows.column("probability").to_numpy(), rows.column("decision").to_numpy()
    threshold = rows.select("decision").table.schema[0].metadata[b"threshold"]
    return {"threshold": float(threshold)} | scores.decisions(targets, probabilities, decision)


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    with atomic_write(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


if __name__ == "__main__":
    run(main)
