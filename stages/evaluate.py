"""Score every model's predictions of the test part: the only stage that sees the test targets."""

from pathlib import Path

import pandas as pd

from stages.lib import plots, scores, stage, table
from stages.lib.files import InputError, replacing, write_json

MODELS = ("base", "grid", "smote")


def main(test_targets: Path, predictions: Path, models: Path, grid: Path, metrics: Path) -> None:
    tested = table.read(test_targets)
    targets = tested.column("target").to_numpy()
    scalars = {"test": scores.test_part(targets)}
    for name in MODELS:
        predicted = table.read(predictions / f"{name}.parquet")
        if not predicted.keys.equals(tested.keys) or len(predicted) != len(tested):
            raise InputError(f"{predictions / name}.parquet: the rows are not those of {test_targets}")
        probabilities = predicted.column("probability").to_numpy()
        scalars[name] = scores.scores(targets, probabilities)
        for curve in (scores.roc, scores.precision_recall, scores.confusion):
            write_csv(metrics / curve.__name__ / f"{name}.csv", curve(targets, probabilities))
        write_csv(metrics / "loss" / f"{name}.csv", pd.read_csv(models / name / "history.csv"))
        print(f"{name}: " + "  ".join(f"{score} {value:.4f}" for score, value in scalars[name].items()))
    plots.grid_heat_map(pd.read_csv(grid), metrics / "grid.svg")
    write_json(metrics / "scores.json", scores.rounded(scalars))


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


if __name__ == "__main__":
    stage.run(main)
