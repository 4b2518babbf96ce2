"""What the report says of the profit of contacting sessions, where params say what decisions cost."""

import math
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from stages.lib.evaluation.registry import RegisteredModel
from stages.lib.reporting.sentences import percent
from stages.lib.reporting.style import RULE, WIDTH, line_style

Profit = dict[str, Any]  # of all models, as in evaluation.json
BAND_OPACITY = 0.18


def profit_in_words(profit: Profit, model: RegisteredModel, rows: str) -> str:
    """What the model's threshold earns, compared to contacting all rows and nobody; `rows` is what is contacted."""
    figures = profit["models"][model.name]
    contacted, earned = f"{percent(figures['share'])} of {rows}", f"{_with_interval(figures)} per 1,000 {rows}"
    if not figures["share"]:
        contacted, earned = f"no {rows}", "0"
    return (
        f"At the threshold, {model.phrase} would contact {contacted} and earn {earned}. "
        f"Contacting all would earn {_with_interval(contact_all(profit))}, contacting nobody 0."
    )


def contact_all(profit: Profit) -> dict[str, float]:
    """Profit and interval of contacting all rows, which are the same whatever the model."""
    curve = next(iter(profit["models"].values()))["curve"]
    return {key: curve[key][-1] for key in ("share", "profit", "ci_low", "ci_high")}


def amount(value: float) -> str:
    """An amount of money with three digits, or with as many as are before its decimal point."""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}".replace("-", "−")


def plot_profit(profit: Profit, model: RegisteredModel, style: int, rows: str) -> Figure:
    """Plot the model's profit by share of the rows with the band of its intervals, and a mark at its threshold."""
    figures = profit["models"][model.name]
    curve, look = pd.DataFrame(figures["curve"]), line_style(style)
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(0, color=RULE, linewidth=1, zorder=1)
    band = {"color": look["color"], "alpha": BAND_OPACITY, "linewidth": 0}
    axes.fill_between(curve["share"], curve["ci_low"], curve["ci_high"], **band)
    axes.plot(curve["share"], curve["profit"], linewidth=1.6, **(look | {"marker": ""}))
    axes.plot([figures["share"]], [figures["profit"]], **(look | {"linestyle": "", "markersize": 7}))
    axes.set(xlabel=f"share of {rows} contacted, most likely first", ylabel=f"profit per 1,000 {rows}", xlim=(0, 1.005))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter("{x:,g}")
    return figure


def _with_interval(figures: dict[str, float]) -> str:
    profit, low, high = (amount(figures[key]) for key in ("profit", "ci_low", "ci_high"))
    return f"{profit} (95% CI {low} to {high})"
