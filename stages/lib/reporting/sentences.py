"""What the report says of the models in words, and how it writes numbers."""

from collections.abc import Sequence
from typing import Any

from stages.lib.evaluation.recommended import rank_by_cross_validation
from stages.lib.evaluation.registry import RegisteredModel

STUDY, STRONG = "base", "strong"  # the study's network, and the one that competes with boosted trees
NO_DIFFERENCE = "no significant difference"

Metrics = dict[str, Any]  # of a model, as in evaluation.json
Comparison = dict[str, Any]  # of two models, as in evaluation.json


def headline(metrics: Metrics, has_several_views: bool = False) -> str:
    """What the best model achieves, without a full stop; with several page views, a row is a view of a session."""
    unit, end = ("scored page views", "be followed by") if has_several_views else ("sessions", "end in")
    if metrics["auc_ci_low"] <= 0.5:
        return f"No model ranks {unit} significantly better than chance"
    recall = percent(metrics["decision"]["recall_at_10"], 0)
    return f"The 10% of {unit} ranked most likely to {end} a purchase contain {recall} of all purchases"


def recommendation(scores: dict[str, Metrics], models: Sequence[RegisteredModel]) -> str:
    """Which model to use, by cross-validation on the training set; an empty text if there was none."""
    ranked = rank_by_cross_validation(scores, models)
    if not ranked:
        return ""
    (best, model), (second, runner_up), *_ = ranked
    return (
        f"Use {model.phrase}: in cross-validation on the training set, its AUC of {number(best['auc'])} ± "
        f"{number(best['auc_se'])} is the highest, ahead of {runner_up.phrase} with {number(second['auc'])}."
    )


def compare_in_words(comparison: Comparison, models: Sequence[RegisteredModel]) -> str:
    """A sentence on the difference of two models.

    It has three decimals, or as many more as it takes to show an end of a significant interval as other than 0.
    """
    phrases = {model.name: model.phrase for model in models}
    model, reference = phrases[comparison["model"]], phrases[comparison["reference"]]
    result, digits = verdict(comparison), 3
    if result != NO_DIFFERENCE:
        nearest_to_zero = min(abs(comparison["ci_low"]), abs(comparison["ci_high"]))
        while not round(nearest_to_zero, digits):
            digits += 1
    difference, low, high = (_signed(comparison[key], digits) for key in ("difference", "ci_low", "ci_high"))
    return f"{model[0].upper()}{model[1:]} vs. {reference}: AUC {difference} (95% CI {low} to {high}), {result}."


def verdict(comparison: Comparison) -> str:
    """Whether the model is better or worse than its reference, by the confidence interval of the difference."""
    if comparison["ci_low"] > 0:
        return "better"
    if comparison["ci_high"] < 0:
        return "worse"
    return NO_DIFFERENCE


def p_value(comparison: Comparison) -> str:
    """The p-value of a comparison, with three decimals."""
    return "p < 0.001" if comparison["p_value"] < 0.001 else f"p = {number(comparison['p_value'])}"


def baselines_in_words(evaluation: dict[str, Any], models: Sequence[RegisteredModel]) -> list[str]:
    """Whether baselines outperform the study's network: a sentence or two on each that does, or one if none does.

    Args:
        evaluation: the content of evaluation.json.
        models: those that are in it.

    Returns:
        Paragraphs; none if no baseline is compared to the study's network.
    """
    to_study = {one["model"]: one for one in evaluation["comparisons"] if one["reference"] == STUDY}
    compared = [model for model in models if model.kind == "baseline" and model.name in to_study]
    better = [model for model in compared if verdict(to_study[model.name]) == "better"]
    if compared and not better:
        baselines = " or ".join(model.phrase for model in compared)
        return [f"There is no evidence that {baselines} would outperform the study's network."]
    return [
        f"{_outperformed(baseline, to_study[baseline.name])} {_answer(baseline, evaluation, models)}"
        for baseline in better
    ]


def _outperformed(baseline: RegisteredModel, comparison: Comparison) -> str:
    difference, low, high = (number(comparison[key]) for key in ("difference", "ci_low", "ci_high"))
    return (
        f"The study's network is outperformed by {baseline.phrase}: the AUC is higher by {difference} "
        f"(95% CI {low} to {high})."
    )


def _answer(baseline: RegisteredModel, evaluation: dict[str, Any], models: Sequence[RegisteredModel]) -> str:
    """Whether any network does as well as a baseline that outperforms the study's network."""
    for comparison in evaluation["comparisons"]:
        pair = (comparison["model"], comparison["reference"])
        if pair == (STRONG, baseline.name) and verdict(comparison) == NO_DIFFERENCE:
            return f"There is {NO_DIFFERENCE} between the strong network and {baseline.phrase}."
    aucs = {name: metrics["auc"] for name, metrics in evaluation["models"].items()}
    as_good = [model.phrase for model in models if model.is_network and aucs[model.name] >= aucs[baseline.name]]
    if as_good:
        return f"The AUC of {' and '.join(as_good)} is at least as high."
    return "No network reaches that AUC."


def number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def percent(fraction: float, digits: int = 1) -> str:
    return f"{number(100 * fraction, digits)}%"


def period(data: dict[str, Any]) -> str:
    """The first and the last day of the data, with the time of day if they are the same day."""
    length = len("2015-01-01 00:00") if data["first"][:10] == data["last"][:10] else len("2015-01-01")
    return f"{data['first'][:length]} to {data['last'][:length]}".replace("T", " ")


def _signed(value: float, digits: int) -> str:
    """With its sign, a real minus, and no sign on what is shown as zero."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if round(value, digits) else text[1:]
