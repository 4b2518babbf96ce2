"""The report: the page, the summary and the model card show every model's figures."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers import ROOT, RunStage, WriteParams
from metrics_folder import (
    DATA,
    MODELS,
    NETWORKS,
    evaluation,
    grid_results,
    slices,
    write_csv,
    write_json,
    write_metrics,
)
from report_page import CURVES, Reader, full_page, pictures, text
from sklearn.metrics import brier_score_loss, log_loss

from stages.lib.evaluation import registry
from stages.lib.evaluation.registry import RegisteredModel
from stages.lib.reporting.report import score_constant_prediction

PAGE, SUMMARY, CARD = Path("metrics/report.html"), Path("metrics/summary.md"), Path("MODEL_CARD.md")
PATHS = ("metrics", PAGE, SUMMARY, CARD, "metrics/grid.svg")
LABELS = {model.name: model.label for model in registry.MODELS}

Write = Callable[[], tuple[str, str]]


@pytest.fixture
def folder(workdir: Path, write_params: WriteParams) -> Path:
    write_params()
    return write_metrics(workdir / "metrics")


@pytest.fixture
def write_report(folder: Path, run_stage: RunStage) -> Write:
    """write_report(): the page and the summary that the stage writes for the present content of the folder."""

    def write() -> tuple[str, str]:
        ran = run_stage("report", *PATHS)
        assert ran.code == 0, ran.err
        return PAGE.read_text(encoding="utf-8"), SUMMARY.read_text(encoding="utf-8")

    return write


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return full_page(tmp_path_factory.mktemp("metrics"))


def change_scores(folder: Path, name: str, **changes: Any) -> None:
    content = json.loads((folder / "evaluation.json").read_text())
    content["models"][name] |= changes
    write_json(folder / "evaluation.json", content)


def test_the_headline_is_about_the_best_model(page: str) -> None:
    headline = "The 10% of sessions ranked most likely to end in a purchase contain 31% of all purchases."
    assert f"<h1>{headline}</h1>" in page
    assert "The best of 7 models, boosted trees" in text(page)
    assert "77% of cases (95% CI 76% to 78%;" in text(page)


def test_the_page_describes_the_data(page: str) -> None:
    section = Reader(page).sections["Data"]
    for fact in ("51,349", "4,112", "8.0%", "2015-01-01 to 2015-12-31", "95 columns", "2.1%", "study's network 125",
                 "strong network 711", "41,079", "10,270 sessions with 822 purchases",
                 "31 test sessions (0.30%)"):  # fmt: skip
        assert fact in section, fact
    assert "0123456789abcdef" in text(page)


def test_the_page_says_what_was_left_out_of_the_data(folder: Path, write_report: Write) -> None:
    assert "no row, column or value was left out" in text(write_report()[0])
    finding = {
        "what": "events of other names",
        "count": 1200,
        "example": "<b>swipe</b>",
        "hint": "prepare.clicks.events",
    }
    write_json(folder / "data.json", DATA | {"left_out": [finding]})
    page = write_report()[0]
    assert "events of other names: 1,200, such as <b>swipe</b> (prepare.clicks.events)" in html.unescape(text(page))
    assert "&lt;b&gt;swipe" in page


def test_the_page_and_the_card_name_the_columns_that_are_target_encoded(folder: Path, write_report: Write) -> None:
    assert "Target encoding" not in write_report()[0] + CARD.read_text()
    content = evaluation()
    for name, columns in ((NETWORKS[0], ["city"]), (NETWORKS[-1], ["city", "<b>code"])):
        content["models"][name]["target_encoded"] = columns
    write_json(folder / "evaluation.json", content)
    page, _ = write_report()
    assert "<code>city</code>, <code>&lt;b&gt;code</code>: of many categories" in page
    assert "Target encoding: the infrequent categories of `city`, `<b>code` share an input" in CARD.read_text()


def test_the_card_says_what_learned_from_trees(folder: Path, write_report: Write) -> None:
    write_report()
    assert "distillation" not in CARD.read_text()
    content = evaluation()
    content["models"]["strong"]["distillation"] = 0.75
    write_json(folder / "evaluation.json", content)
    write_report()
    expected = "what the strong network learned to predict, targets are 25% and the probabilities of boosted trees 75%"
    assert expected in CARD.read_text()


def test_every_auc_has_its_interval_and_every_accuracy_that_of_the_majority_class(page: str) -> None:
    rows = re.findall(r"<tr[^>]*><th scope=.row.>([^<]+)</th><td>0.7.*?</tr>", page)
    assert [row.replace("&#39;", "'") for row in rows] == [LABELS[name] for name in MODELS]
    assert page.count("<td>91.3%</td><td>92.0%</td>") == len(MODELS)
    assert "<td>0.770</td><td>0.756 to 0.784</td>" in page


def test_models_are_compared_in_words(page: str) -> None:
    section = Reader(page).sections["Model comparison"]
    for sentence in (
        "The best network of the grid search vs. the study's network: AUC +0.001 (95% CI −0.005 to +0.007), "
        "no significant difference.",
        "The network with SMOTE vs. the study's network: AUC −0.010 (95% CI −0.016 to −0.004), worse.",
        "Boosted trees vs. the study's network: AUC +0.020 (95% CI +0.014 to +0.026), better.",
        "The strong network vs. boosted trees: AUC −0.010 (95% CI −0.016 to −0.004), worse.",
    ):
        assert sentence in section
    assert "p < 0.001" in section and "not corrected for the 7 comparisons" in section


def test_slices_are_shown_with_what_stands_out_and_what_is_too_small(page: str) -> None:
    section = " ".join(Reader(page).sections["Slices"].split())
    assert "Jan (month): the AUC of 0.600 (95% CI 0.550 to 0.650) is lower than that among all other" in section
    assert "Jan 3,000 250 0.600 0.550 to 0.650 8.0% 9.0% 7.0% to 11.0%" in section and "rare 120 3 too small" in section
    svg = pictures(page)["slices"]
    assert "fewer than 20 purchases" in svg and "&lt;b&gt;&amp;" in svg
    assert "tests are corrected for their number (Holm" in section


def test_without_slices_all_documents_say_so_or_nothing(folder: Path, write_report: Write) -> None:
    page, summary = write_report()
    assert "evaluate.slices in params.yaml names no column" in text(page) and "slice" not in summary
    assert "not evaluated by slices" in CARD.read_text(encoding="utf-8")
    write_json(folder / "evaluation.json", evaluation() | {"slices": slices()})
    _, summary = write_report()
    sentence = "Jan (month): the AUC of 0.600"
    assert sentence in summary and sentence in CARD.read_text(encoding="utf-8")
    assert "not evaluated by slices" not in CARD.read_text(encoding="utf-8")


def test_a_constant_prediction_scores_as_scikit_learn_computes_it() -> None:
    targets = np.repeat([0, 1], [70, 30])
    scores = score_constant_prediction({"rows": 100, "purchases": 30})
    assert scores["log_loss"] == pytest.approx(log_loss(targets, np.full(100, 0.3)))
    assert scores["brier"] == pytest.approx(brier_score_loss(targets, np.full(100, 0.3)))


def test_the_same_metrics_give_the_same_bytes_in_another_process(folder: Path, write_report: Write) -> None:
    first = write_report()
    shutil.rmtree(folder)
    write_metrics(folder)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-m", "stages.report", *PATHS], env=environment, check=True)
    assert (PAGE.read_text(encoding="utf-8"), SUMMARY.read_text(encoding="utf-8")) == first


def test_the_page_shows_params_yaml_with_its_comments_and_without_runtime(folder: Path, write_report: Write) -> None:
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    page, _ = write_report()
    (shown,) = re.findall("<pre[^>]*>(.*?)</pre>", page, re.DOTALL)
    assert yaml.safe_load(html.unescape(shown)) == {
        name: section for name, section in yaml.safe_load(Path("params.yaml").read_text()).items() if name != "runtime"
    }
    assert "#" in shown


def test_the_summary_is_a_table_the_comparisons_and_three_lines(write_report: Write) -> None:
    _, summary = write_report()
    table, comparisons = summary.count("\n|"), summary.count("\n- ")
    assert (table, comparisons) == (2 + len(MODELS), 7)
    assert len([line for line in summary.splitlines() if line]) - table - comparisons <= 3
    assert "| boosted trees | 0.770 (0.756 to 0.784) |" in summary
    assert "31% of all purchases** (boosted trees). The data is simulated." in summary
    assert "- The network with SMOTE vs. the study's network: AUC −0.010" in summary
    assert "The study's network is outperformed by boosted trees" in summary


def test_the_card_has_the_saved_models_and_their_limitations(
    folder: Path, write_report: Write, write_params: WriteParams
) -> None:
    write_report()
    card = CARD.read_text(encoding="utf-8")
    assert "| strong network (`models/strong`) | 711 | 0.760 (0.746 to 0.774) |" in card
    assert "(`models/trees`) | – |" in card and "(`models/blend`) | – |" in card and "models/logistic" not in card
    assert "**The data is simulated.**" in card and "## Intended use" in card and "## Limitations" in card
    assert "are off by" not in card and "`<b>&` (AUC 0.931 on its own)" in card
    change_scores(folder, "smote", ece=0.3)
    write_report()
    assert "`models/smote` are off by 0.30 on average" in CARD.read_text(encoding="utf-8")
    write_params(**{"prepare.source": "data/raw/shop.csv"})
    write_report()
    assert "simulated" not in CARD.read_text(encoding="utf-8")


def test_the_model_that_ranks_highest_in_cross_validation_is_recommended_whatever_the_test_set_says(
    folder: Path, write_report: Write
) -> None:
    write_report()
    assert "in cross-validation on the training set, its AUC" not in CARD.read_text(encoding="utf-8")
    change_scores(folder, "base", auc=0.9, cross_validation={"auc": 0.75, "auc_se": 0.002})
    change_scores(folder, "strong", auc=0.6, cross_validation={"auc": 0.76, "auc_se": 0.003})
    write_report()
    sentence = (
        "Use the strong network: in cross-validation on the training set, its AUC of 0.760 ± 0.003 is the highest, "
        "ahead of the study's network with 0.750."
    )
    assert sentence in CARD.read_text(encoding="utf-8")


def test_only_simulated_data_is_called_simulated(write_report: Write, write_params: WriteParams) -> None:
    assert all("The data is simulated" in document for document in write_report())
    write_params(**{"prepare.source": "data/raw/own.csv"})
    for document in write_report():
        assert "simulated" not in re.sub("<details>.*", "", document, flags=re.DOTALL)


def test_a_page_of_one_model_without_times_importances_or_a_grid(folder: Path, write_report: Write) -> None:
    shutil.rmtree(folder)
    write_metrics(folder, ["base"])
    shutil.rmtree(folder / "importance")
    write_json(folder / "data.json", {key: DATA[key] for key in DATA if key not in ("first", "last", "suspects")})
    page, summary = write_report()
    assert set(pictures(page)) == {"aucs", "gains", *CURVES, "loss"}
    assert "The model, the study's network" in text(page)
    headings = set(Reader(page).sections)
    assert "Performance" in headings and not headings & {"Model comparison", "Feature importance", "Grid search"}
    for absent in ("leak the target", "Period", "outperform"):
        assert absent not in text(page), absent
    assert summary.count("\n|") == 3


def test_without_validation_folds_there_are_no_importances(folder: Path, write_report: Write) -> None:
    for name in ("base", "grid", "strong"):
        write_csv(folder / "importance" / f"{name}.csv", pd.DataFrame(columns=["column", "importance", "se"]))
    assert "Feature importance" not in Reader(write_report()[0]).sections


def test_a_model_that_is_new_in_the_registry_is_shown_everywhere(
    folder: Path, write_report: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = RegisteredModel("new", "<u>", "the new model", kind="baseline")
    monkeypatch.setattr(registry, "MODELS", (*registry.MODELS, new))
    write_metrics(folder, [*MODELS, "new"])
    page, summary = write_report()
    assert page.index("&lt;u&gt;</th>") > page.index("boosted trees</th>") and "<u>" not in page
    svgs = pictures(page)
    assert all("&lt;u&gt;" in svgs[name] for name in ("aucs", *CURVES)) and "&lt;u&gt;" not in svgs["loss"]
    assert "| <u> |" in summary


def test_the_spread_over_seeds_is_shown_where_there_is_one(folder: Path, write_report: Write) -> None:
    assert "over seeds" not in text(write_report()[0])
    for name in MODELS:
        change_scores(folder, name, auc_seeds_mean=0.7491, auc_seeds_std=0.0023)
    assert "0.749 ± 0.002" in text(write_report()[0])


def test_validation_losses_are_drawn(folder: Path, write_report: Write) -> None:
    losses = pd.read_csv(folder / "loss.csv")
    write_csv(folder / "loss.csv", losses.assign(base_val=[np.nan] * 9 + [0.4]))
    assert "study's network, validation" in pictures(write_report()[0])["loss"]


def test_the_page_says_which_points_of_a_large_grid_it_shows(folder: Path, write_report: Write) -> None:
    write_csv(folder / "grid.csv", grid_results({"l2": [number / 100 for number in range(200)]}))
    page = text(write_report()[0])
    assert "The grid has 200 points; the best 30 are shown" in page and "did not train it" not in page


def test_the_best_point_on_the_page_is_one_that_all_folds_trained(folder: Path, write_report: Write) -> None:
    results = grid_results({"l2": [0.0, 0.1, 0.2]}).assign(folds=[5, 5, 1])
    write_csv(folder / "grid.csv", results)
    page = text(write_report()[0])
    assert "The highest is 0.7250 among 3 points" in page and "the other folds did not train it" in page


@pytest.mark.parametrize(
    "path", ["evaluation.json", "data.json", "grid.csv", *(f"{name}.csv" for name in CURVES), "loss.csv"]
)
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00{"])
def test_a_file_that_is_missing_or_broken_is_one_line(
    path: str, content: bytes | None, folder: Path, run_stage: RunStage
) -> None:
    PAGE.write_text("as before")
    (folder / path).unlink()
    if content is not None:
        (folder / path).write_bytes(content)
    assert f"metrics/{path}" in run_stage("report", *PATHS).error
    assert PAGE.read_text() == "as before"


def test_a_curve_without_a_model_is_one_line(folder: Path, run_stage: RunStage) -> None:
    write_csv(folder / "roc.csv", pd.read_csv(folder / "roc.csv").drop(columns="trees"))
    assert "metrics/roc.csv: no column 'trees'" in run_stage("report", *PATHS).error


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"base": {}, "unknown": {}}, "unknown model 'unknown'"),
        ({"trees": evaluation()["models"]["trees"]}, "no network"),
    ],
)
def test_an_evaluation_that_does_not_fit_the_registry_is_one_line(
    models: dict[str, Any], message: str, folder: Path, run_stage: RunStage
) -> None:
    write_json(folder / "evaluation.json", evaluation() | {"models": models})
    assert f"metrics/evaluation.json: {message}" in run_stage("report", *PATHS).error
