"""The weights of a blend are the best on out-of-fold predictions, and what is saved predicts what was written."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import RunStage, WriteParams, as_sessions, sessions_frame, standard_encoding
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from stages.lib.common.errors import InputError
from stages.lib.common.model_params import Trees
from stages.lib.common.params import Params
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import Sessions, read_sessions, write_sessions
from stages.lib.modeling.blend import Blend, Weights, load_model, save_blend
from stages.lib.modeling.boosted_trees import BoostedTrees
from stages.lib.modeling.calibration import Calibration
from stages.lib.modeling.cross_validation import OutOfFold
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.trainer import Candidate
from stages.lib.modeling.training_stage import train_and_predict

TRAIN, TEST = Path("train.parquet"), Path("test.parquet")
OUT_OF_FOLD, PREDICTIONS, MODELS = Path("out_of_fold"), Path("predictions"), Path("models")
# Two models of which neither is much better, by the names that the stage looks for
SETTINGS = {
    "strong": Trees(learning_rate=0.2, max_iter=10, max_leaf_nodes=3, l2_regularization=0.0, max_features=0.3),
    "trees": Trees(learning_rate=0.2, max_iter=10, max_leaf_nodes=4, l2_regularization=5.0, max_features=0.3),
}


def noisy(targets: np.ndarray, seed: int, noise: float) -> np.ndarray:
    """Probabilities that depend on the targets, and on noise of this standard deviation."""
    z = 2 * targets - 1 + noise * np.random.default_rng(seed).normal(size=len(targets))
    return expit(z / max(noise, 1)).astype(np.float32)


# Weights ----------------------------------------------------------


@pytest.mark.parametrize(("noise", "other_noise"), [(1.0, 1.0), (1.0, 1.5), (3.0, 1.5), (2.0, 2.5)])
def test_the_weights_of_two_models_minimize_the_log_loss(noise: float, other_noise: float) -> None:
    targets = np.random.default_rng(0).integers(0, 2, 500)
    first, second = noisy(targets, 1, noise), noisy(targets, 2, other_noise)

    z = logit([first.astype(float), second.astype(float)])

    def loss(weight: float) -> float:
        return log_loss(targets, expit(weight * z[0] + (1 - weight) * z[1]))

    best = minimize_scalar(loss, bounds=(0, 1), method="bounded", options={"xatol": 1e-6}).x
    weights = Weights.fit({"first": first, "second": second}, targets)
    assert 0.05 < best < 0.95 and weights.weights["first"] == pytest.approx(best, abs=1e-3)
    blended = weights.apply({"first": first, "second": second})
    assert log_loss(targets, blended) == pytest.approx(loss(best), abs=1e-6)
    assert log_loss(targets, blended) < min(log_loss(targets, first), log_loss(targets, second))


def test_the_weights_of_three_models_are_not_negative_and_none_of_a_fine_grid_are_better() -> None:
    targets = np.random.default_rng(0).integers(0, 2, 300)
    models = {f"model_{seed}": noisy(targets, seed, noise) for seed, noise in enumerate((1.2, 2.0, 2.2))}
    weights = Weights.fit(models, targets)
    assert min(weights.weights.values()) > 0 and sum(weights.weights.values()) == pytest.approx(1, abs=1e-12)
    inputs = logit(np.column_stack([*models.values()]).astype(float))
    grid = np.array([(a, b, 100 - a - b) for a in range(101) for b in range(101 - a)]) / 100
    z = inputs @ grid.T
    losses = np.mean(np.logaddexp(0, z) - targets[:, np.newaxis] * z, axis=0)
    assert log_loss(targets, weights.apply(models)) < losses.min() + 1e-6
    np.testing.assert_allclose([*weights.weights.values()], grid[losses.argmin()], atol=0.011)


def test_a_useless_model_gets_no_weight() -> None:
    targets = np.random.default_rng(0).integers(0, 2, 500)
    wrong = noisy(1 - targets, 1, 1.0)
    weights = Weights.fit({"wrong": wrong, "right": noisy(targets, 2, 1.0)}, targets)
    assert weights.model_dump_json() == '{"weights":{"wrong":0.0,"right":1.0}}'


def test_without_rows_models_have_equal_weights() -> None:
    empty = np.empty(0, np.float32)
    assert Weights.fit({"a": empty, "b": empty}, empty).weights == {"a": 0.5, "b": 0.5}
    assert Weights.fit({"a": np.ones(3), "b": np.zeros(3)}, np.ones(3)).weights == {"a": 1, "b": 0}


def test_probabilities_of_0_and_1_do_not_outweigh_all_others() -> None:
    """As a calibration may make them, and saturated networks."""
    weights = Weights(weights={"a": 0.5, "b": 0.5})
    ends = {"a": np.array([0, 1, 0, 1], np.float32), "b": np.array([1, 0, 0, 1], np.float32)}
    np.testing.assert_allclose(weights.apply(ends), [0.5, 0.5, 0, 1], atol=1e-7)
    targets = np.random.default_rng(0).integers(0, 2, 500)
    sure = targets.astype(np.float32)
    sure[:5] = 1 - sure[:5]
    fitted = Weights.fit({"sure": sure, "fair": noisy(targets, 1, 1.0)}, targets).weights
    assert 0 < fitted["sure"] < 1


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"a": 0.5},
        {"a": -0.5, "b": 1.5},
        {"a": float("nan"), "b": 1.0},
        {"..": 1.0},
        {".": 1.0},
        {"": 1.0},
        {"../outside": 1.0},
        {"a/..": 1.0},
        {"/tmp": 1.0},
    ],
)
def test_weights_that_are_none_and_paths_in_place_of_names_are_refused(
    weights: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path would lead to a model outside the folder, or to the blend itself."""
    folder = tmp_path / "blend"
    folder.mkdir()
    (folder / "blend.json").write_text(json.dumps({"weights": weights}))
    loaded: list[Path] = []
    monkeypatch.setattr(Decision, "load", loaded.append)
    with pytest.raises(InputError) as error:
        load_model(folder)
    assert str(error.value).startswith(f"{folder / 'blend.json'}: not the weights of a blend: ")
    assert "\n" not in str(error.value) and not loaded


# The stage --------------------------------------------------------


@pytest.fixture
def sessions(workdir: Path, write_params: WriteParams) -> Sessions:
    """The training set, and what the stages before write of both models."""
    write_params(**{"validation.folds": 3, "validation.calibration": "isotonic", "validation.extra_seeds": 1})
    sessions = as_sessions(sessions_frame(400).assign(id=range(400)), buys="target", id="key")
    write_sessions(TRAIN, sessions.take(np.arange(300)))
    write_sessions(TEST, sessions.take(np.arange(300, 400)).select("feature", "key"))
    for seed, (name, settings) in enumerate(SETTINGS.items()):

        def save(model: BoostedTrees, decision: Decision, schema: Schema, name: str = name) -> None:
            model.save(MODELS / name, decision, schema)

        candidate = Candidate(partial(BoostedTrees.fit, settings=settings, seed=10 * seed), standard_encoding())
        paths = (TRAIN, TEST, PREDICTIONS / f"{name}.parquet", OUT_OF_FOLD / f"{name}.parquet")
        train_and_predict([candidate], Params.load(), *paths, save=save)
    return read_sessions(TRAIN)


def blend(run_stage: RunStage) -> dict[str, float]:
    result = run_stage("blend", OUT_OF_FOLD, PREDICTIONS, MODELS)
    assert result.code == 0, result.err
    weights: dict[str, float] = json.loads((MODELS / "blend/blend.json").read_text())["weights"]
    return weights


def files() -> dict[str, bytes]:
    outputs = [MODELS / "blend", PREDICTIONS, OUT_OF_FOLD]
    return {str(path): path.read_bytes() for output in outputs for path in output.rglob("*") if path.is_file()}


def blended() -> OutOfFold:
    return OutOfFold.of_sessions(read_sessions(OUT_OF_FOLD / "blend.parquet"))


def flip_targets(fold: int) -> None:
    """Make the other target of each row of the fold the right one, in all that the stage reads."""
    for name in SETTINGS:
        path = OUT_OF_FOLD / f"{name}.parquet"
        rows = read_sessions(path)
        oof = OutOfFold.of_sessions(rows)
        targets = np.where(oof.folds == fold, 1 - oof.targets, oof.targets)
        OutOfFold(oof.positions, oof.folds, targets, oof.probabilities).write(path, rows)
        Decision.fit("isotonic", targets, oof.probabilities).save(MODELS / name / "decision.json")


def test_the_saved_blend_predicts_the_test_set_as_it_was_predicted(sessions: Sessions, run_stage: RunStage) -> None:
    weights = blend(run_stage)
    assert all(0.1 < weight < 0.9 for weight in weights.values())
    predicted, test = read_sessions(PREDICTIONS / "blend.parquet"), read_sessions(TEST)
    model, decision = load_model(MODELS / "blend"), Decision.load(MODELS / "blend/decision.json")
    assert isinstance(model, Blend)
    probabilities = decision.calibration.apply(model.predict(test.features))
    np.testing.assert_array_equal(predicted.column("probability"), probabilities)
    np.testing.assert_array_equal(predicted.column("decision"), probabilities >= decision.threshold)
    assert predicted.keys["id"].to_pylist() == [*range(300, 400)]
    extra = predicted.select("extra_seed").to_arrow()
    assert extra.column_names == ["probability_1"] and (extra["probability_1"].to_numpy() != probabilities).any()


def test_the_weights_are_those_of_the_calibrated_out_of_fold_predictions(
    sessions: Sessions, run_stage: RunStage
) -> None:
    weights = blend(run_stage)
    calibrated = {}
    for name in SETTINGS:
        oof = OutOfFold.of_sessions(read_sessions(OUT_OF_FOLD / f"{name}.parquet"))
        calibrated[name] = Decision.load(MODELS / name / "decision.json").calibration.apply(oof.probabilities)
    assert weights == Weights.fit(calibrated, sessions.column("target").to_numpy()).weights


def test_the_targets_of_a_fold_change_no_out_of_fold_prediction_of_it(sessions: Sessions, run_stage: RunStage) -> None:
    blend(run_stage)
    before = blended()
    flip_targets(fold=1)
    blend(run_stage)
    after, inside = blended(), before.folds == 1
    np.testing.assert_array_equal(after.targets != before.targets, inside)
    np.testing.assert_array_equal(after.probabilities[inside], before.probabilities[inside])
    for fold in (0, 2):
        assert (after.probabilities != before.probabilities)[before.folds == fold].mean() > 0.5


def test_a_blend_leaves_out_a_model_without_weight(sessions: Sessions, run_stage: RunStage) -> None:
    """Such as one that predicts the opposite; without calibration, which makes a constant of it."""
    path = OUT_OF_FOLD / "strong.parquet"
    rows = read_sessions(path)
    oof = OutOfFold.of_sessions(rows)
    OutOfFold(oof.positions, oof.folds, oof.targets, 1 - oof.probabilities).write(path, rows)
    none = Decision(calibration=Calibration(), threshold=0.5)
    none.save(MODELS / "strong/decision.json")
    assert blend(run_stage) == {"strong": 0, "trees": 1}
    assert {path.name for path in (MODELS / "blend").iterdir()} == {
        "blend.json",
        "decision.json",
        "schema.json",
        "SHA256SUMS",
        "trees",
    }
    features = read_sessions(TEST).features
    alone = load_model(MODELS / "trees").predict(features)
    calibrated = Decision.load(MODELS / "trees/decision.json").calibration.apply(alone)
    np.testing.assert_allclose(load_model(MODELS / "blend").predict(features), calibrated, rtol=1e-6)


def test_the_stage_writes_the_same_bytes_twice(sessions: Sessions, run_stage: RunStage) -> None:
    blend(run_stage)
    before = files()
    blend(run_stage)
    assert files() == before and str(MODELS / "blend/strong/trees.npz") in before


def test_without_folds_the_models_have_equal_weights(
    sessions: Sessions, run_stage: RunStage, write_params: WriteParams
) -> None:
    write_params(**{"validation.folds": 0})
    empty = OutOfFold.of([], [])
    for name in SETTINGS:
        empty.write(OUT_OF_FOLD / f"{name}.parquet", sessions)
        Decision.fit("none", empty.targets, empty.probabilities).save(MODELS / name / "decision.json")
    assert blend(run_stage) == {"strong": 0.5, "trees": 0.5}
    assert len(blended().probabilities) == 0
    assert Decision.load(MODELS / "blend/decision.json").threshold == 0.5


def test_a_model_that_is_missing_in_a_blend_is_an_error(sessions: Sessions, tmp_path: Path) -> None:
    parts = [MODELS / name for name in SETTINGS]
    weights = Weights(weights={"strong": 0.25, "trees": 0.75})
    schema = Schema.from_arrow(sessions.table.schema)
    save_blend(tmp_path / "blend", weights, parts, Decision(calibration=Calibration(), threshold=0.5), schema)
    shutil.rmtree(tmp_path / "blend/trees")
    with pytest.raises(InputError, match=r"blend/trees/decision\.json: no such file; expected the folder of a trained"):
        load_model(tmp_path / "blend")
    broken: Any = tmp_path / "blend/blend.json"
    broken.write_text("{")
    with pytest.raises(InputError, match=r"blend\.json: not the weights of a blend"):
        load_model(tmp_path / "blend")
