"""AUC intervals and comparisons, checked against the paper's definition and data, scipy and resampling."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from stages.lib.evaluation.delong import auc_with_interval, compare_aucs

# The patients of DeLong, DeLong & Clarke-Pearson (1988) with all three measures: albumin, total protein, K-G score.
SICK = [(3.0, 5.8, 10), (2.8, 4.8, 6), (0.9, 4.0, 5), (2.5, 5.7, 8), (3.6, 6.7, 4), (4.2, 7.6, 4)]
SICK += [(4.0, 6.6, 6), (3.0, 4.7, 8), (3.3, 6.8, 6), (1.7, 4.0, 7), (2.9, 5.7, 9), (2.8, 6.2, 8)]
HEALTHY = [(3.2, 6.3, 5), (3.9, 6.8, 3), (3.2, 5.8, 3), (1.6, 5.6, 5), (3.8, 5.7, 5), (3.7, 6.7, 6), (3.2, 5.4, 4)]
HEALTHY += [(3.8, 6.6, 6), (4.1, 6.6, 5), (3.6, 5.7, 5), (4.3, 7.0, 4), (2.3, 4.4, 6), (3.5, 5.8, 6), (3.8, 6.8, 7)]
HEALTHY += [(4.5, 7.4, 5), (3.7, 7.4, 5), (3.1, 6.6, 6), (4.1, 8.2, 6), (4.3, 7.0, 5), (4.3, 6.5, 4), (3.2, 5.1, 5)]
HEALTHY += [(2.6, 4.7, 6), (3.7, 6.1, 5), (3.3, 6.3, 7), (4.2, 7.7, 6), (3.5, 6.2, 5), (2.1, 4.8, 7), (4.0, 7.0, 7)]
HEALTHY += [(3.3, 5.7, 6), (3.7, 6.9, 5), (3.6, 6.6, 5)]


def models(seed: int, positives: int, negatives: int, ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, and two models' scores, correlated, for rows in random order."""
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.repeat([1, 0], [positives, negatives]))
    common = targets + rng.normal(size=len(targets))
    first, second = (common + rng.normal(scale=scale, size=len(targets)) for scale in (0.4, 0.9))
    return (targets, first.round(), second.round()) if ties else (targets, first, second)


def placements(targets: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's placement values, by comparing every positive row with every negative one."""
    positives, negatives = scores[targets == 1][:, None], scores[targets == 0]
    higher = (positives > negatives) + 0.5 * (positives == negatives)
    return higher.mean(axis=1), higher.mean(axis=0)


def midrank_auc(positives: np.ndarray, negatives: np.ndarray, axis: int = -1) -> np.ndarray:
    ranks = stats.rankdata(np.concatenate([positives, negatives], axis=axis), axis=axis)
    count = positives.shape[axis]
    return (ranks[..., :count].mean(axis=axis) - (count + 1) / 2) / negatives.shape[axis]


def test_the_results_are_those_published_for_the_example_of_the_paper() -> None:
    # As the SAS/STAT user's guide (the LOGISTIC procedure, comparing ROC curves) prints them for the same patients.
    patients, targets = np.array(SICK + HEALTHY), np.repeat([0, 1], [len(SICK), len(HEALTHY)])
    albumin, protein, score = patients[:, 0], patients[:, 1], 10 - patients[:, 2]
    result = [[*auc_with_interval(targets, measure).values()] for measure in (albumin, protein, score)]
    published = [(0.7366, 0.5549, 0.9182), (0.6478, 0.4518, 0.8439), (0.7258, 0.5243, 0.9273)]
    np.testing.assert_allclose(result, published, atol=5e-5)
    differences = [[*compare_aucs(targets, measure, score).values()] for measure in (albumin, protein)]
    published_differences = [(0.0108, -0.1761, 0.1976, 0.9102), (-0.0780, -0.2830, 0.1271, 0.4561)]
    np.testing.assert_allclose(differences, published_differences, atol=5e-5)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("positives", "negatives"), [(2, 3), (3, 40), (40, 3), (50, 60)])
def test_auc_and_comparison_are_as_the_paper_defines_them(positives: int, negatives: int, ties: bool) -> None:
    targets, first, second = models(3, positives, negatives, ties)
    both = [placements(targets, scores) for scores in (first, second)]
    by_positive, by_negative = (np.stack(values) for values in zip(*both, strict=True))
    covariance = np.cov(by_positive) / positives + np.cov(by_negative) / negatives
    aucs = by_positive.mean(axis=1)
    margins = 1.959964 * np.sqrt([*np.diag(covariance), [1, -1] @ covariance @ [1, -1]])
    for scores, auc, margin in zip((first, second), aucs, margins[:2], strict=True):
        expected = [auc, max(auc - margin, 0), min(auc + margin, 1)]
        assert [*auc_with_interval(targets, scores).values()] == pytest.approx(expected, abs=1e-6)
    difference = aucs[0] - aucs[1]
    expected = [difference, max(difference - margins[2], -1), min(difference + margins[2], 1)]
    p_value = 2 * stats.norm.sf(1.959964 * abs(difference) / margins[2])
    assert [*compare_aucs(targets, first, second).values()] == pytest.approx([*expected, p_value], abs=1e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_the_auc_is_that_of_scikit_learn_and_of_mann_and_whitney(ties: bool) -> None:
    targets, scores, _ = models(4, 80, 920, ties)
    auc = auc_with_interval(targets, scores)["auc"]
    assert auc == pytest.approx(roc_auc_score(targets, scores), abs=1e-12)
    u = stats.mannwhitneyu(scores[targets == 1], scores[targets == 0]).statistic
    assert auc == pytest.approx(u / (80 * 920), abs=1e-12)


def test_the_interval_agrees_with_a_stratified_bootstrap() -> None:
    targets, scores, _ = models(5, 80, 420, ties=True)
    result = auc_with_interval(targets, scores)
    classes = (scores[targets == 1], scores[targets == 0])
    resampled = stats.bootstrap(classes, midrank_auc, n_resamples=4000, batch=500, method="percentile", rng=6)
    # The tolerance covers the chance in 4000 resamples and the skewness that a normal distribution leaves out.
    ends = [*resampled.confidence_interval]
    assert [result["auc_ci_low"], result["auc_ci_high"]] == pytest.approx(ends, abs=0.15 * resampled.standard_error)


def test_the_interval_of_a_difference_agrees_with_a_paired_bootstrap() -> None:
    targets, first, second = models(6, 80, 420, ties=False)
    result = compare_aucs(targets, first, second)
    rng = np.random.default_rng(7)
    positives, negatives = (
        rng.choice(np.flatnonzero(targets == target), (2000, count)) for target, count in ((1, 80), (0, 420))
    )
    differences = midrank_auc(first[positives], first[negatives]) - midrank_auc(second[positives], second[negatives])
    ends = np.quantile(differences, [0.025, 0.975])
    assert [result["ci_low"], result["ci_high"]] == pytest.approx(ends.tolist(), abs=0.15 * differences.std())
    # Ignoring that both models score the same rows would make it far wider.
    independent = [auc_with_interval(targets, scores) for scores in (first, second)]
    width = np.sqrt(sum((each["auc_ci_high"] - each["auc_ci_low"]) ** 2 for each in independent))
    assert result["ci_high"] - result["ci_low"] < 0.7 * width


def test_the_interval_covers_the_true_auc_in_95_percent_of_samples() -> None:
    rng = np.random.default_rng(8)
    targets = np.repeat([1, 0], [50, 200])
    # The AUC of normal scores one standard deviation apart
    true_auc = stats.norm.cdf(1 / np.sqrt(2))
    results = [auc_with_interval(targets, targets + rng.normal(size=250)) for _ in range(1000)]
    coverage = np.mean([result["auc_ci_low"] <= true_auc <= result["auc_ci_high"] for result in results])
    assert 0.93 <= coverage <= 0.97


def test_p_values_of_equally_good_models_are_uniform() -> None:
    rng = np.random.default_rng(9)
    targets = np.repeat([1, 0], [60, 240])
    p_values = []
    for _ in range(800):
        common = targets + rng.normal(size=300)
        first, second = common + rng.normal(scale=0.5, size=(2, 300))
        p_values.append(compare_aucs(targets, first, second)["p_value"])
    assert stats.kstest(p_values, "uniform").pvalue > 0.05
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_the_order_of_rows_and_the_scale_of_scores_do_not_matter() -> None:
    targets, first, second = models(10, 30, 90, ties=True)
    order = np.random.default_rng(1).permutation(120)
    transformed = (1 / (1 + np.exp(-first))).astype(np.float32)
    assert auc_with_interval(targets[order], first[order]) == auc_with_interval(targets, transformed)
    reordered = compare_aucs(targets[order], transformed[order], second[order])
    assert reordered == pytest.approx(compare_aucs(targets, first, second))


def test_swapping_the_models_changes_the_sign_of_the_difference() -> None:
    targets, first, second = models(11, 30, 90, ties=False)
    forward, backward = compare_aucs(targets, first, second), compare_aucs(targets, second, first)
    assert forward == {
        "difference": -backward["difference"],
        "ci_low": -backward["ci_high"],
        "ci_high": -backward["ci_low"],
        "p_value": backward["p_value"],
    }


@pytest.mark.parametrize("seed", range(12, 24))
def test_the_interval_excludes_zero_where_the_p_value_is_below_5_percent(seed: int) -> None:
    result = compare_aucs(*models(seed, 40, 160, ties=False))
    assert (result["ci_low"] > 0 or result["ci_high"] < 0) == (result["p_value"] < 0.05)


@pytest.mark.parametrize(("positives", "negatives"), [(1, 1), (1, 30), (5, 30), (30, 5)])
def test_a_perfect_ranking_of_few_rows_has_a_wide_interval(positives: int, negatives: int) -> None:
    targets = np.repeat([1, 0], [positives, negatives])
    pairs = min(positives, negatives)
    low = stats.binomtest(pairs, pairs).proportion_ci(0.95, "exact").low
    result = auc_with_interval(targets, targets + np.linspace(0, 0.5, len(targets)))
    assert result == pytest.approx({"auc": 1, "auc_ci_low": low, "auc_ci_high": 1})
    result = auc_with_interval(targets, np.linspace(0, 0.5, len(targets)) - targets)
    assert result == pytest.approx({"auc": 0, "auc_ci_low": 0, "auc_ci_high": 1 - low})


def test_equal_scores_have_an_auc_of_one_half() -> None:
    result = auc_with_interval(np.array([0, 1, 0, 1]), np.full(4, 0.08, np.float32))
    assert result == {"auc": 0.5, "auc_ci_low": 0.5, "auc_ci_high": 0.5}


def test_a_single_positive_row_has_the_widest_interval() -> None:
    targets, first, second = np.array([0, 0, 1, 0]), np.array([1, 2, 3, 4]), np.array([3, 2, 1, 0])
    assert auc_with_interval(targets, first) == pytest.approx({"auc": 2 / 3, "auc_ci_low": 0, "auc_ci_high": 1})
    result = compare_aucs(targets, first, second)
    assert result == pytest.approx({"difference": 1 / 3, "ci_low": -1, "ci_high": 1, "p_value": 1})


@pytest.mark.parametrize("targets", [[0, 1, 0, 1, 1], [0, 0, 0, 0, 1], [0, 0, 1, 1, 1]])
def test_models_that_rank_rows_alike_do_not_differ(targets: list[int]) -> None:
    scores = np.array([1.0, 2.0, 3.0, 3.0, 4.0])
    result = compare_aucs(np.array(targets), scores, np.exp(scores))
    assert result == {"difference": 0, "ci_low": 0, "ci_high": 0, "p_value": 1}


def test_a_difference_without_variance_still_has_an_interval() -> None:
    targets = np.repeat([1, 0], [8, 20])
    perfect, constant = targets.astype(float), np.zeros(28)
    result = compare_aucs(targets, perfect, constant)
    low = stats.binomtest(8, 8).proportion_ci(0.95, "exact").low
    p_value = stats.binomtest(8, 8).pvalue
    assert result == pytest.approx({"difference": 0.5, "ci_low": low - 0.5, "ci_high": 0.5, "p_value": p_value})
    result = compare_aucs(targets, 1 - perfect, perfect)
    assert result == pytest.approx({"difference": -1, "ci_low": -1, "ci_high": 1 - 2 * low, "p_value": p_value})


def test_the_interval_of_a_difference_stays_within_minus_one_and_one() -> None:
    targets = np.repeat([1, 0], 4)
    good, bad = np.array([8, 7, 6, 4, 5, 3, 2, 1]), np.array([1, 2, 3, 5, 4, 6, 7, 8])
    assert compare_aucs(targets, good, bad)["ci_high"] == 1
    assert compare_aucs(targets, bad, good)["ci_low"] == -1


@pytest.mark.parametrize("target", [0, 1])
def test_an_auc_needs_both_targets(target: int) -> None:
    with pytest.raises(ValueError, match="both targets"):
        auc_with_interval(np.full(3, target), np.array([0.1, 0.2, 0.3]))
