"""What the report says of each page view at which sessions are scored, where these are several."""

from collections.abc import Sequence
from typing import Any

from stages.lib.evaluation.registry import RegisteredModel
from stages.lib.reporting.curves import Estimate
from stages.lib.reporting.sentences import number

WORTHWHILE_RECALL = 0.2  # of the purchases, in the 10% ranked highest: twice that of a random 10%

View = dict[str, Any]  # of a page view, as in evaluation.json


def worth_acting_on(views: Sequence[View], model: RegisteredModel) -> str:
    """A sentence on the page view from which on the model's predictions are worth acting on.

    At that view and all later ones, the lower end of the interval of recall at 10% is at least WORTHWHILE_RECALL. A
    view without figures, whose rows are all of one class, shows no such thing.
    """
    first = None
    for view in reversed(views):
        if not view["models"] or view["models"][model.name]["recall_at_10_ci_low"] < WORTHWHILE_RECALL:
            break
        first = view["view"]
    meaning = (
        f"the lower end of the 95% interval of its recall at 10% is at least {number(WORTHWHILE_RECALL, 1)}, so that "
        "the 10% of sessions ranked highest contain at least twice as many purchases as a random 10%"
    )
    if first is None:
        return (
            f"From no listed page view on is a prediction of {model.phrase} worth acting on, that is, at no view is it "
            f"so that there and at all later ones {meaning}."
        )
    return (
        f"From page view {first} on, a prediction of {model.phrase} is worth acting on: at this view and at all later "
        f"listed ones, {meaning}."
    )


def auc_estimates(views: Sequence[View], model: RegisteredModel, style: int) -> list[Estimate]:
    """The model's AUC at each page view that has figures."""
    estimates = []
    for view in views:
        if view["models"]:
            figures = view["models"][model.name]
            ends = figures["auc_ci_low"], figures["auc_ci_high"]
            estimates.append(Estimate(f"page view {view['view']}", style, figures["auc"], *ends))
    return estimates
