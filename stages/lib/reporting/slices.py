"""What the report says of the slices of the test set: which of them stand out, and that chance was allowed for."""

from collections.abc import Iterator
from typing import Any

from stages.lib.evaluation.registry import RegisteredModel
from stages.lib.reporting.curves import shorten
from stages.lib.reporting.sentences import number, percent

LEVEL = 0.05  # of all tests together

Slices = dict[str, Any]  # as in evaluation.json
Figures = dict[str, Any]  # of a slice


def with_short_labels(slices: Slices) -> Slices:
    """The slices with labels that fit in a table: values of a column may be as long as any text."""
    columns = [
        {**column, "slices": [{**figures, "slice": shorten(figures["slice"])} for figures in column["slices"]]}
        for column in slices["columns"]
    ]
    return {**slices, "columns": columns}


def stands_out(figures: Figures) -> bool:
    """Whether a slice differs by more than chance, in its AUC or in its calibration."""
    return any(figures.get(name, 1) < LEVEL for name in ("auc_p_holm", "calibration_p_holm"))


def in_words(slices: Slices, model: RegisteredModel, has_several_views: bool = False) -> list[str]:
    """A sentence on each significant difference, or on there being none; and one on how often was tested.

    Args:
        slices: of evaluation.json.
        model: the one whose figures they are.
        has_several_views: whether a row is one of several page views of a session.
    """
    rows = "scored page views" if has_several_views else "sessions"
    found = [sentence for column in slices["columns"] for sentence in _differences(column, rows)]
    large = [figures for column in slices["columns"] for figures in column["slices"] if "auc" in figures]
    if not large:
        return [f"No slice has {slices['min_rows']} purchases and as many other {rows}: all are too small to tell."]
    if not found:
        found = [
            f"No slice stands out: in none of {len(large)} does the AUC of {model.phrase} differ significantly from "
            f"that among all other {rows}, nor the predicted from the observed purchase rate."
        ]
    correction = (
        f"The {slices['tests']} tests are corrected for their number (Holm, {percent(LEVEL, 0)} for all together), "
        "since among so many slices a few differ by chance alone."
    )
    return [*found, correction]


def _differences(column: dict[str, Any], rows: str) -> Iterator[str]:
    for figures in column["slices"]:
        name = f"{figures['slice']} ({shorten(column['column'])})"
        if figures.get("auc_p_holm", 1) < LEVEL:
            side = "lower" if figures["auc"] < figures["auc_others"] else "higher"
            low, high = number(figures["auc_ci_low"]), number(figures["auc_ci_high"])
            yield (
                f"{name}: the AUC of {number(figures['auc'])} (95% CI {low} to {high}) is {side} than that among all "
                f"other {rows}, {number(figures['auc_others'])}."
            )
        if figures.get("calibration_p_holm", 1) < LEVEL:
            side = "low" if figures["predicted"] < figures["observed"] else "high"
            low, high = percent(figures["observed_ci_low"]), percent(figures["observed_ci_high"])
            yield (
                f"{name}: probabilities are too {side}, {percent(figures['predicted'])} on average at a purchase rate "
                f"of {percent(figures['observed'])} (95% CI {low} to {high})."
            )
