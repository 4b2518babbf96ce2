"""What the report says of the profit of decisions, and that it says nothing of it where no costs are given."""

import html
import json
import re
from pathlib import Path

import pytest
from metrics_folder import write_json, write_metrics

from stages.lib.evaluation.registry import MODELS
from stages.lib.reporting.profit import amount, profit_in_words
from stages.lib.reporting.render import render
from stages.lib.reporting.report import gather

TEMPLATES = ("report.html.jinja", "summary.md.jinja", "model_card.md.jinja")


def documents(folder: Path) -> dict[str, str]:
    """The words of each document, without tags."""
    variables = gather(folder) | {"simulated": False, "params": ""}
    pages = {name.split(".")[0]: render(name, variables) for name in TEMPLATES}
    return {name: " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split()) for name, page in pages.items()}


COSTS = {"contact": 1.0, "missed_purchase": 20.0}


def write_profit(folder: Path, share: float) -> Path:
    """A folder of metrics with profits, of which the best model contacts so many of the sessions."""
    content = json.loads((write_metrics(folder) / "evaluation.json").read_text())
    curve = {"share": [0, 0.5, 1], "profit": [0, 800.4, -199.7], "ci_low": [0, 700, -300], "ci_high": [0, 900, -100]}
    figures = {"share": share, "profit": 812.3 * (share > 0), "ci_low": 715.04, "ci_high": 905.0, "curve": curve}
    models = dict.fromkeys(content["models"], figures)
    write_json(folder / "evaluation.json", content | {"profit": {"costs": COSTS, "models": models}})
    return folder


def test_the_report_says_what_the_threshold_earns_compared_to_all_and_nobody(tmp_path: Path) -> None:
    pages = documents(write_profit(tmp_path, 0.123))
    sentence = (
        "At the threshold, boosted trees would contact 12.3% of sessions and earn 812 (95% CI 715 to 905) per 1,000 "
        "sessions. Contacting all would earn −200 (95% CI −300 to −100), contacting nobody 0."
    )
    assert sentence in pages["report"] and sentence in pages["summary"]
    assert "20 for each contacted session with a purchase, minus 1 for each contact" in pages["report"]
    assert "Profit by share of sessions contacted Of boosted trees" in pages["report"]
    assert "maximizes F1" not in pages["model_card"] and "a contact begins to pay" in pages["model_card"]


def test_the_report_says_if_nobody_is_contacted(tmp_path: Path) -> None:
    profit = json.loads((write_profit(tmp_path, 0) / "evaluation.json").read_text())["profit"]
    sentence = profit_in_words(profit, MODELS[0], "sessions")
    assert "the study's network would contact no sessions and earn 0. Contacting all would earn −200" in sentence


def test_without_costs_the_report_says_nothing_of_profits(tmp_path: Path) -> None:
    pages = documents(write_metrics(tmp_path))
    assert not [name for name, page in pages.items() if "profit" in page]
    assert "maximizes F1" in pages["model_card"]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.01234, "0.0123"), (-8.3, "−8.30"), (23.14, "23.1"), (123456.7, "123,457")]
)
def test_amounts_have_three_digits(value: float, text: str) -> None:
    assert amount(value) == text
