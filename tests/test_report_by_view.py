"""What the report says where sessions are scored at several page views, and that it says nothing of it elsewhere."""

import html
import json
import math
import re
from pathlib import Path

import pytest
from helpers import ROOT
from metrics_folder import MODELS, by_view, write_json, write_metrics, write_views

from stages.lib.evaluation import registry
from stages.lib.reporting.by_view import auc_estimates, worth_acting_on
from stages.lib.reporting.render import render
from stages.lib.reporting.report import gather

Documents = dict[str, str]  # by template
TEMPLATES = ("report.html.jinja", "summary.md.jinja", "model_card.md.jinja")
TREES = next(model for model in registry.MODELS if model.name == "trees")


def documents(folder: Path, simulated: bool = False) -> Documents:
    variables = gather(folder) | {"simulated": simulated, "params": ""}
    return {name.split(".")[0]: render(name, variables) for name in TEMPLATES}


def words(page: str) -> str:
    """The text of a page or a document, without tags and pictures."""
    page = re.sub("<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    """With three page views, from the second of which on a prediction is worth acting on."""
    return documents(write_views(write_metrics(tmp_path_factory.mktemp("metrics")), [0.19, 0.2, 0.31]))


# The sentence -----------------------------------------------------


@pytest.mark.parametrize(
    ("recalls", "first"),
    [
        ([0.2, 0.3, 0.4], 1),
        ([0.3, 0.19, 0.4], 5),
        ([0.3, 0.3, 0.19], None),
        ([0.1, math.nan, 0.4], 5),
        ([0.3, 0.3, math.nan], None),
    ],
)
def test_a_prediction_is_worth_acting_on_from_the_view_from_which_on_recall_is_high(
    recalls: list[float], first: int | None
) -> None:
    sentence = worth_acting_on(by_view(recalls), TREES)
    start = "From no listed page view on is" if first is None else f"From page view {first} on,"
    assert sentence.startswith(start) and "boosted trees" in sentence
    assert "at least 0.2" in sentence and "at least twice as many purchases as a random 10%" in sentence


@pytest.mark.slow
def test_the_recommended_model_is_the_one_by_view_and_else_the_best(tmp_path: Path) -> None:
    folder = write_views(write_metrics(tmp_path), [0.3, 0.3])
    assert gather(folder)["recommended"].name == "trees"
    content = json.loads((folder / "evaluation.json").read_text())
    for name, auc in (("base", 0.7), ("strong", 0.8)):
        content["models"][name]["cross_validation"] = {"auc": auc, "auc_se": 0.01}
    write_json(folder / "evaluation.json", content)
    for document in documents(folder).values():
        assert "From page view 1 on, a prediction of the strong network is worth acting on" in document


# The documents ----------------------------------------------------


def test_all_documents_have_the_figures_of_the_recommended_model_by_view(several: Documents) -> None:
    for document in several.values():
        assert "By page view" in document and "From page view 3 on, a prediction of boosted trees" in document
    row = "1 10,270 822 8.0% 0.770 0.740 to 0.800 0.230 0.200 to 0.260 0.220 0.190 to 0.250"
    assert row in words(several["report"])
    for name in ("summary", "model_card"):
        assert "| 3 | 8,270 | 821 | 9.9% | 0.780 (0.750 to 0.810) | 0.230 (0.200 to 0.260) |" in several[name]


def test_the_auc_of_all_models_is_shown_by_view(several: Documents) -> None:
    for model in registry.MODELS:
        assert model.label in words(several["report"])
    assert "study's network 0.750 0.760 0.770" in words(several["report"])
    for name in ("summary", "model_card"):
        assert "| AUC at page view | 1 | 3 | 5 |\n|---|---|---|---|\n| study's network | 0.750 |" in several[name]


def test_tables_in_markdown_have_one_row_a_line_between_empty_lines(several: Documents) -> None:
    for name in ("summary", "model_card"):
        _, part = several[name].split("## By page view\n\n")
        blocks = [block.splitlines() for block in part.split("\n\n")[:3]]
        assert [len(block) for block in blocks] == [1, 2 + 3, 2 + len(MODELS)]
        for table in blocks[1:]:
            assert len({line.count("|") for line in table}) == 1


def test_the_picture_has_a_dot_and_an_interval_for_each_view_in_the_style_of_the_model(several: Documents) -> None:
    svg = re.search('<svg[^>]*"auc_by_view-title.*?</svg>', several["report"], re.DOTALL)
    assert svg and all(f"page view {view}" in svg[0] for view in (1, 3, 5))
    estimates = auc_estimates(by_view([0.2, math.nan, 0.3]), TREES, 5)
    assert [estimate.label for estimate in estimates] == ["page view 1", "page view 5"]
    assert estimates[0].value == pytest.approx(0.77) and estimates[0].low == pytest.approx(0.74)


@pytest.mark.slow
def test_a_view_of_one_class_has_counts_but_no_figures(tmp_path: Path) -> None:
    found = documents(write_views(write_metrics(tmp_path), [math.nan, 0.3]))
    assert "1 10,270 0 0.0% – – – – – –" in words(found["report"])
    assert "| 1 | 10,270 | 0 | 0.0% | – | – | – |\n" in found["summary"]
    without = documents(write_views(tmp_path, [math.nan, math.nan]))
    assert "auc_by_view" not in without["report"] and "From no listed page view on" in without["report"]


def test_what_is_counted_are_scored_page_views_and_intervals_are_from_the_bootstrap(several: Documents) -> None:
    for document in several.values():
        assert ("DeLong" not in document and "bootstrap over visitors" in document) or "Test set" in document
    report = words(several["report"])
    for phrase in (
        "a test set of 10,270 scored page views",
        "The 10% of scored page views ranked most likely to be followed by a purchase contain 31%",
        "Sessions 20,123",
        "Scored page views 51,349",
        "8.0% of scored page views",
        "Training set 41,079 scored page views",
        "10,270 scored page views with 822 purchases, of a random sample of sessions",
        "the same test rows (bootstrap over visitors)",
    ):
        assert phrase in report, phrase
    assert "Test set: 10,270 scored page views" in several["summary"]
    assert "51,349 scored page views of 20,123 sessions, 4,112 of them (8.0%) followed by" in several["model_card"]


def test_without_several_views_nothing_is_said_of_them(tmp_path: Path) -> None:
    for document in documents(write_metrics(tmp_path)).values():
        assert "page view" not in words(document) and "bootstrap" not in document
        assert "DeLong" in document or "Test set: 10,270 sessions" in document


def test_the_committed_results_are_described_as_they_were() -> None:
    rendered = documents(ROOT / "metrics", simulated=True)
    paths = {"report": "metrics/report.html", "summary": "metrics/summary.md", "model_card": "MODEL_CARD.md"}
    for name, path in paths.items():
        committed = (ROOT / path).read_text(encoding="utf-8")
        # Params and versions of libraries come after this.
        found, expected = (words(document).split("Reproducibility")[0] for document in (rendered[name], committed))
        assert found == expected
