"""The report: what it says, that it says it of every model and only if it is so, and that it needs nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import RunStage, WriteParams
from sklearn.metrics import brier_score_loss, log_loss

from stages.lib.reporting import plots
from stages.lib.reporting.report import (
    NAMES,
    NETWORKS,
    _importances,
    constant,
    filled,
    gather,
    headline,
    period,
    references_in_words,
)

ROOT = Path(__file__).parents[1]
MODELS = ("base", "grid", "smote", "strong", "logistic", "trees")
PATHS = ("metrics", "metrics/report.html", "metrics/summary.md", "MODEL_CARD.md", "metrics/grid.svg")
AUCS = {"base": 0.75, "grid": 0.751, "smote": 0.74, "strong": 0.76, "logistic": 0.745, "trees": 0.77}
DATA = {
    "rows": 51349, "purchases": 4112, "rate": 0.080079, "missing_share": 0.0213, "features": 95, "inputs": 125,
    "train_rows": 41079, "test_rows": 10270, "duplicates_across": 31, "first": "2015-01-01T00:03:12",
    "last": "2015-12-31T23:58:41", "fingerprint": "0123456789abcdef", "split_by": "target",
    "suspects": {"<b>&": 0.9312},
}  # fmt: skip
FIGURES = {
    "accuracy": 0.913, "accuracy_of_no": 0.919961, "average_precision": 0.23, "log_loss": 0.25, "brier": 0.07,
    "calibration_error": 0.01,
}  # fmt: skip
DECISION = {
    "threshold": 0.144, "balanced_accuracy": 0.65, "f1": 0.28, "precision": 0.22, "recall": 0.41, "lift_top_5": 3.8,
    "captured_top_5": 0.19, "lift_top_10": 3.1, "captured_top_10": 0.314, "lift_top_20": 2.5, "captured_top_20": 0.5,
}  # fmt: skip


def difference(value: float, half: float = 0.006) -> dict[str, float]:
    return {"difference": value, "low": value - half, "high": value + half, "p_value": 0.00001 if value else 1.0}


def write(path: Path, content: dict | pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        path.write_text(json.dumps(content))
    else:
        content.to_csv(path, index=False, float_format="%.6f")


def change(path: Path, key: str, value: object) -> None:
    content = json.loads(path.read_text())
    write(path, content | {key: value})


def fabricate(folder: Path, models: tuple[str, ...] = MODELS) -> Path:
    """A folder of metrics with these models, curves of as many points as real ones have."""
    share = np.linspace(0, 1, 200)
    scores = {
        name: FIGURES | {"auc": auc, "auc_low": auc - 0.014, "auc_high": auc + 0.014} for name, auc in AUCS.items()
    }
    scores = {name: scores[name] for name in models}
    scores |= {f"{name}_minus_base": difference(AUCS[name] - AUCS["base"]) for name in models if name != "base"}
    if "strong" in models:
        scores["strong_minus_trees"] = difference(AUCS["strong"] - AUCS["trees"])
    write(folder / "scores.json", scores | {"test": {"rows": 10270, "purchases": 822, "accuracy_of_no": 0.919961}})
    write(folder / "decisions.json", dict.fromkeys(models, DECISION))
    write(folder / "data.json", DATA)
    for place, name in enumerate(models):
        captured = share ** (0.4 + 0.02 * place)
        tables = {
            "roc": {"fpr": share, "tpr": captured},
            "precision_recall": {"recall": share, "precision": 0.4 - 0.3 * share},
            "lift": {"share": share[1:], "captured": captured[1:], "lift": captured[1:] / share[1:]},
            "reliability": {"predicted": share[:100:10], "observed": share[:100:10] ** 1.1, "rows": 1027},
        }
        if name in NETWORKS:
            tables["loss"] = {"epoch": range(1, 11), "loss": [1 / (1 + epoch) for epoch in range(10)]}
        for folder_name, columns in tables.items():
            write(folder / folder_name / f"{name}.csv", pd.DataFrame(columns))
    if "grid" in models:
        write(folder / "grid.csv", grid({"learning_rate": [0.00001, 0.0001], "batch_size": [24, 48]}))
    for name in {"base", "grid", "strong"} & set(models):
        columns = ["<b>&", *(f"column {number}" for number in range(1, 20))]
        importances = pd.DataFrame({"column": columns, "importance": np.linspace(0.02, 0, 20), "se": 0.001})
        write(folder / "importance" / f"{name}.csv", importances)
    return folder


def grid(values: dict[str, list]) -> pd.DataFrame:
    points = pd.MultiIndex.from_product(values.values(), names=values).to_frame(index=False)
    figures = {"val_auc": np.linspace(0.7, 0.75, len(points)), "val_auc_se": 0.0041, "val_loss": 0.3, "loss": 0.3}
    return points.assign(**figures, epochs=points.get("epochs", 10))


@pytest.fixture
def folder(project: Path, write_params: WriteParams) -> Path:
    write_params()
    return fabricate(project / "metrics")


@pytest.fixture
def written(folder, run_stage: RunStage):
    """written(): the page and the summary that the stage writes of the folder as it then is."""

    def run() -> tuple[str, str]:
        ran = run_stage("report", *PATHS)
        assert ran.code == 0, ran.err
        return Path(PATHS[1]).read_text(encoding="utf-8"), Path(PATHS[2]).read_text(encoding="utf-8")

    return run


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The whole page, of a folder with everything in it."""
    content = gather(fabricate(tmp_path_factory.mktemp("metrics")))
    return filled("report.html.jinja", content | {"simulated": True, "params": "seed: 42  # <i>\n"})


class Reader(HTMLParser):
    """A page's tags, and its text by the heading it stands below."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.below: dict[str, str] = {"": ""}
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag

    def handle_data(self, data):
        if self.inside in ("h2", "h3") and data.strip():
            self.below[data] = ""
        elif self.inside != "style":
            self.below[list(self.below)[-1]] += f"{data} "

    def handle_endtag(self, tag):
        self.inside = ""


def text(page: str) -> str:
    return " ".join(" ".join(Reader(page).below.values()).split())


def drawn(page: str) -> dict[str, str]:
    """The page's SVGs by name."""
    return {svg[1]: svg[0] for svg in re.finditer(r'<svg[^>]*aria-labelledby="(\w+)-title.*?</svg>', page, re.DOTALL)}


def test_the_headline_is_the_best_models_in_words(page) -> None:
    assert "<h1>The likeliest 10% of sessions hold 31% of the purchases.</h1>" in page
    assert "The best of 6 models, boosted trees" in text(page)
    assert "77% of cases (95% interval 76% to 78%;" in text(page)


def test_a_model_that_is_no_better_than_a_coin_is_no_headline() -> None:
    decision = {"captured_top_10": 0.2}
    assert headline({"auc_low": 0.499}, decision).startswith("No model is shown")
    assert "20%" in headline({"auc_low": 0.501}, decision)


def test_the_page_says_what_the_data_is(page) -> None:
    facts = Reader(page).below["The data"]
    for fact in ("51,349", "4,112", "8.0%", "2015-01-01 to 2015-12-31", "95 columns", "2.1%", "125 inputs", "41,079",
                 "10,270 sessions with 822 purchases", "31 test sessions (0.30%)"):  # fmt: skip
        assert fact in facts, fact
    assert "0123456789abcdef" in text(page)


def test_a_period_within_a_day_has_hours() -> None:
    assert period({"first": "2019-10-01T00:00:05", "last": "2019-10-01T21:14"}) == (
        "2019-10-01 00:00 to 2019-10-01 21:14"
    )


def test_every_score_stands_with_its_interval_and_accuracy_beside_that_of_no(page) -> None:
    rows = re.findall(r"<tr><th scope=.row.>([^<]+)</th><td>0.7.*?</tr>", page)
    assert [row.replace("&#39;", "'") for row in rows] == [NAMES[name] for name in MODELS]
    assert page.count("<td>91.3%</td><td>92.0%</td>") == len(MODELS)
    assert "<td>0.770</td><td>0.756 to 0.784</td>" in page


def test_differences_are_told_in_words(page) -> None:
    told = Reader(page).below["One against another"]
    for sentence in (
        "Tuning by the grid changes AUC by +0.001 (−0.005 to +0.007): not told apart.",
        "SMOTE changes AUC by −0.010 (−0.016 to −0.004): worse.",
        "Taking boosted trees instead of the study's network changes AUC by +0.020 (+0.014 to +0.026): better.",
        "Taking the strong network instead of boosted trees changes AUC by −0.010 (−0.016 to −0.004): worse.",
    ):
        assert sentence in told
    assert "p < 0.001" in told and "corrected for there being 6" in told


@pytest.mark.parametrize(
    ("trees", "best_network", "said"),
    [
        (
            difference(0.02),
            0.751,
            "is beaten by boosted trees: the AUC is higher by 0.020 (0.014 to 0.026). No network",
        ),
        (difference(0.02), 0.78, "(0.014 to 0.026). The AUC of the grid's winner is not lower."),
        (difference(0.003), 0.751, "Nothing shows that boosted trees would beat the study's network."),
        (difference(-0.02), 0.751, "Nothing shows that boosted trees would beat the study's network."),
    ],
)
def test_trees_that_beat_the_network_are_told_so_and_no_others(trees, best_network, said) -> None:
    aucs = {"base": 0.75, "grid": best_network, "trees": 0.77}
    scores = {name: {"auc": auc} for name, auc in aucs.items()} | {"trees_minus_base": trees}
    (sentence,) = references_in_words(scores, list(aucs))
    assert said in sentence and ("beaten" in sentence) == (trees["low"] > 0)


def test_without_references_nothing_is_said_of_them() -> None:
    assert references_in_words({"base": {"auc": 0.7}}, ["base"]) == []


def test_one_probability_for_all_scores_what_scikit_learn_says() -> None:
    targets = np.repeat([0, 1], [70, 30])
    found = constant({"rows": 100, "purchases": 30})
    assert found["log_loss"] == pytest.approx(log_loss(targets, np.full(100, 0.3)))
    assert found["brier"] == pytest.approx(brier_score_loss(targets, np.full(100, 0.3)))


def test_every_model_is_in_every_curve_and_told_apart_by_more_than_colour(page) -> None:
    svgs = drawn(page)
    assert {"aucs", "roc", "precision_recall", "reliability", "lift", "loss", "grid"} <= set(svgs)
    for name in ("aucs", "roc", "precision_recall", "reliability", "lift", "loss"):
        for style, model in enumerate(MODELS if name != "loss" else NETWORKS):
            assert f"var(--line-{style})" in svgs[name]
            assert NAMES[model] in svgs[name].replace("&#39;", "'")
    dashes = {
        re.search(rf"stroke-dasharray: ([^;]*);[^\"]*var\(--line-{style}\)", svgs["roc"]) for style in range(1, 6)
    }
    assert len({dash[1] for dash in dashes}) == 5


def test_pictures_are_in_the_pages_colours_and_font_and_say_what_they_show(page) -> None:
    for name, svg in drawn(page).items():
        assert "currentColor" in svg and "<text" in svg
        assert "font-family" not in svg and "DejaVu" not in svg
        assert not re.search("#(?!000000)[0-9a-f]{6}", svg), name
        assert re.search(rf'<title id="{name}-title">\S.*<desc id="{name}-description">\S', svg, re.DOTALL)
    for style, (light, dark) in enumerate(plots.PALETTE):
        assert f"--line-{style}: {light};" in page and f"--line-{style}: {dark};" in page


def test_the_page_needs_nothing_from_elsewhere(page) -> None:
    assert not re.search(r"https?:|<script|\ssrc=|@import|\son\w+=|url\((?!#)", page)
    tags = Reader(page).tags
    links = [attributes["href"] for _, attributes in tags if attributes.get("href")]
    assert all(link.startswith(("#", "data:,")) for link in links)
    assert len(page.encode()) < 400_000


def test_ids_are_there_once_and_whatever_refers_to_them_finds_them(page) -> None:
    tags = Reader(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r'(?:href="|url\()#([^")]+)', page))
    referred |= {one for _, attributes in tags for one in (attributes.get("aria-labelledby") or "").split()}
    assert referred and referred <= set(ids)
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")


def test_what_comes_from_the_data_is_escaped(page) -> None:
    assert "<b>" not in page and "<i>" not in page
    assert "&lt;b&gt;&amp;" in drawn(page)["importance_base"]
    assert "<code>&lt;b&gt;&amp;</code> reaches an AUC of 0.931" in page
    assert "seed: 42  # &lt;i&gt;" in page


def test_the_same_inputs_give_the_same_bytes_in_another_process(folder, written) -> None:
    first = written()
    shutil.rmtree(folder)
    fabricate(folder)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-m", "stages.report", *PATHS], env=environment, check=True)
    assert (Path(PATHS[1]).read_text(encoding="utf-8"), Path(PATHS[2]).read_text(encoding="utf-8")) == first


def test_a_strong_network_that_is_not_told_apart_from_trees_is_said_to_be() -> None:
    aucs = {"base": 0.75, "strong": 0.769, "trees": 0.77}
    scores = {name: {"auc": auc} for name, auc in aucs.items()} | {"trees_minus_base": difference(0.02)}
    for change, said in ((-0.001, "not told apart from boosted trees"), (-0.05, "No network comes up")):
        (sentence,) = references_in_words(scores | {"strong_minus_trees": difference(change)}, [*aucs])
        assert said in sentence


def test_the_summary_is_a_table_the_comparisons_and_three_lines(written) -> None:
    _, summary = written()
    table, told = summary.count("\n|"), summary.count("\n- ")
    assert (table, told) == (2 + len(MODELS), 6)
    assert len([line for line in summary.splitlines() if line]) - table - told <= 3
    assert "| boosted trees | 0.770 (0.756 to 0.784) |" in summary
    assert "31% of the purchases** (boosted trees). The data is simulated." in summary
    assert "- SMOTE changes AUC by −0.010" in summary and "beaten by boosted trees" in summary
    assert "study's network" in summary


def test_the_card_says_for_the_saved_models_what_they_are_worth_and_not_for(
    folder, written, write_params: WriteParams
) -> None:
    written()
    card = Path(PATHS[3]).read_text(encoding="utf-8")
    assert "| strong network (`models/strong`) | 0.760 (0.746 to 0.774) |" in card and "models/trees" not in card
    assert "**The data is simulated.**" in card and "## Intended use" in card and "## Limits" in card
    assert "are off by" not in card and "`<b>&` (AUC 0.931 alone)" in card
    scores = json.loads((folder / "scores.json").read_text())
    change(folder / "scores.json", "smote", scores["smote"] | {"calibration_error": 0.3})
    written()
    assert "`models/smote` are off by 0.30 on average" in Path(PATHS[3]).read_text(encoding="utf-8")
    write_params(**{"prepare.source": "data/raw/shop.csv"})
    written()
    assert "simulated" not in Path(PATHS[3]).read_text(encoding="utf-8")


def test_only_simulated_data_is_called_so(folder, written, write_params: WriteParams) -> None:
    assert all("The data is simulated" in one for one in written())
    write_params(**{"prepare.source": "data/raw/own.csv"})
    assert not any("simulated" in re.sub("<details>.*", "", one, flags=re.DOTALL) for one in written())


def test_a_page_of_one_model_without_times_importances_or_a_grid(folder, written) -> None:
    shutil.rmtree(folder)
    fabricate(folder, ("base",))
    shutil.rmtree(folder / "importance")
    write(folder / "data.json", {key: DATA[key] for key in DATA if key not in ("first", "last", "suspects")})
    page, summary = written()
    assert set(drawn(page)) == {"aucs", "roc", "precision_recall", "reliability", "lift", "loss"}
    assert "The model, the study's network" in text(page)
    for absent in ("Against", "give the answer away", "From when", "What matters", "The grid", "beat"):
        assert absent not in text(page), absent
    assert summary.count("\n|") == 3


def test_models_that_are_not_known_come_last_under_their_own_name(folder, written) -> None:
    scores = json.loads((folder / "scores.json").read_text())
    write(folder / "scores.json", {"<u>": scores["base"] | {"auc": 0.7}} | scores)
    change(folder / "decisions.json", "<u>", DECISION)
    for curve in ("roc", "precision_recall", "reliability", "lift"):
        shutil.copy(folder / curve / "base.csv", folder / curve / "<u>.csv")
    page, _ = written()
    assert page.index("&lt;u&gt;</th>") > page.index("boosted trees</th>") and "<u>" not in page
    assert "var(--line-5)" in drawn(page)["roc"] and "var(--line-5)" not in drawn(page)["loss"]


def test_the_spread_over_seeds_is_shown_where_there_is_one(folder, written) -> None:
    assert "other seeds" not in text(written()[0])
    scores = json.loads((folder / "scores.json").read_text())
    for name in MODELS:
        scores[name] |= {"auc_seeds_mean": 0.7491, "auc_seeds_sd": 0.0023}
    write(folder / "scores.json", scores)
    assert "0.749 ± 0.002" in text(written()[0])


def test_losses_on_validation_rows_are_drawn(folder, written) -> None:
    table = pd.read_csv(folder / "loss" / "base.csv").assign(val_loss=[np.nan] * 9 + [0.4])
    write(folder / "loss" / "base.csv", table)
    assert "study's network, validation" in drawn(written()[0])["loss"].replace("&#39;", "'")


def test_a_grid_that_is_too_large_is_cut_to_its_best_points(folder, written) -> None:
    layers = ["[80, 40, 10]", "[128, 64]", "[64]", "[8]", "[9]"]
    values = {"learning_rate": [number / 10000 for number in range(1, 6)], "layers": layers}
    values |= {"batch_size": [24, 48], "dropout": [0.0, 0.1, 0.2, 0.3]}
    write(folder / "grid.csv", grid(values))
    page, _ = written()
    svg = drawn(page)["grid"]
    assert svg.count("±") == plots.MOST_DOWN and ">0.7500 ± 0.0041<" in svg and ">0.7000" not in svg
    assert "The grid has 200 points; the best 30 are shown" in text(page)


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": [0.0001, 0.001], "batch_size": [24]},
        {"epochs": [5, 10]},
        {"learning_rate": [0.0000001, 0.0000002]},
        {"l2": [number / 100 for number in range(12)]},
    ],
)
def test_every_point_of_a_small_grid_is_shown_with_its_error(values, tmp_path: Path) -> None:
    write(tmp_path / "grid.csv", grid(values))
    read = pd.read_csv(tmp_path / "grid.csv")
    svg = plots.inline(plots.grid(read), "grid").body
    assert not plots.is_cut(read)
    assert all(f"{auc:.4f}" in svg for auc in read.val_auc)
    places = re.findall('x="([^"]+)" y="([^"]+)"[^>]*>[^<]*± 0.0041<', svg)
    assert len(set(places)) == len(places) == len(read)
    assert ("epochs" in svg) == ("epochs" in values)


def test_a_grid_without_errors_has_no_sign_of_them() -> None:
    results = grid({"learning_rate": [0.1, 0.2]})
    for without in (results.drop(columns="val_auc_se"), results.assign(val_auc_se=np.nan)):
        assert "±" not in plots.inline(plots.grid(without), "grid").body


@pytest.mark.parametrize("name", ["$price$, $tax$", "価格", "a\nb\x1bc", "x" * 200, "_hidden", "NA"])
def test_any_column_name_can_be_drawn(name, tmp_path: Path) -> None:
    write(tmp_path / "base.csv", pd.DataFrame({"column": [name, "b"], "importance": [0.1, 0.0], "se": 0.01}))
    rows = _importances(tmp_path / "base.csv", 0)
    body = plots.inline(plots.dots(rows, "fall in AUC"), "importance").body
    assert f">{plots.shortened(name)}<" in body and len(plots.shortened(name)) <= 30


@pytest.mark.parametrize(
    "path",
    ["scores.json", "decisions.json", "data.json", "grid.csv", "roc/trees.csv", "lift/base.csv", "loss/smote.csv"],
)
@pytest.mark.parametrize("broken", [None, b"", b"\xff\xfe\x00{"])
def test_a_file_that_is_missing_or_broken_is_one_line(path, broken, folder, run_stage: RunStage) -> None:
    Path(PATHS[1]).write_text("as before")
    (folder / path).unlink()
    if broken is not None:
        (folder / path).write_bytes(broken)
    assert f"metrics/{path}" in run_stage("report", *PATHS).error
    assert Path(PATHS[1]).read_text() == "as before"


def test_files_that_do_not_fit_together_are_one_line(folder, run_stage: RunStage) -> None:
    write(folder / "decisions.json", {"base": DECISION})
    assert "decisions.json" in run_stage("report", *PATHS).error
