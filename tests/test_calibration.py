"""Calibration agrees with scikit-learn, keeps the order of probabilities, and is the same to the bit from a file."""

import json
from typing import Any, cast, get_args

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from stages.lib.modeling.calibration import Calibration, Method

METHODS: tuple[Method, ...] = get_args(Method)


class LogOdds(ClassifierMixin, BaseEstimator):
    """For scikit-learn: a fitted model whose one input is its score."""

    classes_ = np.array([0, 1])

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> Any:
        raise NotImplementedError

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return self.decision_function(inputs) > 0

    def decision_function(self, inputs: np.ndarray) -> np.ndarray:
        return inputs[:, 0]


def uncalibrated(rows: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and float32 probabilities that are too high and too extreme, as after SMOTE."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-2.5, 1, rows)
    targets = (rng.random(rows) < expit(log_odds)).astype(np.int64)
    return targets, expit(1.5 * log_odds + 3).astype(np.float32)


def test_method_none_returns_the_probabilities_themselves() -> None:
    targets, probabilities = uncalibrated(100)
    assert Calibration.fit("none", targets, probabilities).apply(probabilities) is probabilities


def test_sigmoid_calibration_is_that_of_sklearn() -> None:
    targets, probabilities = uncalibrated(3000)
    log_odds = logit(probabilities.astype(np.float64))[:, None]
    sklearn_model = CalibratedClassifierCV(FrozenEstimator(LogOdds()), method="sigmoid").fit(log_odds, targets)
    calibrated = Calibration.fit("sigmoid", targets, probabilities).apply(probabilities)
    np.testing.assert_allclose(calibrated, sklearn_model.predict_proba(log_odds)[:, 1], atol=2e-5)


def test_sigmoid_calibration_is_a_logistic_regression_on_the_log_odds() -> None:
    targets, probabilities = uncalibrated(20_000)
    log_odds = logit(probabilities.astype(np.float64))[:, None]
    # A smoothed target is a purchase with this weight, and another row without one with the rest.
    purchases, others = targets.sum(), (1 - targets).sum()
    smoothed = np.where(targets == 1, (purchases + 1) / (purchases + 2), 1 / (others + 2))
    sklearn_model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(
        np.concatenate([log_odds, log_odds]), np.repeat([1, 0], 20_000), np.concatenate([smoothed, 1 - smoothed])
    )
    fitted = Calibration.fit("sigmoid", targets, probabilities)
    assert (fitted.slope, fitted.intercept) == pytest.approx(
        (sklearn_model.coef_[0, 0], sklearn_model.intercept_[0]), abs=1e-6
    )
    # This inverts what `uncalibrated` did, up to the precision of so many rows.
    assert (fitted.slope, fitted.intercept) == pytest.approx((1 / 1.5, -2), abs=0.1)


def test_isotonic_calibration_is_that_of_sklearn_except_that_nothing_is_certain() -> None:
    targets, probabilities = uncalibrated(3000)
    other_rows = np.concatenate([uncalibrated(1000, seed=4)[1], [0, 1]]).astype(np.float32)
    sklearn_model = IsotonicRegression(out_of_bounds="clip").fit(probabilities.astype(np.float64), targets)
    fitted = Calibration.fit("isotonic", targets, probabilities)
    # scikit-learn's 0 and 1 are 1/3002 from them.
    expected = np.clip(sklearn_model.predict(other_rows.astype(np.float64)), 1 / 3002, 1 - 1 / 3002)
    np.testing.assert_allclose(fitted.apply(other_rows), expected, atol=1e-6)
    assert fitted.apply(other_rows).min() == np.float32(1 / 3002)
    # The values are of float32: an effect of rounding on the order would be too rare for a test to find.
    assert [*fitted.values] == np.array(fitted.values, np.float32).tolist()


def calibration_error(targets: np.ndarray, probabilities: np.ndarray) -> float:
    observed, predicted = calibration_curve(targets, probabilities, n_bins=10, strategy="quantile")
    return np.abs(observed - predicted).mean()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_probabilities_of_other_rows_become_well_calibrated(method: Method) -> None:
    targets, probabilities = uncalibrated(20_000, seed=5)
    calibrated = Calibration.fit(method, *uncalibrated(20_000, seed=6)).apply(probabilities)
    assert calibration_error(targets, probabilities) > 0.2
    assert calibration_error(targets, calibrated) < 0.015
    for loss in (log_loss, brier_score_loss):
        assert loss(targets, calibrated.astype(float)) < loss(targets, probabilities.astype(float))


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_keep_their_order_and_type(method: Method) -> None:
    calibration = Calibration.fit(method, *uncalibrated(2000))
    # Including runs of neighboring float32 numbers, where rounding might change the order.
    start = np.array([1e-30, 1e-7, 0.01, 0.3, 0.7, *calibration.knots[1:-1]], np.float32)
    neighbors = (start.view(np.int32)[:, None] + np.arange(-50, 50)).ravel().view(np.float32)
    everywhere = np.sort(np.concatenate([np.linspace(0, 1, 5001, dtype=np.float32), neighbors]))
    calibrated = calibration.apply(everywhere)
    assert calibrated.dtype == np.float32 and calibrated.shape == everywhere.shape
    assert (np.diff(calibrated) >= 0).all()
    assert 0 <= calibrated[0] < calibrated[-1] <= 1


def test_sigmoid_calibration_distinguishes_the_lowest_and_the_highest_probabilities() -> None:
    probabilities = np.array([0, 1e-45, 1e-30, 1e-10, 0.5, 1 - 2**-23, 1 - 2**-24, 1], np.float32)
    calibrated = Calibration(method="sigmoid", slope=0.6, intercept=-2.0).apply(probabilities)
    assert (np.diff(calibrated) > 0).all()
    assert calibrated[0] > 0 and calibrated[-1] < 1


def test_sigmoid_calibration_does_not_change_the_auc() -> None:
    targets, probabilities = uncalibrated(3000)
    calibrated = Calibration.fit("sigmoid", targets, probabilities).apply(probabilities)
    assert roc_auc_score(targets, calibrated) == roc_auc_score(targets, probabilities)


def test_sigmoid_calibration_does_not_change_the_auc_even_if_the_model_ranks_the_wrong_way_around() -> None:
    targets, probabilities = uncalibrated(3000)
    calibrated = Calibration.fit("sigmoid", 1 - targets, probabilities).apply(probabilities)
    assert roc_auc_score(targets, calibrated) == pytest.approx(roc_auc_score(targets, probabilities), abs=1e-4)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
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
    ids=["separable", "zero and one", "constant", "all zero", "reversed", "no purchase"],
)
def test_edge_cases_give_finite_parameters_and_probabilities_between_0_and_1(
    method: Method, targets: list[int], probabilities: list[float]
) -> None:
    uncertain = np.array(probabilities, np.float32)
    calibration = Calibration.fit(method, np.array(targets), uncertain)
    json.dumps(calibration.model_dump(), allow_nan=False)
    assert ((calibration.apply(uncertain) > 0) & (calibration.apply(uncertain) < 1)).all()


def test_a_single_purchase_with_probability_0_does_not_flatten_the_line() -> None:
    targets, probabilities = uncalibrated(500)
    before = Calibration.fit("sigmoid", targets, probabilities).slope
    after = Calibration.fit("sigmoid", np.append(targets, 1), np.append(probabilities, np.float32(0))).slope
    assert before > after > 0.6 * before


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_a_constant_probability_becomes_the_purchase_rate(method: Method) -> None:
    targets, probabilities = np.repeat([0, 1], [900, 100]), np.full(1000, 0.3, np.float32)
    calibrated = Calibration.fit(method, targets, probabilities).apply(probabilities)
    # Platt's smoothed targets move it slightly to the middle.
    np.testing.assert_allclose(calibrated, 0.1, atol=0.002)


@pytest.mark.parametrize("method", METHODS)
def test_a_calibration_from_json_gives_the_same_bits(method: Method) -> None:
    _, probabilities = uncalibrated(3000, seed=7)
    before = Calibration.fit(method, *uncalibrated(3000))
    after = Calibration.model_validate_json(json.dumps(before.model_dump()))
    assert after == before and hash(after) == hash(before)
    assert after.apply(probabilities).tobytes() == before.apply(probabilities).tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_each_row_is_calibrated_by_itself(method: Method) -> None:
    probabilities = uncalibrated(300, seed=7)[1]
    calibration = Calibration.fit(method, *uncalibrated(3000))
    row_by_row = np.concatenate([calibration.apply(probabilities[i : i + 1]) for i in range(300)])
    assert row_by_row.tobytes() == calibration.apply(probabilities).tobytes()


def test_an_unknown_method_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown calibration method: beta"):
        Calibration.fit(cast(Method, "beta"), *uncalibrated(10))
