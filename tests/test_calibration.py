"""Recalibration and the threshold: held to scikit-learn and to a search, the same to the bit from a file."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score

from stages.lib.evaluation import metrics as scores
from stages.lib.modeling.calibration import Calibration, best_threshold, decide

KINDS = ("none", "sigmoid", "isotonic")


class LogOdds(ClassifierMixin, BaseEstimator):
    """A fitted model, to scikit-learn, whose one input is its score."""

    classes_ = np.array([0, 1])

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, inputs, targets):
        raise NotImplementedError

    def predict(self, inputs):
        return self.decision_function(inputs) > 0

    def decision_function(self, inputs):
        return inputs[:, 0]


def spoiled(rows: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Targets and probabilities, float32, that are too high and too far apart, as after SMOTE."""
    random = np.random.default_rng(seed)
    log_odds = random.normal(-2.5, 1, rows)
    targets = (random.random(rows) < expit(log_odds)).astype(np.int64)
    return targets, expit(1.5 * log_odds + 3).astype(np.float32)


def test_none_is_the_same_to_the_bit() -> None:
    targets, probabilities = spoiled(100)
    assert Calibration.fit("none", targets, probabilities).apply(probabilities) is probabilities


def test_sigmoid_is_that_of_scikit_learn() -> None:
    targets, probabilities = spoiled(3000)
    log_odds = logit(probabilities.astype(np.float64))[:, None]
    other = CalibratedClassifierCV(FrozenEstimator(LogOdds()), method="sigmoid").fit(log_odds, targets)
    found = Calibration.fit("sigmoid", targets, probabilities).apply(probabilities)
    np.testing.assert_allclose(found, other.predict_proba(log_odds)[:, 1], atol=2e-5)


def test_sigmoid_is_a_logistic_regression_on_the_log_odds() -> None:
    targets, probabilities = spoiled(20_000)
    log_odds = logit(probabilities.astype(np.float64))[:, None]
    # Platt's targets are rows that count as a purchase by so much, and as none by the rest.
    purchases, others = targets.sum(), (1 - targets).sum()
    wanted = np.where(targets == 1, (purchases + 1) / (purchases + 2), 1 / (others + 2))
    other = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(
        np.concatenate([log_odds, log_odds]), np.repeat([1, 0], 20_000), np.concatenate([wanted, 1 - wanted])
    )
    found = Calibration.fit("sigmoid", targets, probabilities)
    assert (found.slope, found.intercept) == pytest.approx((other.coef_[0, 0], other.intercept_[0]), abs=1e-6)
    # What was done to them is undone, as far as so many rows tell.
    assert (found.slope, found.intercept) == pytest.approx((1 / 1.5, -2), abs=0.1)


def test_isotonic_is_that_of_scikit_learn() -> None:
    targets, probabilities = spoiled(3000)
    held_out = np.concatenate([spoiled(1000, seed=4)[1], [0, 1]]).astype(np.float32)
    other = IsotonicRegression(out_of_bounds="clip").fit(probabilities.astype(np.float64), targets)
    found = Calibration.fit("isotonic", targets, probabilities)
    # But for what is called impossible, or certain, there: here one of 3002.
    expected = np.clip(other.predict(held_out.astype(np.float64)), 1 / 3002, 1 - 1 / 3002)
    np.testing.assert_allclose(found.apply(held_out), expected, atol=1e-6)
    assert found.apply(held_out).min() == np.float32(1 / 3002)
    # As float32, for which see `test_probabilities_keep_their_order_and_type`: rounding is hard to catch in the act.
    assert [*found.values] == np.float32(found.values).tolist()


@pytest.mark.parametrize("kind", ["sigmoid", "isotonic"])
def test_what_was_spoiled_is_put_right_on_other_rows(kind) -> None:
    targets, probabilities = spoiled(20_000, seed=5)
    right = Calibration.fit(kind, *spoiled(20_000, seed=6)).apply(probabilities)
    assert scores.calibration_error(targets, probabilities) > 0.2
    assert scores.calibration_error(targets, right) < 0.015
    before, after = (scores.scores(targets, these) for these in (probabilities, right))
    assert after["log_loss"] < before["log_loss"] and after["brier"] < before["brier"]


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_keep_their_order_and_type(kind) -> None:
    recalibration = Calibration.fit(kind, *spoiled(2000))
    # Runs of neighbours of float32, too, where rounding might turn two around.
    start = np.concatenate([np.float32([1e-30, 1e-7, 0.01, 0.3, 0.7]), np.float32(recalibration.knots[1:-1])])
    neighbours = (start.view(np.int32)[:, None] + np.arange(-50, 50)).ravel().view(np.float32)
    everywhere = np.sort(np.concatenate([np.float32([0, 1]), np.linspace(0, 1, 5001, dtype=np.float32), neighbours]))
    found = recalibration.apply(everywhere)
    assert found.dtype == np.float32 and found.shape == everywhere.shape
    assert (np.diff(found) >= 0).all()
    assert 0 <= found[0] < found[-1] <= 1


def test_sigmoid_tells_the_least_and_the_greatest_of_float32_apart() -> None:
    probabilities = np.float32([0, 1e-45, 1e-30, 1e-10, 0.5, 1 - 2**-23, 1 - 2**-24, 1])
    found = Calibration("sigmoid", slope=0.6, intercept=-2.0).apply(probabilities)
    assert (np.diff(found) > 0).all()
    assert found[0] > 0 and found[-1] < 1


@pytest.mark.parametrize("targets_like", ["right", "reversed"])
def test_sigmoid_keeps_the_auc(targets_like) -> None:
    targets, probabilities = spoiled(3000)
    fitted_on = targets if targets_like == "right" else 1 - targets
    found = Calibration.fit("sigmoid", fitted_on, probabilities).apply(probabilities)
    rounding = 0 if targets_like == "right" else 1e-4
    assert roc_auc_score(targets, found) == pytest.approx(roc_auc_score(targets, probabilities), abs=rounding)


@pytest.mark.parametrize("kind", ["sigmoid", "isotonic"])
@pytest.mark.parametrize(
    ("targets", "probabilities"),
    [
        ([0, 0, 0, 1, 1], [0.0, 0.1, 0.2, 0.8, 1.0]),
        ([1, 0, 0, 0, 1], [0.0, 0.0, 1.0, 1.0, 1.0]),
        ([0, 1, 0, 0, 0], [0.08, 0.08, 0.08, 0.08, 0.08]),
        ([0, 0, 0, 0, 1], [0.0, 0.0, 0.0, 0.0, 0.0]),
        ([1, 1, 0, 0, 0], [0.1, 0.2, 0.7, 0.8, 0.9]),
        ([0, 0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4, 0.5]),
    ],
    ids=["apart", "zero and one", "constant", "all zero", "reversed", "no purchase"],
)
def test_the_edges_are_finite_and_certain_of_nothing(kind, targets, probabilities) -> None:
    probabilities = np.array(probabilities, np.float32)
    found = Calibration.fit(kind, np.array(targets), probabilities)
    json.dumps(asdict(found), allow_nan=False)
    assert ((found.apply(probabilities) > 0) & (found.apply(probabilities) < 1)).all()


def test_a_single_purchase_that_was_called_impossible_does_not_level_the_line() -> None:
    targets, probabilities = spoiled(500)
    before = Calibration.fit("sigmoid", targets, probabilities).slope
    after = Calibration.fit("sigmoid", np.append(targets, 1), np.append(probabilities, np.float32(0))).slope
    assert before > after > 0.6 * before


def test_a_constant_becomes_the_rate() -> None:
    targets, probabilities = np.repeat([0, 1], [900, 100]), np.full(1000, 0.3, np.float32)
    for kind in ("sigmoid", "isotonic"):
        found = Calibration.fit(kind, targets, probabilities).apply(probabilities)
        # Platt's targets draw it a little to the middle.
        np.testing.assert_allclose(found, 0.1, atol=0.002)


@pytest.mark.parametrize("kind", KINDS)
def test_from_a_file_it_gives_the_same_bits(kind, tmp_path: Path) -> None:
    _, probabilities = spoiled(3000, seed=7)
    before = Calibration.fit(kind, *spoiled(3000))
    (tmp_path / "recalibration.json").write_text(json.dumps(asdict(before)))
    after = Calibration(**json.loads((tmp_path / "recalibration.json").read_text()))
    assert after == before and hash(after) == hash(before)
    assert after.apply(probabilities).tobytes() == before.apply(probabilities).tobytes()
    # Nor do the rows beside a row change it.
    one_by_one = np.concatenate([after.apply(probabilities[i : i + 1]) for i in range(300)])
    assert one_by_one.tobytes() == before.apply(probabilities)[:300].tobytes()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no such recalibration: beta"):
        Calibration.fit("beta", *spoiled(10))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("digits", [1, 2, 6])
def test_the_threshold_has_the_highest_f1_of_all(seed, digits) -> None:
    random = np.random.default_rng(seed)
    targets = np.append((random.random(60) < 0.2).astype(np.int64), 1)
    probabilities = np.round(random.beta(1 + targets, 5), digits).astype(np.float32)
    reached = {value: f1_score(targets, probabilities >= value) for value in np.unique(probabilities)}
    # The least value of several as good ones.
    value = min(value for value in reached if reached[value] == max(reached.values()))
    found = best_threshold(targets, probabilities)
    assert type(found) is float
    decided = decide(probabilities, found)
    np.testing.assert_array_equal(decided, probabilities >= value)
    assert f1_score(targets, decided) == max(reached.values())
    below = max((float(other) for other in reached if other < value), default=0.0)
    assert found == (below + float(value)) / 2


def test_of_thresholds_as_good_the_least_is_taken() -> None:
    # F1 is 2 of 3 with the first row, and 4 of 6 with the first four.
    targets, probabilities = np.array([1, 0, 0, 1, 0]), np.array([0.8, 0.6, 0.4, 0.2, 0.1])
    assert best_threshold(targets, probabilities) == pytest.approx(0.15)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("step", [0, 1])
def test_a_threshold_tells_neighbours_apart(kind, step) -> None:
    # Of two pairs of neighbours, one has its middle rounded up and the other down.
    low = kind(0.3) if not step else np.nextafter(kind(0.3), kind(1))
    high = np.nextafter(low, kind(1))
    probabilities = np.array([low, high, low, high], kind)
    found = best_threshold(np.array([0, 1, 0, 1]), probabilities)
    assert float(low) < found <= float(high)
    assert decide(probabilities, found).tolist() == [False, True, False, True]


@pytest.mark.parametrize(("value", "expected"), [(0.08, 0.04), (0.0, 0.0)])
def test_where_all_rows_are_equal_all_are_decided(value, expected) -> None:
    probabilities = np.full(4, value)
    assert best_threshold(np.array([0, 1, 0, 0]), probabilities) == expected
    assert decide(probabilities, expected).all()
