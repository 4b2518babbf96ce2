"""Scalar metrics, checked by hand and against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from stages.lib.evaluation.metrics import (
    decision_metrics,
    describe_test_set,
    expected_calibration_error,
    probability_metrics,
    round_floats,
)

TARGETS = np.array([0, 0, 1, 1, 0, 1, 0, 0])
PROBABILITIES = np.array([0.1, 0.4, 0.35, 0.8, 0.35, 0.9, 0.2, 0.7], np.float32)

Predictions = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def many() -> Predictions:
    """Targets and probabilities of 5000 rows, with ties."""
    rng = np.random.default_rng(5)
    targets = (rng.random(5000) < 0.08).astype(np.int64)
    return targets, np.round(rng.beta(1 + targets, 8), 3)


def test_the_auc_is_the_fraction_of_concordant_pairs(many: Predictions) -> None:
    targets, probabilities = many
    # Mann and Whitney's U, where a tie counts one half
    u = stats.mannwhitneyu(probabilities[targets == 1], probabilities[targets == 0]).statistic
    assert probability_metrics(*many)["auc"] == pytest.approx(u / (targets.sum() * (1 - targets).sum()))


def test_metrics_by_hand() -> None:
    result = probability_metrics(TARGETS, PROBABILITIES)
    assert result["accuracy"] == pytest.approx(6 / 8)
    # The purchases rank first, second and, tied with another row, fifth and sixth: the mean of the precision at each.
    assert result["average_precision"] == pytest.approx((1 / 1 + 2 / 2 + 3 / 6) / 3)
    likelihood = np.where(TARGETS == 1, PROBABILITIES, 1 - PROBABILITIES.astype(float))
    assert result["log_loss"] == pytest.approx(-np.log(likelihood).mean())


def test_metrics_are_those_of_scikit_learn(many: Predictions) -> None:
    targets, probabilities = many
    result = probability_metrics(targets, probabilities.astype(np.float32))
    assert result["brier"] == pytest.approx(metrics.brier_score_loss(targets, probabilities), abs=1e-6)
    assert result["log_loss"] == pytest.approx(metrics.log_loss(targets, probabilities), abs=1e-6)
    assert result["auc_ci_low"] < result["auc"] < result["auc_ci_high"]


def test_metrics_are_finite_floats() -> None:
    result = round_floats(probability_metrics(TARGETS, PROBABILITIES))
    assert set(result) == {
        *("auc", "auc_ci_low", "auc_ci_high"),
        *("accuracy", "average_precision", "log_loss", "brier", "ece"),
    }
    assert all(type(value) is float and np.isfinite(value) for value in result.values())


def test_a_probability_of_one_costs_a_finite_loss() -> None:
    certain = probability_metrics(np.array([0, 1]), np.array([1.0, 0.0], np.float32))
    assert np.isfinite(certain["log_loss"])


def test_the_test_set_has_the_accuracy_of_the_majority_class(many: Predictions) -> None:
    assert describe_test_set(TARGETS) == {"rows": 8, "purchases": 3, "majority_accuracy": 5 / 8}
    targets, _ = many
    expected = metrics.accuracy_score(targets, np.zeros(5000))
    assert describe_test_set(targets)["majority_accuracy"] == pytest.approx(expected)


def test_the_calibration_error_is_the_mean_over_rows() -> None:
    # One bin of 12 rows, one of 3, and five rows in three bins
    probabilities = np.repeat([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [12, 3, 1, 1, 1, 1, 1]).astype(np.float32)
    targets = np.array([1, 1] + [0] * 10 + [1, 0, 0] + [0, 1, 1, 1, 1])
    error = 12 * (1 / 6 - 0.1) + 3 * (1 / 3 - 0.2) + 0.3 + 2 * 0.55 + 2 * 0.35
    assert expected_calibration_error(targets, probabilities) == pytest.approx(error / 20, rel=1e-6)
    assert expected_calibration_error(TARGETS, np.full(8, 0.25)) == 1 / 8


def test_the_calibration_error_detects_a_shift() -> None:
    rng = np.random.default_rng(8)
    probabilities = rng.beta(1, 8, 20_000)
    targets = (rng.random(20_000) < probabilities).astype(np.int64)
    # With 2000 rows a bin, chance alone stays below 0.01.
    assert expected_calibration_error(targets, probabilities) < 0.01
    assert expected_calibration_error(targets, probabilities + 0.1) == pytest.approx(0.1, abs=0.005)


def test_decision_metrics_are_those_of_scikit_learn(many: Predictions) -> None:
    targets, probabilities = many
    decisions = probabilities > 0.2
    result = decision_metrics(targets, probabilities, decisions)
    for score in (metrics.balanced_accuracy_score, metrics.f1_score, metrics.precision_score, metrics.recall_score):
        assert result[score.__name__.removesuffix("_score")] == pytest.approx(score(targets, decisions))


def test_decision_metrics_by_hand() -> None:
    # Two of three purchases and one other row exceed 0.6. 5% of eight rows are 0.4 of the first, which is a purchase.
    result = decision_metrics(TARGETS, PROBABILITIES, PROBABILITIES > 0.6)
    expected = {"balanced_accuracy": (2 / 3 + 4 / 5) / 2, "f1": 2 / 3, "precision": 2 / 3, "recall": 2 / 3}
    for percent, purchases in ((5, 0.4), (10, 0.8), (20, 1.6)):
        expected |= {f"lift_at_{percent}": 8 / 3, f"recall_at_{percent}": purchases / 3}
    assert result == pytest.approx(expected)


def test_the_precision_is_zero_where_no_purchase_is_predicted() -> None:
    result = decision_metrics(TARGETS, PROBABILITIES, np.zeros(8, bool))
    figures = [result[name] for name in ("precision", "recall", "f1", "balanced_accuracy")]
    assert figures == [0, 0, 0, 0.5]


def test_recall_and_lift_at_a_percentage_by_hand() -> None:
    # Each row is 5%: two purchases, two others, a purchase tied with three others, and one tied with eleven.
    probabilities = np.repeat([0.9, 0.8, 0.5, 0.1], [2, 2, 4, 12])
    targets = np.array([1, 1, 0, 0, 1, 0, 0, 0] + [1] + [0] * 11)
    result = decision_metrics(targets, probabilities, probabilities > 0.7)
    assert [result[f"recall_at_{percent}"] for percent in (5, 10, 20)] == pytest.approx([1 / 4, 1 / 2, 1 / 2])
    assert [result[f"lift_at_{percent}"] for percent in (5, 10, 20)] == pytest.approx([5, 5, 2.5])


def test_recall_at_a_percentage_is_the_mean_over_all_orders_of_tied_rows(many: Predictions) -> None:
    targets, probabilities = many
    rng, tied = np.random.default_rng(9), np.round(probabilities, 1)
    recalls = []
    for _ in range(300):
        order = np.lexsort((rng.random(5000), -tied))
        recalls.append(targets[order].cumsum()[249] / targets.sum())
    standard_error = np.std(recalls) / np.sqrt(300)
    result = decision_metrics(targets, tied, tied > 0.2)
    assert standard_error > 0
    assert result["recall_at_5"] == pytest.approx(np.mean(recalls), abs=4 * standard_error)
    assert result["lift_at_5"] == pytest.approx(20 * result["recall_at_5"])


def test_the_order_of_rows_does_not_matter(many: Predictions) -> None:
    targets, probabilities = many
    order = np.random.default_rng(10).permutation(5000)
    shuffled = (targets[order], probabilities[order])
    assert probability_metrics(*many) == pytest.approx(probability_metrics(*shuffled))
    decisions = probabilities > 0.2
    assert decision_metrics(*many, decisions) == pytest.approx(decision_metrics(*shuffled, decisions[order]))


def test_rounding_keeps_integers_text_and_nesting() -> None:
    content = {"a": {"b": 1 / 3, "c": 2}, "d": [{"e": np.float64(2 / 3)}, "f"]}
    assert round_floats(content) == {"a": {"b": 0.333333, "c": 2}, "d": [{"e": 0.666667}, "f"]}
