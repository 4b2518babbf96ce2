"""Slices of a test set: which rows they have, their figures beside those of other sources, and what stands out."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from stages.lib.evaluation.by_slice import MIN_ROWS, holm, metrics_by_slice
from stages.lib.evaluation.cluster_bootstrap import ClusterBootstrap
from stages.lib.evaluation.delong import auc_influence, auc_with_interval
from stages.lib.evaluation.proportions import wilson_interval
from stages.lib.evaluation.registry import MODELS
from stages.lib.evaluation.slices import MAX_SLICES, slice_column
from stages.lib.reporting.slices import in_words, with_short_labels

RNG = np.random.default_rng(11)
ROWS = 4000
PROBABILITIES = RNG.beta(1, 4, ROWS)
TARGETS = (RNG.random(ROWS) < PROBABILITIES).astype(int)
HALF = np.arange(ROWS) % 2 == 0
MODEL = MODELS[-1]


def counts(values: pd.Series) -> dict[str, int]:
    return {label: int(inside.sum()) for label, inside in slice_column(values)}


def figures(probabilities: np.ndarray = PROBABILITIES, clusters: np.ndarray | None = None) -> dict[str, Any]:
    """The figures of two halves."""
    return metrics_by_slice(TARGETS, probabilities, {"half": [("even", HALF), ("odd", ~HALF)]}, clusters)


# Which rows -------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 1, 1, 10], {"1": 2, "3": 1, "10": 1}),
        ([0.5, 1.0, np.nan], {"0.5": 1, "1": 1, "(missing)": 1}),
        (["b", "a", "b", None], {"b": 2, "a": 1, "(missing)": 1}),
        ([True, False, True], {"False": 1, "True": 2}),
        ([True, None, True], {"True": 2, "(missing)": 1}),
        ([None, None], {"(missing)": 2}),
        (list(range(100)), {"0 to 24": 25, "25 to 49": 25, "50 to 74": 25, "75 to 99": 25}),
        ([0] * 60 + list(range(1, 41)), {"0": 60, "1 to 15": 15, "16 to 40": 25}),
        ([*"abcdefghijklmnop", *"pqo"], {"o": 2, "p": 2} | dict.fromkeys("abcdefghi", 1) | {"(other)": 6}),
        (pd.date_range("2024-01-01", periods=40), {"2024-01-01 to 2024-01-10": 10, "2024-01-11 to 2024-01-20": 10,
                                                   "2024-01-21 to 2024-01-30": 10, "2024-01-31 to 2024-02-09": 10}),
        (pd.to_datetime(["2024-01-02", "", "2024-01-01"], utc=True),
         {"2024-01-01": 1, "2024-01-02": 1, "(missing)": 1}),
    ],
    ids=["few numbers", "fractions", "categories", "bool", "bool or missing", "nothing", "many numbers",
         "mostly one number", "many categories", "many dates", "few dates in a time zone"],
)  # fmt: skip
def test_a_column_is_cut_into_its_values_or_into_ranges_or_the_most_frequent(
    values: Any, expected: dict[str, int]
) -> None:
    found = counts(pd.Series(values))
    assert found == expected and [*found] == [*expected]


@pytest.mark.parametrize("seed", range(5))
def test_each_row_is_in_one_slice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = pd.Series(rng.poisson(rng.integers(1, 30), 300)).astype(float).mask(rng.random(300) < 0.1)
    for column in (numbers, numbers.map("{:.0f}".format)):
        slices = slice_column(column)
        assert (np.sum([inside for _, inside in slices], axis=0) == 1).all()
        assert all(inside.any() for _, inside in slices) and len(slices) <= MAX_SLICES + 1


# Figures ----------------------------------------------------------


@pytest.mark.parametrize(("purchases", "rows"), [(3, 40), (0, 10), (10, 10), (822, 10270)])
def test_the_interval_of_a_rate_is_that_of_scipy(purchases: int, rows: int) -> None:
    targets = np.repeat([1, 0], [purchases, rows - purchases])
    expected = binomtest(purchases, rows).proportion_ci(method="wilson")
    assert wilson_interval(targets) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert wilson_interval(targets, np.arange(rows)) == pytest.approx((expected.low, expected.high), rel=0.05, abs=1e-3)


def test_rows_that_are_copies_count_once_in_the_interval_of_a_rate() -> None:
    targets = TARGETS[:300]
    low, high = wilson_interval(np.tile(targets, 5), np.tile(np.arange(300), 5))
    assert (low, high) == pytest.approx(wilson_interval(targets), abs=1e-3)
    assert wilson_interval(np.zeros(50, int), np.arange(50) // 5) == pytest.approx(wilson_interval(np.zeros(10, int)))


def test_the_influences_of_rows_give_the_variance_of_delong() -> None:
    auc, influences = auc_influence(TARGETS, PROBABILITIES)
    interval = auc_with_interval(TARGETS, PROBABILITIES)
    assert auc == interval["auc"] and influences.sum() == pytest.approx(0, abs=1e-12)
    margin = norm.isf(0.025) * np.sqrt((influences**2).sum())
    assert (auc - margin, auc + margin) == pytest.approx((interval["auc_ci_low"], interval["auc_ci_high"]))


def test_the_p_values_are_those_of_two_independent_aucs_and_of_a_binomial_sum() -> None:
    noise = np.random.default_rng(2).uniform(0, 0.08, ROWS)
    scores = np.where(HALF, PROBABILITIES + noise - 0.035, PROBABILITIES + 2 * noise - 0.07)
    (even,) = metrics_by_slice(TARGETS, scores, {"a": [("even", HALF)]})["columns"][0]["slices"]
    own, others = (auc_with_interval(TARGETS[rows], scores[rows]) for rows in (HALF, ~HALF))
    assert {name: even[name] for name in own} == own and even["auc_others"] == others["auc"]
    error = np.hypot(*[(one["auc_ci_high"] - one["auc"]) / norm.isf(0.025) for one in (own, others)])
    of_auc = 2 * norm.sf(abs(own["auc"] - others["auc"]) / error)
    # The number of purchases has this variance if the probabilities are right.
    variance = (scores[HALF] * (1 - scores[HALF])).sum()
    of_rate = 2 * norm.sf(abs(TARGETS[HALF].sum() - scores[HALF].sum()) / np.sqrt(variance))
    adjusted = holm(np.array([of_auc, of_rate]))
    assert even["auc_p_holm"] == pytest.approx(adjusted[0], rel=1e-9)
    assert even["calibration_p_holm"] == pytest.approx(adjusted[1], rel=0.1)
    assert adjusted.min() > 0 and adjusted.max() < 0.9


def test_a_slice_has_its_rows_its_purchases_and_its_rates() -> None:
    found = figures()
    even, odd = found["columns"][0]["slices"]
    assert found["tests"] == 4 and (even["rows"], even["purchases"]) == (2000, TARGETS[HALF].sum())
    assert even["observed"] == TARGETS[HALF].mean() and even["predicted"] == PROBABILITIES[HALF].mean()
    assert even["auc"] == pytest.approx(roc_auc_score(TARGETS[HALF], PROBABILITIES[HALF]))
    assert (even["auc_others"], odd["auc_others"]) == (odd["auc"], even["auc"])


def test_p_values_are_corrected_as_in_r() -> None:
    # p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.5])).tolist() == [1, 1] and not len(holm(np.array([])))


def test_copies_of_rows_do_not_make_a_difference_more_significant() -> None:
    worse = PROBABILITIES + np.where(HALF, 0.01, np.random.default_rng(1).uniform(0, 0.2, ROWS))
    few = np.arange(ROWS) < 1000
    columns = {"half": [("even", HALF[few])]}
    once = metrics_by_slice(TARGETS[few], worse[few], columns)
    thrice = metrics_by_slice(
        np.tile(TARGETS[few], 3),
        np.tile(worse[few], 3),
        {"half": [("even", np.tile(HALF[few], 3))]},
        np.tile(np.arange(1000), 3),
    )
    one, other = (found["columns"][0]["slices"][0] for found in (once, thrice))
    for name in ("auc_p_holm", "calibration_p_holm"):
        assert other[name] == pytest.approx(one[name], rel=0.1)
        assert 0 < one[name] < 0.9
    bootstrap = ClusterBootstrap(
        np.tile(TARGETS[few & HALF], 3), {"": np.tile(worse[few & HALF], 3)}, np.tile(np.flatnonzero(few & HALF), 3)
    )
    assert other["auc_ci_low"] == bootstrap.with_intervals("")["auc_ci_low"]


@pytest.mark.parametrize(
    ("purchases", "others", "is_large"),
    [(MIN_ROWS, MIN_ROWS, True), (MIN_ROWS - 1, 500, False), (500, MIN_ROWS - 1, False), (0, 1, False)],
)
def test_a_slice_has_figures_if_it_has_enough_rows_of_each_class(purchases: int, others: int, is_large: bool) -> None:
    inside = np.zeros(ROWS, bool)
    inside[np.flatnonzero(TARGETS == 1)[:purchases]] = True
    inside[np.flatnonzero(TARGETS == 0)[:others]] = True
    found = metrics_by_slice(TARGETS, PROBABILITIES, {"a": [("b", inside)]})
    (one,) = found["columns"][0]["slices"]
    assert (one["rows"], one["purchases"]) == (purchases + others, purchases)
    assert ("auc" in one, "observed" in one, found["tests"]) == (is_large, is_large, 2 * is_large)


def test_a_slice_of_all_rows_has_no_others_to_be_compared_to() -> None:
    found = metrics_by_slice(TARGETS, PROBABILITIES, {"a": [("b", np.ones(ROWS, bool))]})
    assert "auc_others" not in found["columns"][0]["slices"][0] and found["tests"] == 1


# In words ---------------------------------------------------------


def test_where_nothing_stands_out_the_sentence_says_so_and_that_tests_are_corrected() -> None:
    nothing, correction = in_words(figures(), MODEL)
    assert nothing.startswith("No slice stands out: in none of 2 does the AUC of the blend differ significantly")
    assert correction.startswith("The 4 tests are corrected for their number (Holm, 5% for all together)")
    assert "scored page views" in in_words(figures(), MODEL, has_several_views=True)[0]


def test_a_slice_that_is_ranked_worse_or_badly_calibrated_is_named_with_its_figures() -> None:
    shuffled = np.where(HALF, PROBABILITIES, RNG.permutation(PROBABILITIES))
    lower, higher, _ = in_words(figures(shuffled), MODEL)[-3:]
    assert "odd (half): the AUC of 0." in "".join(in_words(figures(shuffled), MODEL))
    assert {"lower" in lower, "lower" in higher} == {True, False}
    low = in_words(figures(np.where(HALF, PROBABILITIES, PROBABILITIES / 2)), MODEL)
    assert any(
        sentence.startswith("odd (half): probabilities are too low, 1") and "(95% CI " in sentence for sentence in low
    )


def test_slices_of_no_meaning_rarely_stand_out() -> None:
    found = 0
    for seed in range(60):
        codes = pd.Series(np.random.default_rng(seed).integers(6, size=1000))
        columns = {"random": slice_column(codes)}
        first, *_ = in_words(metrics_by_slice(TARGETS[:1000], PROBABILITIES[:1000], columns), MODEL)
        found += not first.startswith("No slice")
    assert found <= 7  # where 3 are expected at most, and without the correction some 25


def test_slices_that_are_all_too_small_say_so_and_long_labels_are_cut() -> None:
    slices = metrics_by_slice(TARGETS[:9], PROBABILITIES[:9], {"a": [("x" * 99 + "\n", np.ones(9, bool))]})
    assert in_words(slices, MODEL) == [
        "No slice has 20 purchases and as many other sessions: all are too small to tell."
    ]
    assert with_short_labels(slices)["columns"][0]["slices"][0]["slice"] == "x" * 29 + "…"
