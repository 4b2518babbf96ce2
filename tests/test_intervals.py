"""Intervals of an AUC and of a difference: held to the paper's definition and data, to scipy and to resampling."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from stages.lib.evaluation.delong import auc_with_interval, compare_aucs, in_words

# The patients of DeLong, DeLong & Clarke-Pearson (1988) with all three measures: albumin, total protein, K-G score.
ILL = [(3.0, 5.8, 10), (2.8, 4.8, 6), (0.9, 4.0, 5), (2.5, 5.7, 8), (3.6, 6.7, 4), (4.2, 7.6, 4)]
ILL += [(4.0, 6.6, 6), (3.0, 4.7, 8), (3.3, 6.8, 6), (1.7, 4.0, 7), (2.9, 5.7, 9), (2.8, 6.2, 8)]
WELL = [(3.2, 6.3, 5), (3.9, 6.8, 3), (3.2, 5.8, 3), (1.6, 5.6, 5), (3.8, 5.7, 5), (3.7, 6.7, 6), (3.2, 5.4, 4)]
WELL += [(3.8, 6.6, 6), (4.1, 6.6, 5), (3.6, 5.7, 5), (4.3, 7.0, 4), (2.3, 4.4, 6), (3.5, 5.8, 6), (3.8, 6.8, 7)]
WELL += [(4.5, 7.4, 5), (3.7, 7.4, 5), (3.1, 6.6, 6), (4.1, 8.2, 6), (4.3, 7.0, 5), (4.3, 6.5, 4), (3.2, 5.1, 5)]
WELL += [(2.6, 4.7, 6), (3.7, 6.1, 5), (3.3, 6.3, 7), (4.2, 7.7, 6), (3.5, 6.2, 5), (2.1, 4.8, 7), (4.0, 7.0, 7)]
WELL += [(3.3, 5.7, 6), (3.7, 6.9, 5), (3.6, 6.6, 5)]


def models(seed: int, purchases: int, others: int, ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, and two models' scores, alike but not equal, in random order of rows."""
    random = np.random.default_rng(seed)
    targets = random.permutation(np.repeat([1, 0], [purchases, others]))
    both = targets + random.normal(size=len(targets))
    one, two = (both + random.normal(scale=scale, size=len(targets)) for scale in (0.4, 0.9))
    return (targets, one.round(), two.round()) if ties else (targets, one, two)


def placements(targets: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's structural components, by comparing every purchase with every other row."""
    purchases, others = scores[targets == 1][:, None], scores[targets == 0]
    higher = (purchases > others) + 0.5 * (purchases == others)
    return higher.mean(axis=1), higher.mean(axis=0)


def auc_of(purchases: np.ndarray, others: np.ndarray, axis: int = -1) -> np.ndarray:
    ranks = stats.rankdata(np.concatenate([purchases, others], axis=axis), axis=axis)
    count = purchases.shape[axis]
    return (ranks[..., :count].mean(axis=axis) - (count + 1) / 2) / others.shape[axis]


def test_the_example_of_the_paper() -> None:
    # As the SAS/STAT user's guide (the LOGISTIC procedure, comparing ROC curves) prints them for the same patients.
    patients, targets = np.array(ILL + WELL), np.repeat([0, 1], [len(ILL), len(WELL)])
    albumin, protein, score = patients[:, 0], patients[:, 1], 10 - patients[:, 2]
    found = [[*auc_with_interval(targets, measure).values()] for measure in (albumin, protein, score)]
    published = [(0.7366, 0.5549, 0.9182), (0.6478, 0.4518, 0.8439), (0.7258, 0.5243, 0.9273)]
    np.testing.assert_allclose(found, published, atol=5e-5)
    differences = [[*compare_aucs(targets, measure, score).values()] for measure in (albumin, protein)]
    published = [(0.0108, -0.1761, 0.1976, 0.9102), (-0.0780, -0.2830, 0.1271, 0.4561)]
    np.testing.assert_allclose(differences, published, atol=5e-5)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("purchases", "others"), [(2, 3), (3, 40), (40, 3), (50, 60)])
def test_both_are_those_of_the_definition(purchases, others, ties) -> None:
    targets, one, two = models(3, purchases, others, ties)
    both = [placements(targets, scores) for scores in (one, two)]
    of_purchases, of_others = (np.stack(parts) for parts in zip(*both, strict=True))
    covariance = np.cov(of_purchases) / purchases + np.cov(of_others) / others
    areas = of_purchases.mean(axis=1)
    margins = 1.959964 * np.sqrt([*np.diag(covariance), [1, -1] @ covariance @ [1, -1]])
    for scores, area, margin in zip((one, two), areas, margins[:2], strict=True):
        expected = [area, max(area - margin, 0), min(area + margin, 1)]
        assert [*auc_with_interval(targets, scores).values()] == pytest.approx(expected, abs=1e-6)
    change = areas[0] - areas[1]
    expected = [change, max(change - margins[2], -1), min(change + margins[2], 1)]
    p_value = 2 * stats.norm.sf(1.959964 * abs(change) / margins[2])
    assert [*compare_aucs(targets, one, two).values()] == pytest.approx([*expected, p_value], abs=1e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_the_auc_is_that_of_other_sources(ties) -> None:
    targets, scores, _ = models(4, 80, 920, ties)
    area = auc_with_interval(targets, scores)["auc"]
    assert area == pytest.approx(roc_auc_score(targets, scores), abs=1e-12)
    u = stats.mannwhitneyu(scores[targets == 1], scores[targets == 0]).statistic
    assert area == pytest.approx(u / (80 * 920), abs=1e-12)


def test_the_interval_is_that_of_a_stratified_bootstrap() -> None:
    targets, scores, _ = models(5, 80, 420, ties=True)
    found = auc_with_interval(targets, scores)
    classes = (scores[targets == 1], scores[targets == 0])
    resampled = stats.bootstrap(classes, auc_of, n_resamples=4000, batch=500, method="percentile", rng=6)
    # A part of the standard error: what 4000 resamples leave to chance, and what the normal distribution leaves out.
    ends = [*resampled.confidence_interval]
    assert [found["auc_low"], found["auc_high"]] == pytest.approx(ends, abs=0.15 * resampled.standard_error)


def test_the_difference_is_that_of_resampled_rows() -> None:
    targets, one, two = models(6, 80, 420, ties=False)
    found = compare_aucs(targets, one, two)
    random = np.random.default_rng(7)
    purchases, others = (
        random.choice(np.flatnonzero(targets == target), (2000, count)) for target, count in ((1, 80), (0, 420))
    )
    changes = auc_of(one[purchases], one[others]) - auc_of(two[purchases], two[others])
    ends = np.quantile(changes, [0.025, 0.975])
    assert [found["low"], found["high"]] == pytest.approx(ends.tolist(), abs=0.15 * changes.std())
    # Apart, as if each model had rows of its own, it would be far wider.
    alone = [auc_with_interval(targets, scores) for scores in (one, two)]
    width = np.sqrt(sum((auc["auc_high"] - auc["auc_low"]) ** 2 for auc in alone))
    assert found["high"] - found["low"] < 0.7 * width


def test_the_interval_holds_the_true_auc_as_often_as_it_says() -> None:
    random = np.random.default_rng(8)
    targets = np.repeat([1, 0], [50, 200])
    # Of normal scores one standard deviation apart.
    true = stats.norm.cdf(1 / np.sqrt(2))
    drawn = [auc_with_interval(targets, targets + random.normal(size=250)) for _ in range(1000)]
    held = np.mean([found["auc_low"] <= true <= found["auc_high"] for found in drawn])
    assert 0.93 <= held <= 0.97


def test_p_values_of_equally_good_models_are_uniform() -> None:
    random = np.random.default_rng(9)
    targets = np.repeat([1, 0], [60, 240])
    p_values = []
    for _ in range(800):
        both = targets + random.normal(size=300)
        one, two = both + random.normal(scale=0.5, size=(2, 300))
        p_values.append(compare_aucs(targets, one, two)["p_value"])
    assert stats.kstest(p_values, "uniform").pvalue > 0.05
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_the_order_of_rows_and_the_scale_of_scores_do_not_matter() -> None:
    targets, one, two = models(10, 30, 90, ties=True)
    order = np.random.default_rng(1).permutation(120)
    squeezed = (1 / (1 + np.exp(-one))).astype(np.float32)
    assert auc_with_interval(targets[order], one[order]) == auc_with_interval(targets, squeezed)
    again = compare_aucs(targets[order], squeezed[order], two[order])
    assert again == pytest.approx(compare_aucs(targets, one, two))


def test_the_other_way_round_the_difference_changes_its_sign() -> None:
    targets, one, two = models(11, 30, 90, ties=False)
    there, back = compare_aucs(targets, one, two), compare_aucs(targets, two, one)
    assert there == {
        "difference": -back["difference"],
        "low": -back["high"],
        "high": -back["low"],
        "p_value": back["p_value"],
    }


@pytest.mark.parametrize("seed", range(12, 24))
def test_the_interval_leaves_out_zero_where_p_is_below_a_twentieth(seed) -> None:
    found = compare_aucs(*models(seed, 40, 160, ties=False))
    assert (found["low"] > 0 or found["high"] < 0) == (found["p_value"] < 0.05)


@pytest.mark.parametrize(("purchases", "others"), [(1, 1), (1, 30), (5, 30), (30, 5)])
def test_a_perfect_order_of_few_rows_is_no_certainty(purchases, others) -> None:
    targets = np.repeat([1, 0], [purchases, others])
    pairs = min(purchases, others)
    low = stats.binomtest(pairs, pairs).proportion_ci(0.95, "exact").low
    found = auc_with_interval(targets, targets + np.linspace(0, 0.5, len(targets)))
    assert found == pytest.approx({"auc": 1, "auc_low": low, "auc_high": 1})
    found = auc_with_interval(targets, np.linspace(0, 0.5, len(targets)) - targets)
    assert found == pytest.approx({"auc": 0, "auc_low": 0, "auc_high": 1 - low})


def test_one_probability_for_all_rows_is_a_half_for_certain() -> None:
    found = auc_with_interval(np.array([0, 1, 0, 1]), np.full(4, 0.08, np.float32))
    assert found == {"auc": 0.5, "auc_low": 0.5, "auc_high": 0.5}


def test_of_a_single_purchase_little_can_be_said() -> None:
    targets, one, two = np.array([0, 0, 1, 0]), np.array([1, 2, 3, 4]), np.array([3, 2, 1, 0])
    assert auc_with_interval(targets, one) == pytest.approx({"auc": 2 / 3, "auc_low": 0, "auc_high": 1})
    found = compare_aucs(targets, one, two)
    assert found == pytest.approx({"difference": 1 / 3, "low": -1, "high": 1, "p_value": 1})


@pytest.mark.parametrize("targets", [[0, 1, 0, 1, 1], [0, 0, 0, 0, 1], [0, 0, 1, 1, 1]])
def test_models_of_one_order_do_not_differ(targets) -> None:
    scores = np.array([1.0, 2.0, 3.0, 3.0, 4.0])
    found = compare_aucs(np.array(targets), scores, np.exp(scores))
    assert found == {"difference": 0, "low": 0, "high": 0, "p_value": 1}


def test_a_difference_without_variance_still_has_an_interval() -> None:
    targets = np.repeat([1, 0], [8, 20])
    perfect, constant = targets.astype(float), np.zeros(28)
    found = compare_aucs(targets, perfect, constant)
    low = stats.binomtest(8, 8).proportion_ci(0.95, "exact").low
    p_value = stats.binomtest(8, 8).pvalue
    assert found == pytest.approx({"difference": 0.5, "low": low - 0.5, "high": 0.5, "p_value": p_value})
    found = compare_aucs(targets, 1 - perfect, perfect)
    assert found == pytest.approx({"difference": -1, "low": -1, "high": 1 - 2 * low, "p_value": p_value})


def test_a_difference_ends_where_there_can_be_no_more() -> None:
    targets = np.repeat([1, 0], 4)
    good, bad = np.array([8, 7, 6, 4, 5, 3, 2, 1]), np.array([1, 2, 3, 5, 4, 6, 7, 8])
    assert compare_aucs(targets, good, bad)["high"] == 1
    assert compare_aucs(targets, bad, good)["low"] == -1


@pytest.mark.parametrize("target", [0, 1])
def test_an_auc_needs_both_targets(target) -> None:
    with pytest.raises(ValueError, match="both targets"):
        auc_with_interval(np.full(3, target), np.array([0.1, 0.2, 0.3]))


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((-0.0123, -0.0204, -0.0041), "−0.012 (−0.020 to −0.004): worse."),
        ((0.0123, 0.0041, 0.0204), "+0.012 (+0.004 to +0.020): better."),
        ((0.0023, -0.0021, 0.0067), "+0.002 (−0.002 to +0.007): not told apart."),
        ((0.0, 0.0, 0.0), "0.000 (0.000 to 0.000): not told apart."),
        ((-0.0004, -0.0012, 0.0003), "0.000 (−0.001 to 0.000): not told apart."),
        # An end shown as 0 would seem to say that they are not told apart.
        ((0.0011, 0.0002, 0.002), "+0.0011 (+0.0002 to +0.0020): better."),
        ((-0.0004, -0.00079, -0.00001), "−0.00040 (−0.00079 to −0.00001): worse."),
    ],
)
def test_a_difference_in_words(ends, words) -> None:
    found = dict(zip(("difference", "low", "high"), ends, strict=True)) | {"p_value": 0.5}
    assert in_words("SMOTE", found) == f"SMOTE changes AUC by {words}"
