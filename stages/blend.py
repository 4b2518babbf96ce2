"""Blend the strong network and the boosted trees, weighted by their out-of-fold predictions."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from stages.lib.common.cli import run
from stages.lib.common.params import Params
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import Sessions, read_sessions
from stages.lib.evaluation.registry import BLENDED
from stages.lib.modeling.blend import Weights, save_blend
from stages.lib.modeling.calibration import Calibration, Method
from stages.lib.modeling.cross_validation import OutOfFold
from stages.lib.modeling.decision import Decision


def main(out_of_fold: Path, predictions: Path, models: Path) -> None:
    params = Params.load()
    method, costs = params.validation.calibration, params.decision.costs
    decisions = {name: Decision.load(models / name / "decision.json") for name in BLENDED}
    rows = {name: read_sessions(out_of_fold / f"{name}.parquet") for name in BLENDED}
    by_model = {name: OutOfFold.of_sessions(sessions) for name, sessions in rows.items()}
    first = by_model[BLENDED[0]]
    calibrated = {name: decisions[name].calibration.apply(oof.probabilities) for name, oof in by_model.items()}
    weights = Weights.fit(calibrated, first.targets)
    blended = blend_out_of_fold(by_model, method)
    blended.write(out_of_fold / "blend.parquet", rows[BLENDED[0]])
    decision = Decision.fit(method, blended.targets, blended.probabilities, costs)
    schema = Schema.load(models / BLENDED[0] / "schema.json")
    save_blend(models / "blend", weights, [models / name for name in BLENDED], decision, schema)
    test = {name: read_sessions(predictions / f"{name}.parquet") for name in BLENDED}
    decision.write(predictions / "blend.parquet", test[BLENDED[0]], *blend_test(test, weights))
    print("weights: " + ", ".join(f"{name} {weight:.3f}" for name, weight in weights.weights.items()))


def blend_out_of_fold(by_model: dict[str, OutOfFold], method: Method) -> OutOfFold:
    """Each fold, calibrated and weighted as the other folds say, so that no row has a say in what predicts it."""
    first = by_model[BLENDED[0]]
    probabilities = np.empty_like(first.probabilities)
    for fold in np.unique(first.folds):
        inside, targets = first.folds == fold, first.targets[first.folds != fold]
        calibrated = {
            name: Calibration.fit(method, targets, oof.probabilities[~inside]).apply(oof.probabilities)
            for name, oof in by_model.items()
        }
        weights = Weights.fit({name: values[~inside] for name, values in calibrated.items()}, targets)
        probabilities[inside] = weights.apply({name: values[inside] for name, values in calibrated.items()})
    return replace(first, probabilities=probabilities)


def blend_test(test: dict[str, Sessions], weights: Weights) -> list[np.ndarray]:
    """The blended probabilities of the test set, and those with each extra seed."""
    columns = {name: sessions.select("probability", "extra_seed").to_arrow() for name, sessions in test.items()}
    n_seeds = min(table.num_columns for table in columns.values())
    return [
        weights.apply({name: table.column(seed).to_numpy() for name, table in columns.items()})
        for seed in range(n_seeds)
    ]


if __name__ == "__main__":
    run(main)
