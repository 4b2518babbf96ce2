"""All that the report shows, gathered from the files in metrics/."""

import math
from pathlib import Path
from typing import Any

from stages.lib.evaluation.recommended import recommend
from stages.lib.evaluation.registry import BLENDED
from stages.lib.reporting import sentences
from stages.lib.reporting.by_view import worth_acting_on
from stages.lib.reporting.grid_plot import in_most_folds, is_cut
from stages.lib.reporting.metrics_files import read_csv, read_evaluation, read_json
from stages.lib.reporting.pictures import draw_pictures
from stages.lib.reporting.profit import contact_all, profit_in_words
from stages.lib.reporting.slices import in_words, with_short_labels

GRID = "grid"  # the model that the grid search trains


def gather(metrics: Path) -> dict[str, Any]:
    """Read a folder of metrics.

    Returns:
        The variables of the templates.

    Raises:
        InputError: a file is missing or broken, or does not fit the registry of models.
    """
    data = read_json(metrics / "data.json")
    evaluation, models = read_evaluation(metrics)
    has_grid = any(model.name == GRID for model in models)
    grid = read_csv(metrics / "grid.csv", ["val_auc", "val_auc_se", "folds"]) if has_grid else None
    scores = evaluation["models"]
    views, slices, profit = (evaluation.get(name) for name in ("by_view", "slices", "profit"))
    rows = "scored page views" if views else "sessions"
    recommended = recommend(scores, models)
    pictures = draw_pictures(metrics, evaluation, models, grid, recommended)
    return {
        "data": data,
        "test": evaluation["test"],
        "scores": scores,
        "models": models,
        "networks": [model for model in models if model.is_network],
        "distilled": [model for model in models if "distillation" in scores[model.name]],
        "target_encoded": [
            *dict.fromkeys(name for of_model in scores.values() for name in of_model.get("target_encoded", []))
        ],
        "saved": [model for model in models if model.is_network or model.kind == "blend" or model.name in BLENDED],
        "constant": score_constant_prediction(evaluation["test"]),
        "headline": sentences.headline(scores[recommended.name], has_several_views=bool(views)),
        "recommendation": sentences.recommendation(scores, models),
        "by_view": views,
        "recommended": recommended,
        "worth_acting_on": worth_acting_on(views, recommended) if views else "",
        "profit": profit,
        "profit_in_words": profit_in_words(profit, recommended, rows) if profit else "",
        "contact_all": contact_all(profit) if profit else {},
        "baselines": sentences.baselines_in_words(evaluation, models),
        "comparisons": [
            {
                "words": sentences.compare_in_words(comparison, models),
                "p_value": sentences.p_value(comparison),
            }
            for comparison in evaluation["comparisons"]
        ],
        "slices": None if slices is None else with_short_labels(slices),
        "slices_in_words": [] if slices is None else in_words(slices, recommended, bool(views)),
        "grid": grid,
        "grid_auc": None if grid is None else grid["val_auc"][in_most_folds(grid)].max(),
        "grid_is_cut": grid is not None and is_cut(grid),
        "pictures": pictures,
        "importances": [model for model in models if f"importance_{model.name}" in pictures],
    }


def score_constant_prediction(test: dict[str, float]) -> dict[str, float]:
    """The metrics of predicting the purchase rate of the test set for every row.

    Args:
        test: `rows` and `purchases` of the test set.
    """
    rate = test["purchases"] / test["rows"]
    log_loss = -sum(share * math.log(share) for share in (rate, 1 - rate) if share)
    return {"average_precision": rate, "log_loss": log_loss, "brier": rate * (1 - rate)}
