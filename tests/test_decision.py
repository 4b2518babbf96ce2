"""The threshold has the highest F1, and a decision is the same when loaded from disk."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from helpers import as_sessions, sessions_frame
from sklearn.metrics import f1_score, roc_auc_score

from stages.lib.dataset.sessions import read_sessions
from stages.lib.modeling.calibration import Method
from stages.lib.modeling.decision import Decision, choose_threshold, decide


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("digits", [1, 2, 6])
def test_no_threshold_has_a_higher_f1_than_the_chosen_one(seed: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    targets = np.append((rng.random(60) < 0.2).astype(np.int64), 1)
    probabilities = np.round(rng.beta(1 + targets, 5), digits).astype(np.float32)
    f1 = {value: f1_score(targets, probabilities >= value) for value in np.unique(probabilities)}
    lowest_of_best = min(value for value in f1 if f1[value] == max(f1.values()))
    threshold = choose_threshold(targets, probabilities)
    assert type(threshold) is float
    decisions = decide(probabilities, threshold)
    np.testing.assert_array_equal(decisions, probabilities >= lowest_of_best)
    assert f1_score(targets, decisions) == max(f1.values())
    below = max((float(value) for value in f1 if value < lowest_of_best), default=0.0)
    assert threshold == (below + float(lowest_of_best)) / 2


def test_the_lowest_of_several_best_thresholds_is_chosen() -> None:
    # F1 is 2/3 for the first row, and 4/6 for the first four.
    targets, probabilities = np.array([1, 0, 0, 1, 0]), np.array([0.8, 0.6, 0.4, 0.2, 0.1])
    assert choose_threshold(targets, probabilities) == pytest.approx(0.15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("step", [0, 1])
def test_a_threshold_separates_neighboring_numbers(dtype: type, step: int) -> None:
    # The midpoint of one of the two pairs of neighbors is rounded up, that of the other down.
    low = dtype(0.3) if not step else np.nextafter(dtype(0.3), dtype(1))
    high = np.nextafter(low, dtype(1))
    probabilities: np.ndarray = np.array([low, high, low, high], dtype)
    threshold = choose_threshold(np.array([0, 1, 0, 1]), probabilities)
    assert float(low) < threshold <= float(high)
    assert decide(probabilities, threshold).tolist() == [False, True, False, True]


@pytest.mark.parametrize(("probability", "threshold"), [(0.08, 0.04), (0.0, 0.0)])
def test_if_all_probabilities_are_equal_all_rows_are_predicted(probability: float, threshold: float) -> None:
    probabilities = np.full(4, probability)
    assert choose_threshold(np.array([0, 1, 0, 0]), probabilities) == threshold
    assert decide(probabilities, threshold).all()


def test_without_validation_rows_nothing_is_calibrated_and_the_threshold_is_one_half() -> None:
    decision = Decision.fit("sigmoid", np.empty(0, int), np.empty(0, np.float32))
    assert decision.threshold == 0.5 and decision.calibration.method == "none"


@pytest.mark.parametrize("method", ["none", "sigmoid", "isotonic"])
def test_a_decision_is_saved_loaded_and_written_with_the_predictions(method: Method, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    targets = (np.arange(400) % 5 == 0).astype(int)
    probabilities = rng.beta(1 + targets, 4).astype(np.float32)
    decision = Decision.fit(method, targets, probabilities)
    decision.save(tmp_path / "decision.json")
    assert Decision.load(tmp_path / "decision.json") == decision
    test = as_sessions(sessions_frame(200).assign(number=np.arange(200)), buys="target", number="key")
    decision.write(tmp_path / "predictions.parquet", test, probabilities[:200], probabilities[200:])
    predictions = read_sessions(tmp_path / "predictions.parquet")
    assert predictions.keys.equals(test.select("key").table)
    calibrated = decision.calibration.apply(probabilities)
    assert (predictions.column("probability").to_numpy() == calibrated[:200]).all()
    assert (predictions.select("extra_seed").to_arrow()["probability_1"].to_numpy() == calibrated[200:]).all()
    decisions = calibrated[:200].astype(float) >= decision.threshold
    assert (predictions.column("decision").to_numpy() == decisions).all()
    field = predictions.select("decision").table.schema[0]
    assert float(field.metadata[b"threshold"]) == decision.threshold and field.type == pa.bool_()


def test_a_decision_calibrates_probabilities_without_changing_their_order() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random(3000) < 0.1).astype(int)
    log_odds = rng.normal(size=3000) + targets  # far too high, as after oversampling
    probabilities = (1 / (1 + np.exp(-log_odds))).astype(np.float32)
    calibrated = Decision.fit("sigmoid", targets, probabilities).calibration.apply(probabilities)
    assert abs(calibrated.mean() - targets.mean()) < 0.01 < abs(probabilities.mean() - targets.mean())
    assert roc_auc_score(targets, calibrated) == pytest.approx(roc_auc_score(targets, probabilities), abs=1e-6)
