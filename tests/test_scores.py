"""Scores and curves, held to their definitions and to another source."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics
from sklearn.calibration import calibration_curve

from stages.lib.evaluation import metrics as scores
from stages.lib.reporting.plots import grid_heat_map

TARGETS = np.array([0, 0, 1, 1, 0, 1, 0, 0])
PROBABILITIES = np.array([0.1, 0.4, 0.35, 0.8, 0.35, 0.9, 0.2, 0.7], np.float32)


@pytest.fixture(scope="module")
def many() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    targets = (random.random(5000) < 0.08).astype(np.int64)
    return targets, np.round(random.beta(1 + targets, 8), 3)


def test_auc_is_the_share_of_pairs_in_the_right_order(many) -> None:
    targets, probabilities = many
    # Mann and Whitney's U, where a tie counts one half
    u = stats.mannwhitneyu(probabilities[targets == 1], probabilities[targets == 0]).statistic
    assert scores.scores(targets, probabilities)["auc"] == pytest.approx(u / (targets.sum() * (1 - targets).sum()))


def test_scores_by_hand() -> None:
    found = scores.scores(TARGETS, PROBABILITIES)
    assert found["accuracy"] == pytest.approx(6 / 8)
    # purchases stand first, second and, tied with one other, fifth and sixth: mean of precision at each
    assert found["average_precision"] == pytest.approx((1 / 1 + 2 / 2 + 3 / 6) / 3)
    likelihood = np.where(TARGETS == 1, PROBABILITIES, 1 - PROBABILITIES.astype(float))
    assert found["log_loss"] == pytest.approx(-np.log(likelihood).mean())


def test_scores_are_those_of_scikit_learn(many) -> None:
    targets, probabilities = many
    found = scores.scores(targets, probabilities.astype(np.float32))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(targets, probabilities), abs=1e-6)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(targets, probabilities), abs=1e-6)
    assert found["accuracy_of_no"] == pytest.approx(metrics.accuracy_score(targets, np.zeros(5000)))
    assert found["auc_low"] < found["auc"] < found["auc_high"]


def test_scores_hold_what_the_metrics_file_lists() -> None:
    found = scores.rounded(scores.scores(TARGETS, PROBABILITIES))
    names = "auc auc_low auc_high accuracy accuracy_of_no average_precision log_loss brier calibration_error"
    assert [*found] == names.split()
    assert all(type(value) is float and np.isfinite(value) for value in found.values())


def test_a_certain_probability_costs_a_finite_loss() -> None:
    assert np.isfinite(scores.scores(np.array([0, 1]), np.array([1.0, 0.0], np.float32))["log_loss"])


def test_the_test_part_says_what_always_no_would_reach() -> None:
    assert scores.test_part(TARGETS) == {"rows": 8, "purchases": 3, "accuracy_of_no": 5 / 8}


def test_curves_are_small_and_keep_their_area(many) -> None:
    curve = scores.roc(*many)
    assert len(curve) <= scores.CURVE_POINTS + 2
    assert curve.iloc[0].tolist() == [0, 0] and curve.iloc[-1].tolist() == [1, 1]
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(scores.scores(*many)["auc"], abs=0.002)
    recall = scores.precision_recall(*many).recall
    assert recall.is_monotonic_increasing and recall.iloc[[0, -1]].tolist() == [0, 1]


@pytest.mark.parametrize("rows", [100, 5000])
def test_reliability_is_that_of_scikit_learn_where_no_rows_are_equal(rows) -> None:
    random = np.random.default_rng(6)
    probabilities = random.beta(1, 8, rows)
    targets = (random.random(rows) < probabilities).astype(np.int64)
    table = scores.reliability(targets, probabilities)
    observed, predicted = calibration_curve(targets, probabilities, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(table.predicted, predicted)
    np.testing.assert_allclose(table.observed, observed)
    assert table.rows.tolist() == [rows // 10] * 10


@pytest.mark.parametrize("rows", [7, 10, 19, 1003])
def test_bins_of_rows_that_cannot_be_shared_out_evenly_differ_by_one(rows) -> None:
    probabilities = np.random.default_rng(7).random(rows)
    table = scores.reliability(np.zeros(rows), probabilities)
    assert table.rows.sum() == rows and len(table) == min(rows, 10)
    assert np.ptp(table.rows) <= 1


def test_rows_with_equal_probability_stay_in_one_bin() -> None:
    # Twelve rows of 0.1 would fill six bins and 0.2 one and a half; their middles fall into the third and the seventh.
    probabilities = np.repeat([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [12, 3, 1, 1, 1, 1, 1]).astype(np.float32)
    targets = np.array([1, 1] + [0] * 10 + [1, 0, 0] + [0, 1, 1, 1, 1])
    table = scores.reliability(targets, probabilities)
    np.testing.assert_allclose(table.predicted, [0.1, 0.2, 0.3, 0.45, 0.65], rtol=1e-6)
    np.testing.assert_allclose(table.observed, [1 / 6, 1 / 3, 0, 1, 1])
    assert table.rows.tolist() == [12, 3, 1, 2, 2]
    error = 12 * (1 / 6 - 0.1) + 3 * (1 / 3 - 0.2) + 0.3 + 2 * 0.55 + 2 * 0.35
    assert scores.calibration_error(targets, probabilities) == pytest.approx(error / 20, rel=1e-6)


def test_one_probability_for_all_rows_is_one_bin() -> None:
    table = scores.reliability(TARGETS, np.full(8, 0.25))
    assert table.to_numpy().tolist() == [[0.25, 3 / 8, 8]]
    assert scores.calibration_error(TARGETS, np.full(8, 0.25)) == 1 / 8


def test_the_calibration_error_sees_a_shift(many) -> None:
    random = np.random.default_rng(8)
    probabilities = random.beta(1, 8, 20_000)
    targets = (random.random(20_000) < probabilities).astype(np.int64)
    # Of 2000 rows in a bin, a hundredth is more than chance leaves.
    assert scores.calibration_error(targets, probabilities) < 0.01
    assert scores.calibration_error(targets, probabilities + 0.1) == pytest.approx(0.1, abs=0.005)


def test_lift_by_hand() -> None:
    # Each row is a twentieth: two purchases, two others, a purchase tied with three others, and one with eleven.
    probabilities = np.repeat([0.9, 0.8, 0.5, 0.1], [2, 2, 4, 12])
    targets = np.array([1, 1, 0, 0, 1, 0, 0, 0] + [1] + [0] * 11)
    table = scores.lift(targets, probabilities).set_index("share").captured
    expected = {0.05: 1 / 4, 0.1: 1 / 2, 0.2: 1 / 2, 0.25: 0.5 + 1 / 16, 0.4: 3 / 4, 0.7: 0.75 + 1 / 8, 1: 1}
    assert {share: table.loc[share] for share in expected} == pytest.approx(expected)
    found = scores.decisions(targets, probabilities, probabilities > 0.7)
    assert found["captured_top_5"] == pytest.approx(1 / 4) and found["lift_top_5"] == pytest.approx(5)
    assert found["captured_top_10"] == pytest.approx(1 / 2) and found["lift_top_10"] == pytest.approx(5)
    assert found["captured_top_20"] == pytest.approx(1 / 2) and found["lift_top_20"] == pytest.approx(2.5)


def test_lift_is_the_mean_over_all_orders_of_equal_rows(many) -> None:
    targets, probabilities = many
    random, tied = np.random.default_rng(9), np.round(probabilities, 1)
    captured = []
    for _ in range(300):
        order = np.lexsort([random.random(5000), -tied])
        captured.append(targets[order].cumsum()[249] / targets.sum())
    error = np.std(captured) / np.sqrt(300)
    found = scores.decisions(targets, tied, tied > 0.2)
    assert np.std(captured) > 0
    assert found["captured_top_5"] == pytest.approx(np.mean(captured), abs=4 * error)
    assert found["lift_top_5"] == pytest.approx(20 * found["captured_top_5"])


def test_the_lift_curve_is_small_and_ends_with_all(many) -> None:
    table = scores.lift(*many)
    assert len(table) == scores.CURVE_POINTS
    assert table.captured.is_monotonic_increasing
    assert table.iloc[-1].tolist() == [1, 1, 1]
    found = scores.decisions(*many, many[1] > 0.2)
    by_share = table.set_index("share")
    for percent in (5, 10, 20):
        assert by_share.captured[percent / 100] == pytest.approx(found[f"captured_top_{percent}"])
        assert by_share.lift[percent / 100] == pytest.approx(found[f"lift_top_{percent}"])


def test_the_order_of_rows_does_not_matter(many) -> None:
    targets, probabilities = many
    order = np.random.default_rng(10).permutation(5000)
    shuffled = (targets[order], probabilities[order])
    for curve in (scores.roc, scores.precision_recall, scores.reliability, scores.lift, scores.confusion):
        pd.testing.assert_frame_equal(curve(*many), curve(*shuffled))
    assert scores.scores(*many) == pytest.approx(scores.scores(*shuffled))
    decided = probabilities > 0.2
    assert scores.decisions(*many, decided) == pytest.approx(scores.decisions(*shuffled, decided[order]))


def test_decisions_are_those_of_scikit_learn(many) -> None:
    targets, probabilities = many
    decided = probabilities > 0.2
    found = scores.decisions(targets, probabilities, decided)
    for score in (metrics.balanced_accuracy_score, metrics.f1_score, metrics.precision_score, metrics.recall_score):
        assert found[score.__name__.removesuffix("_score")] == pytest.approx(score(targets, decided))


def test_decisions_by_hand() -> None:
    # Of three purchases two are found, with one other row. 5% of eight rows are 0.4 of the first, which is a purchase.
    found = scores.decisions(TARGETS, PROBABILITIES, PROBABILITIES > 0.6)
    expected = {"balanced_accuracy": (2 / 3 + 4 / 5) / 2, "f1": 2 / 3, "precision": 2 / 3, "recall": 2 / 3}
    for percent, purchases in ((5, 0.4), (10, 0.8), (20, 1.6)):
        expected |= {f"lift_top_{percent}": 8 / 3, f"captured_top_{percent}": purchases / 3}
    assert found == pytest.approx(expected)


def test_where_no_purchase_is_predicted_precision_is_zero() -> None:
    found = scores.decisions(TARGETS, PROBABILITIES, np.zeros(8, bool))
    assert (found["precision"], found["recall"], found["f1"], found["balanced_accuracy"]) == (0, 0, 0, 0.5)


def test_confusion_counts_every_row_once() -> None:
    table = scores.confusion(TARGETS, PROBABILITIES)
    assert table.rows.tolist() == [4, 1, 1, 2] and table.rows.sum() == len(TARGETS)


def test_rounding_keeps_whole_numbers_and_nesting() -> None:
    assert scores.rounded({"a": {"b": 1 / 3, "c": 2}}) == {"a": {"b": 0.333333, "c": 2}}


@pytest.mark.parametrize(
    "searched",
    [
        {"learning_rate": [0.1, 0.01, 0.1, 0.01], "batch_size": [24, 24, 48, 48]},
        {"learning_rate": [0.1, 0.01]},
        {"layers": ["[4]", "[3, 2]", "[4]", "[3, 2]"], "l2": [0.0, 0.0, 0.1, 0.1], "optimizer": ["sgd"] * 4},
    ],
)
def test_the_picture_of_a_grid_shows_every_point_and_is_the_same_each_time(searched, tmp_path: Path) -> None:
    results = pd.DataFrame(searched).assign(val_loss=1.0, loss=1.0, epochs=3)
    results["val_auc"] = np.linspace(0.6, 0.7123, len(results))
    for name in ("one.svg", "two.svg"):
        grid_heat_map(results, tmp_path / name)
    picture = (tmp_path / "one.svg").read_text()
    assert picture == (tmp_path / "two.svg").read_text()
    assert all(f"{auc:.4f}" in picture for auc in results.val_auc)


def test_a_point_without_an_auc_does_not_spoil_the_picture(tmp_path: Path) -> None:
    results = pd.DataFrame(
        {"learning_rate": [0.1, 9.0], "val_auc": [0.7, np.nan], "val_loss": 1, "loss": 1, "epochs": 1}
    )
    grid_heat_map(results, tmp_path / "grid.svg")
    assert "0.7000" in (tmp_path / "grid.svg").read_text()
