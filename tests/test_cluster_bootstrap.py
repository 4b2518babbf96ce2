"""Figures of weighted rows are scikit-learn's, and intervals allow for rows of one visitor being alike."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from stages.lib.evaluation.by_view import metrics_by_view
from stages.lib.evaluation.cluster_bootstrap import DRAWS, FIGURES, TOP_SHARE, ClusterBootstrap, Ranking
from stages.lib.evaluation.curves import recall_at
from stages.lib.evaluation.delong import auc_with_interval, compare_aucs
from stages.lib.evaluation.metrics import decision_metrics

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # targets, scores and clusters


def independent_rows(seed: int, rows: int = 500) -> Rows:
    """Each row is a cluster of its own."""
    rng = np.random.default_rng(seed)
    targets = (rng.random(rows) < 0.2).astype(np.int64)
    return targets, (targets + rng.normal(size=rows)).astype(np.float32), np.arange(rows)


def clustered_rows(seed: int, clusters: int = 300) -> Rows:
    """One to eight rows in each cluster, which have most of their score, and often their target, in common."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(clusters), rng.integers(1, 9, size=clusters))
    tendency = rng.normal(size=clusters)[codes]
    targets = (tendency + 0.5 * rng.normal(size=len(codes)) > 1).astype(np.int64)
    scores = 0.5 * targets + rng.normal(size=clusters)[codes] + 0.3 * rng.normal(size=len(codes))
    return targets, scores.round(2).astype(np.float32), codes


def obuchowski_se(targets: np.ndarray, scores: np.ndarray, clusters: np.ndarray) -> float:
    """The standard error of an AUC of clustered rows, as Obuchowski (1997), Biometrics 53, estimates it.

    Each row's placement value is the share of rows of the other class that it is ranked right against. The sums of how
    far these are from the AUC vary from cluster to cluster, and those of both classes vary together.
    """
    positives, negatives = scores[targets == 1][:, None], scores[targets == 0]
    is_right = (positives > negatives) + 0.5 * (positives == negatives)
    auc, (n_positives, n_negatives) = is_right.mean(), is_right.shape
    n_clusters = clusters.max() + 1
    sums, variances = [], []
    for target, placements in ((1, is_right.mean(axis=1)), (0, is_right.mean(axis=0))):
        of_class = clusters[targets == target]
        sums.append(np.bincount(of_class, weights=placements - auc, minlength=n_clusters))
        n_with_class = len(np.unique(of_class))
        variances.append(n_with_class / (n_with_class - 1) * (sums[-1] ** 2).sum() / len(of_class) ** 2)
    covariance = n_clusters / (n_clusters - 1) * (sums[0] @ sums[1]) / (n_positives * n_negatives)
    return float(np.sqrt(sum(variances) + 2 * covariance))


def delong_se(targets: np.ndarray, scores: np.ndarray) -> float:
    interval = auc_with_interval(targets, scores)
    return (interval["auc_ci_high"] - interval["auc_ci_low"]) / (2 * 1.959964)


def bootstrap_se(targets: np.ndarray, scores: np.ndarray, clusters: np.ndarray) -> float:
    return float(ClusterBootstrap(targets, {"model": scores}, clusters).draws["model"][:, 0].std())


# Figures ----------------------------------------------------------


@pytest.mark.parametrize("decimals", [1, 6])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_figures_of_weighted_rows_are_those_of_repeated_rows(seed: int, decimals: int) -> None:
    targets, scores, _ = independent_rows(seed)
    scores = scores.round(decimals)
    weights = np.random.default_rng(seed).integers(0, 4, size=len(targets))
    auc, average_precision, recall = Ranking.of(targets, scores).figures(weights)
    assert auc == pytest.approx(roc_auc_score(targets, scores, sample_weight=weights), abs=1e-12)
    expected = average_precision_score(targets, scores, sample_weight=weights)
    assert average_precision == pytest.approx(expected, abs=1e-12)
    repeated, of_repeated = targets.repeat(weights), scores.repeat(weights)
    assert auc == pytest.approx(roc_auc_score(repeated, of_repeated), abs=1e-12)
    assert average_precision == pytest.approx(average_precision_score(repeated, of_repeated), abs=1e-12)
    assert recall == pytest.approx(recall_at(np.array(TOP_SHARE), repeated, of_repeated), abs=1e-12)


def test_recall_is_that_of_the_metrics_however_the_share_cuts_through_equal_scores() -> None:
    targets = np.array([0, 1, 1, 0, 1, 0, 0])
    for scores in (np.zeros(7), np.arange(7.0), np.array([3, 3, 3, 2, 2, 1, 1.0]), targets * 1.0):
        recall = Ranking.of(targets, scores).figures(np.ones(7))[2]
        assert recall == pytest.approx(decision_metrics(targets, scores, scores > 1)["recall_at_10"], abs=1e-12)
    # The best row is not drawn; the next one is, twice.
    recall = Ranking.of(np.array([1, 1, 0]), np.array([3.0, 2, 1])).figures(np.array([0, 2, 2]))[2]
    assert recall == pytest.approx(0.2)


def test_figures_without_a_draw_are_those_of_the_rows_as_they_are() -> None:
    targets, scores, clusters = clustered_rows(4)
    figures = ClusterBootstrap(targets, {"model": scores}, clusters).with_intervals("model")
    assert [*figures] == [f"{name}{end}" for name in FIGURES for end in ("", "_ci_low", "_ci_high")]
    assert figures["auc"] == pytest.approx(roc_auc_score(targets, scores))
    for name in FIGURES:
        assert figures[f"{name}_ci_low"] < figures[name] < figures[f"{name}_ci_high"]


# Standard errors --------------------------------------------------


@pytest.mark.parametrize("seed", [5, 6])
def test_the_standard_error_of_clustered_rows_is_that_of_obuchowski_and_not_of_delong(seed: int) -> None:
    targets, scores, clusters = clustered_rows(seed)
    result = bootstrap_se(targets, scores, clusters)
    assert result == pytest.approx(obuchowski_se(targets, scores, clusters), rel=0.1)
    assert result > 1.3 * delong_se(targets, scores)


@pytest.mark.parametrize("seed", [7, 8])
def test_the_standard_error_of_independent_rows_is_that_of_delong(seed: int) -> None:
    targets, scores, clusters = independent_rows(seed)
    result = bootstrap_se(targets, scores, clusters)
    assert result == pytest.approx(delong_se(targets, scores), rel=0.1)
    assert obuchowski_se(targets, scores, clusters) == pytest.approx(delong_se(targets, scores), rel=0.01)


def test_clusters_may_have_any_ids_in_any_order() -> None:
    targets, scores, clusters = clustered_rows(9, clusters=60)
    named = np.array([f"visitor {cluster:03}" for cluster in clusters], dtype=object)
    expected = ClusterBootstrap(targets, {"model": scores}, clusters).with_intervals("model")
    assert ClusterBootstrap(targets, {"model": scores}, named).with_intervals("model") == expected
    order = np.random.default_rng(0).permutation(len(targets))
    shuffled = ClusterBootstrap(targets[order], {"model": scores[order]}, clusters[order]).with_intervals("model")
    assert shuffled == pytest.approx(expected)


# Comparisons ------------------------------------------------------


def second_model(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return scores + np.random.default_rng(10).normal(scale=0.7, size=len(targets))


@pytest.mark.parametrize(("rows", "widens"), [(independent_rows, False), (clustered_rows, True)])
def test_a_comparison_is_that_of_delong_where_rows_are_independent(rows: Callable[[int], Rows], widens: bool) -> None:
    targets, scores, clusters = rows(11)
    if widens:  # both models err alike on the rows of a cluster
        other = scores + np.random.default_rng(10).normal(scale=0.7, size=clusters.max() + 1)[clusters]
    else:
        other = second_model(targets, scores)
    result = ClusterBootstrap(targets, {"one": scores, "other": other}, clusters).compare_aucs("one", "other")
    expected = compare_aucs(targets, scores, other)
    width, of_delong = (each["ci_high"] - each["ci_low"] for each in (result, expected))
    assert result["difference"] == pytest.approx(expected["difference"], abs=1e-6)
    assert width > 1.2 * of_delong if widens else width == pytest.approx(of_delong, rel=0.15)


def test_p_values_are_between_those_of_equal_models_and_of_the_number_of_draws() -> None:
    targets, scores, clusters = independent_rows(12)
    models = {"one": scores, "equal": np.exp(scores), "worse": -scores}
    bootstrap = ClusterBootstrap(targets, models, clusters)
    equal = {"difference": 0.0, "ci_low": 0.0, "ci_high": 0.0, "p_value": 1.0}
    assert bootstrap.compare_aucs("one", "equal") == equal
    forward, backward = bootstrap.compare_aucs("one", "worse"), bootstrap.compare_aucs("worse", "one")
    assert forward["p_value"] == backward["p_value"] == pytest.approx(2 / (DRAWS + 1))
    assert forward["ci_low"] == pytest.approx(-backward["ci_high"]) and forward["ci_low"] > 0


def test_the_same_rows_give_the_same_draws_and_one_class_is_an_error() -> None:
    targets, scores, clusters = clustered_rows(13, clusters=60)
    first, second = (ClusterBootstrap(targets, {"model": scores}, clusters) for _ in range(2))
    np.testing.assert_array_equal(first.draws["model"], second.draws["model"])
    with pytest.raises(ValueError, match="both targets"):
        ClusterBootstrap(np.ones(3), {"model": scores[:3]}, clusters[:3])


# Page views -------------------------------------------------------


def test_each_page_view_has_the_figures_of_its_rows_and_none_where_they_are_of_one_class() -> None:
    targets, scores, clusters = clustered_rows(14, clusters=100)
    views = np.random.default_rng(0).choice([1, 3, 8], len(targets))
    targets[views == 8] = 0
    first, third, eighth = metrics_by_view(targets, {"model": scores}, views, clusters)
    for found, view in ((first, 1), (third, 3)):
        at_view = views == view
        bootstrap = ClusterBootstrap(targets[at_view], {"model": scores[at_view]}, clusters[at_view])
        assert found == {
            "view": view,
            "rows": at_view.sum(),
            "purchases": targets[at_view].sum(),
            "models": {"model": bootstrap.with_intervals("model")},
        }
    assert eighth == {"view": 8, "rows": (views == 8).sum(), "purchases": 0, "models": {}}
