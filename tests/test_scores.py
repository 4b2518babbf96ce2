"""Scores and curves, held to their definitions and to another source."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stages.lib import scores
from stages.lib.plots import grid_heat_map

TARGETS = np.array([0, 0, 1, 1, 0, 1, 0, 0])
PROBABILITIES = np.array([0.1, 0.4, 0.35, 0.8, 0.35, 0.9, 0.2, 0.7], np.float32)


@pytest.fixture(scope="module")
def many() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    targets = (random.random(5000) < 0.08).astype(np.int64)
    return targets, np.round(random.beta(1 + targets, 8), 3)


def test_auc_is_the_share_of_pairs_in_the_right_order(many):
    targets, probabilities = many
    # Mann and Whitney's U, where a tie counts one half
    u = stats.mannwhitneyu(probabilities[targets == 1], probabilities[targets == 0]).statistic
    assert scores.scores(targets, probabilities)["auc"] == pytest.approx(u / (targets.sum() * (1 - targets).sum()))


def test_scores_by_hand():
    found = scores.scores(TARGETS, PROBABILITIES)
    assert found["accuracy"] == pytest.approx(6 / 8)
    # purchases stand first, second and, tied with one other, fifth and sixth: mean of precision at each
    assert found["average_precision"] == pytest.approx((1 / 1 + 2 / 2 + 3 / 6) / 3)
    likelihood = np.where(TARGETS == 1, PROBABILITIES, 1 - PROBABILITIES.astype(float))
    assert found["log_loss"] == pytest.approx(-np.log(likelihood).mean())


def test_a_certain_probability_costs_a_finite_loss():
    assert np.isfinite(scores.scores(np.array([0, 1]), np.array([1.0, 0.0], np.float32))["log_loss"])


def test_the_test_part_says_what_always_no_would_reach():
    assert scores.test_part(TARGETS) == {"rows": 8, "purchases": 3, "accuracy_of_no": 5 / 8}


def test_curves_are_small_and_keep_their_area(many):
    curve = scores.roc(*many)
    assert len(curve) <= scores.CURVE_POINTS + 2
    assert curve.iloc[0].tolist() == [0, 0] and curve.iloc[-1].tolist() == [1, 1]
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(scores.scores(*many)["auc"], abs=0.002)
    recall = scores.precision_recall(*many).recall
    assert recall.is_monotonic_increasing and recall.iloc[[0, -1]].tolist() == [0, 1]


def test_confusion_counts_every_row_once():
    table = scores.confusion(TARGETS, PROBABILITIES)
    assert table.rows.tolist() == [4, 1, 1, 2] and table.rows.sum() == len(TARGETS)


def test_rounding_keeps_whole_numbers_and_nesting():
    assert scores.rounded({"a": {"b": 1 / 3, "c": 2}}) == {"a": {"b": 0.333333, "c": 2}}


@pytest.mark.parametrize(
    "searched",
    [
        {"learning_rate": [0.1, 0.01, 0.1, 0.01], "batch_size": [24, 24, 48, 48]},
        {"learning_rate": [0.1, 0.01]},
        {"layers": ["[4]", "[3, 2]", "[4]", "[3, 2]"], "l2": [0.0, 0.0, 0.1, 0.1], "optimizer": ["sgd"] * 4},
    ],
)
def test_the_picture_of_a_grid_shows_every_point_and_is_the_same_each_time(searched, tmp_path):
    results = pd.DataFrame(searched).assign(val_loss=1.0, loss=1.0, epochs=3)
    results["val_auc"] = np.linspace(0.6, 0.7123, len(results))
    for name in ("one.svg", "two.svg"):
        grid_heat_map(results, tmp_path / name)
    picture = (tmp_path / "one.svg").read_text()
    assert picture == (tmp_path / "two.svg").read_text()
    assert all(f"{auc:.4f}" in picture for auc in results.val_auc)


def test_a_point_without_an_auc_does_not_spoil_the_picture(tmp_path):
    results = pd.DataFrame(
        {"learning_rate": [0.1, 9.0], "val_auc": [0.7, np.nan], "val_loss": 1, "loss": 1, "epochs": 1}
    )
    grid_heat_map(results, tmp_path / "grid.svg")
    assert "0.7000" in (tmp_path / "grid.svg").read_text()
