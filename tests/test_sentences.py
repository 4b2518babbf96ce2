"""What the report says in words: only what the figures show."""

from typing import Any

import pytest
from metrics_folder import comparison

from stages.lib.evaluation.registry import MODELS
from stages.lib.reporting.sentences import baselines_in_words, compare_in_words, headline, period


def evaluated(aucs: dict[str, float], *comparisons: dict[str, Any]) -> dict[str, Any]:
    return {"models": {name: {"auc": auc} for name, auc in aucs.items()}, "comparisons": [*comparisons]}


def sentences(evaluation: dict[str, Any]) -> list[str]:
    return baselines_in_words(evaluation, [model for model in MODELS if model.name in evaluation["models"]])


def test_a_model_that_is_not_better_than_chance_is_no_headline() -> None:
    decision = {"recall_at_10": 0.2}
    assert headline({"auc_ci_low": 0.499, "decision": decision}).startswith("No model ranks sessions")
    assert "20%" in headline({"auc_ci_low": 0.501, "decision": decision})


@pytest.mark.parametrize(
    ("difference", "low", "high", "words"),
    [
        (-0.0123, -0.0204, -0.0041, "−0.012 (95% CI −0.020 to −0.004), worse."),
        (0.0123, 0.0041, 0.0204, "+0.012 (95% CI +0.004 to +0.020), better."),
        (0.0023, -0.0021, 0.0067, "+0.002 (95% CI −0.002 to +0.007), no significant difference."),
        (0.0, 0.0, 0.0, "0.000 (95% CI 0.000 to 0.000), no significant difference."),
        (-0.0004, -0.0012, 0.0003, "0.000 (95% CI −0.001 to 0.000), no significant difference."),
        # An end shown as 0 would seem to say that the difference is not significant.
        (0.0011, 0.0002, 0.002, "+0.0011 (95% CI +0.0002 to +0.0020), better."),
        (-0.0004, -0.00079, -0.00001, "−0.00040 (95% CI −0.00079 to −0.00001), worse."),
    ],
)
def test_a_difference_is_put_in_words(difference: float, low: float, high: float, words: str) -> None:
    compared = {"model": "trees", "reference": "base", "difference": difference, "ci_low": low, "ci_high": high}
    assert compare_in_words(compared, MODELS) == f"Boosted trees vs. the study's network: AUC {words}"


@pytest.mark.parametrize(
    ("trees_minus_base", "grid_auc", "words"),
    [
        (
            0.02,
            0.751,
            "is outperformed by boosted trees: the AUC is higher by 0.020 (95% CI 0.014 to 0.026). No network reaches",
        ),
        (0.02, 0.78, "(95% CI 0.014 to 0.026). The AUC of the best network of the grid search is at least as high."),
        (0.003, 0.751, "There is no evidence that boosted trees would outperform the study's network."),
        (-0.02, 0.751, "There is no evidence that boosted trees would outperform the study's network."),
    ],
)
def test_a_baseline_is_said_to_outperform_the_network_if_its_advantage_is_significant(
    trees_minus_base: float, grid_auc: float, words: str
) -> None:
    aucs = {"base": 0.75, "grid": grid_auc, "trees": 0.77}
    (sentence,) = sentences(evaluated(aucs, comparison("trees", "base", trees_minus_base)))
    assert words in sentence and ("outperformed" in sentence) == (trees_minus_base == 0.02)


def test_without_baselines_nothing_is_said_of_them() -> None:
    assert sentences(evaluated({"base": 0.7})) == []


@pytest.mark.parametrize(
    ("strong_minus_trees", "words"),
    [
        (-0.001, "There is no significant difference between the strong network and boosted trees."),
        (-0.05, "No network reaches that AUC."),
    ],
)
def test_a_strong_network_that_does_as_well_as_the_trees_is_said_to(strong_minus_trees: float, words: str) -> None:
    aucs = {"base": 0.75, "strong": 0.769, "trees": 0.77}
    comparisons = comparison("trees", "base", 0.02), comparison("strong", "trees", strong_minus_trees)
    (sentence,) = sentences(evaluated(aucs, *comparisons))
    assert words in sentence


def test_a_period_within_a_day_has_hours() -> None:
    assert period({"first": "2019-10-01T00:00:05", "last": "2019-10-01T21:14"}) == (
        "2019-10-01 00:00 to 2019-10-01 21:14"
    )
