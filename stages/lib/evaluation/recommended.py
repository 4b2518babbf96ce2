"""The model to use: the one that ranks highest in cross-validation on the training set."""

from collections.abc import Sequence
from typing import Any

from stages.lib.evaluation.registry import RegisteredModel


def rank_by_cross_validation(
    scores: dict[str, dict[str, Any]], models: Sequence[RegisteredModel]
) -> list[tuple[dict[str, Any], RegisteredModel]]:
    """The models with the highest AUC first, each with its figures; none if fewer than two were cross-validated."""
    validated = [
        (scores[model.name]["cross_validation"], model) for model in models if "cross_validation" in scores[model.name]
    ]
    return sorted(validated, key=lambda pair: -pair[0]["auc"]) if len(validated) > 1 else []


def recommend(scores: dict[str, dict[str, Any]], models: Sequence[RegisteredModel]) -> RegisteredModel:
    """The model that ranks highest in cross-validation or, where there was none, on the test set."""
    best = max(models, key=lambda model: scores[model.name]["auc"])
    return next((model for _, model in rank_by_cross_validation(scores, models)), best)
