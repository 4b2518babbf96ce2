"""Curves on the common grid and calibration bins, checked by hand and against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from stages.lib.evaluation.curves import (
    GRID,
    bin_calibration,
    confusion,
    cumulative_gains,
    precision_recall,
    roc,
    tabulate_curves,
    tabulate_losses,
)
from stages.lib.evaluation.metrics import decision_metrics

TARGETS = np.array([0, 0, 1, 1, 0, 1, 0, 0])
PROBABILITIES = np.array([0.1, 0.4, 0.35, 0.8, 0.35, 0.9, 0.2, 0.7], np.float32)

Predictions = tuple[np.ndarray, np.ndarray]


def make_predictions(rows: int, decimals: int) -> Predictions:
    """Targets and probabilities, which are tied if they have few decimals."""
    rng = np.random.default_rng(5)
    targets = (rng.random(rows) < 0.08).astype(np.int64)
    return targets, np.round(rng.beta(1 + targets, 8), decimals)


@pytest.fixture(scope="module", params=[(5000, 3), (60, 1), (200, 9)], ids=["many rows", "ties", "few rows"])
def predictions(request: pytest.FixtureRequest) -> Predictions:
    return make_predictions(*request.param)


def at(curve: np.ndarray, *points: float) -> list[float]:
    """The curve's values at points of the grid."""
    return [float(curve[int(np.argmin(np.abs(point - GRID)))]) for point in points]


def test_the_grid_goes_from_zero_to_one_in_steps_of_half_a_percent() -> None:
    assert len(GRID) == 201
    np.testing.assert_allclose(np.diff(GRID), 0.005)
    assert (GRID[0], GRID[-1]) == (0, 1)


def test_roc_by_hand() -> None:
    # Ranked: purchase, purchase, other, other, (purchase, other), other, other. The others are a fifth each.
    curve = roc(TARGETS, PROBABILITIES)
    assert at(curve, 0, 0.2, 0.4, 0.6, 0.8, 1) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 1, 1, 1])
    # Through the tie the curve is straight.
    assert at(curve, 0.5) == pytest.approx([5 / 6])


def test_roc_takes_the_highest_rate_where_the_curve_rises() -> None:
    # One purchase before, and two after, half of the other rows
    targets, scores = np.array([1, 0, 0, 1, 1, 0, 0]), np.arange(7, 0, -1)
    assert at(roc(targets, scores), 0, 0.495, 0.5, 1) == pytest.approx([1 / 3, 1 / 3, 1, 1])


def test_roc_lies_on_the_curve_of_scikit_learn_and_keeps_its_area(predictions: Predictions) -> None:
    curve = roc(*predictions)
    fpr, tpr, _ = metrics.roc_curve(*predictions, drop_intermediate=False)
    for x, y in zip(GRID, curve, strict=True):
        after, before = np.searchsorted(fpr, x + 1e-9), np.searchsorted(fpr, x - 1e-9)
        if after > before:  # a point of the curve
            assert y == pytest.approx(tpr[after - 1], abs=1e-9)
        else:
            assert tpr[before - 1] <= y <= tpr[before]
    assert np.all(np.diff(curve) >= 0) and curve[-1] == 1
    assert np.trapezoid(curve, GRID) == pytest.approx(metrics.roc_auc_score(*predictions), abs=0.003)


def test_precision_recall_by_hand() -> None:
    # The first two ranks are purchases, and the third purchase comes fifth, tied with the sixth row.
    curve = precision_recall(TARGETS, PROBABILITIES)
    assert at(curve, 0, 0.33, 0.335, 0.665, 0.67, 1) == pytest.approx([1, 1, 1, 1, 0.5, 0.5])


def test_precision_at_recall_zero_is_that_of_the_highest_threshold() -> None:
    curve = precision_recall(np.array([0, 1, 0, 1]), np.array([0.9, 0.8, 0.7, 0.6]))
    assert at(curve, 0, 0.005, 0.5, 0.505, 1) == pytest.approx([0, 0.5, 0.5, 0.5, 0.5])


def test_precision_is_that_of_the_first_threshold_that_reaches_the_recall(predictions: Predictions) -> None:
    targets, probabilities = predictions
    thresholds = np.unique(probabilities)[::-1]
    recalls = np.array([metrics.recall_score(targets, probabilities >= threshold) for threshold in thresholds])
    expected = []
    for point in GRID:
        first = thresholds[np.flatnonzero(recalls >= point - 1e-9)[0]]
        expected.append(metrics.precision_score(targets, probabilities >= first))
    np.testing.assert_allclose(precision_recall(*predictions), expected)


def test_a_rate_equal_to_a_point_of_the_grid_is_reached_there() -> None:
    # A rate such as 7/20 and the grid's 0.35 may differ in their last bit.
    for positives in (20, 40, 200):
        targets = np.repeat([1, 0], [positives, positives])
        ranking = np.argsort(np.argsort(np.tile(np.arange(positives), 2) + 0.1 * (1 - targets)))
        scores = -ranking.astype(float)
        counts = np.arange(1, positives + 1)
        reached = at(precision_recall(targets, scores), *(counts / positives))
        np.testing.assert_allclose(reached, counts / (2 * counts - 1))
        np.testing.assert_allclose(at(roc(targets, scores), *(counts[:-1] / positives)), (counts[:-1] + 1) / positives)


def test_cumulative_gains_by_hand() -> None:
    # Each row is 5%: two purchases, two others, a purchase tied with three others, and one tied with eleven.
    probabilities = np.repeat([0.9, 0.8, 0.5, 0.1], [2, 2, 4, 12])
    targets = np.array([1, 1, 0, 0, 1, 0, 0, 0] + [1] + [0] * 11)
    expected = {0: 0, 0.05: 1 / 4, 0.1: 1 / 2, 0.2: 1 / 2, 0.25: 0.5 + 1 / 16, 0.4: 3 / 4, 0.7: 0.75 + 1 / 8, 1: 1}
    assert at(cumulative_gains(targets, probabilities), *expected) == pytest.approx([*expected.values()])


def test_cumulative_gains_are_exact(predictions: Predictions) -> None:
    curve = cumulative_gains(*predictions)
    assert np.all(np.diff(curve) >= 0) and (curve[0], curve[-1]) == (0, 1)
    figures = decision_metrics(*predictions, predictions[1] > 0.2)
    assert at(curve, 0.05, 0.1, 0.2) == pytest.approx([figures[f"recall_at_{percent}"] for percent in (5, 10, 20)])


@pytest.mark.parametrize("rows", [100, 5000])
def test_calibration_bins_are_those_of_scikit_learn_where_no_rows_are_tied(rows: int) -> None:
    rng = np.random.default_rng(6)
    probabilities = rng.beta(1, 8, rows)
    targets = (rng.random(rows) < probabilities).astype(np.int64)
    bins = bin_calibration(targets, probabilities)
    observed, predicted = calibration_curve(targets, probabilities, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(bins.predicted, predicted)
    np.testing.assert_allclose(bins.observed, observed)
    assert bins.rows.tolist() == [rows // 10] * 10


@pytest.mark.parametrize("rows", [7, 10, 19, 1003])
def test_calibration_bins_differ_by_one_row_at_most(rows: int) -> None:
    probabilities = np.random.default_rng(7).random(rows)
    bins = bin_calibration(np.zeros(rows), probabilities)
    assert bins.rows.sum() == rows and len(bins) == min(rows, 10)
    assert np.ptp(bins.rows) <= 1


def test_tied_rows_share_a_calibration_bin() -> None:
    # Twelve rows of 0.1 would fill six bins and 0.2 one and a half; their middles are in the third and the seventh.
    probabilities = np.repeat([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [12, 3, 1, 1, 1, 1, 1]).astype(np.float32)
    targets = np.array([1, 1] + [0] * 10 + [1, 0, 0] + [0, 1, 1, 1, 1])
    bins = bin_calibration(targets, probabilities)
    np.testing.assert_allclose(bins.predicted, [0.1, 0.2, 0.3, 0.45, 0.65], rtol=1e-6)
    np.testing.assert_allclose(bins.observed, [1 / 6, 1 / 3, 0, 1, 1])
    assert bins.rows.tolist() == [12, 3, 1, 2, 2]
    assert bin_calibration(TARGETS, np.full(8, 0.25)).to_numpy().tolist() == [[0.25, 3 / 8, 8]]


def test_the_confusion_matrix_counts_every_row_once() -> None:
    cells = confusion(TARGETS, PROBABILITIES)
    assert cells.rows.tolist() == [4, 1, 1, 2]
    assert cells.actual.tolist() == ["no purchase", "no purchase", "purchase", "purchase"]


def test_the_order_of_rows_does_not_matter(predictions: Predictions) -> None:
    targets, probabilities = predictions
    order = np.random.default_rng(10).permutation(len(targets))
    tables = tabulate_curves(targets, {"one": probabilities})
    for name, table in tabulate_curves(targets[order], {"one": probabilities[order]}).items():
        pd.testing.assert_frame_equal(table, tables[name])


def test_tables_have_a_column_or_rows_for_each_model() -> None:
    models = {"one": PROBABILITIES, "two": 1 - PROBABILITIES}
    tables = tabulate_curves(TARGETS, models)
    for name, x in (("roc", "fpr"), ("precision_recall", "recall"), ("cumulative_gains", "share")):
        assert [*tables[name]] == [x, "one", "two"]
        np.testing.assert_array_equal(tables[name][x], GRID)
    np.testing.assert_array_equal(tables["roc"].two, roc(TARGETS, models["two"]))
    assert [*tables["calibration"]] == ["model", "predicted", "observed", "rows"]
    assert [*tables["confusion"]] == ["model", "actual", "predicted", "rows"]
    for name in ("calibration", "confusion"):
        assert tables[name].groupby("model", sort=False).rows.sum().to_dict() == {"one": 8, "two": 8}


def test_losses_have_a_column_for_each_network_and_one_for_its_validation_loss() -> None:
    short = pd.DataFrame({"epoch": [1], "loss": [0.5]})
    long = pd.DataFrame({"epoch": [1, 2], "loss": [0.4, 0.3], "val_loss": [0.6, 0.7]})
    table = tabulate_losses({"short": short, "long": long})
    assert table.to_csv(index=False) == "epoch,short,long,long_val\n1,0.5,0.4,0.6\n2,,0.3,0.7\n"
