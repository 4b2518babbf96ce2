"""The whole pipeline with sessions that are scored at several page views, from the click log to scores of a new one."""

import subprocess

import pandas as pd
import pytest
from checkout import TINY, Checkout

from stages.lib.dataset.sessions import Sessions, read_sessions
from stages.lib.evaluation.registry import MODELS

VIEWS = [1, 3, 5]
KEYS = ["session", "visitor", "time", "view"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Nobody reaches the last view."""
    checkout = Checkout(tmp_path_factory.mktemp("several"), **TINY | {"prepare.clicks.score_at_views": [*VIEWS, 999]})
    (checkout.folder / "prepare.txt").write_text(checkout.dvc("repro"))
    return checkout


def sessions(built: Checkout, name: str) -> Sessions:
    return read_sessions(built.folder / "data" / f"{name}.parquet")


def score(built: Checkout, output: str, *options: str) -> tuple[pd.DataFrame, subprocess.CompletedProcess[str]]:
    command = ("python", "-m", "stages.score", "models/trees", "data/raw/clicks.parquet", "-o", output, *options)
    ran = built.run(*command)
    assert ran.returncode == 0, ran.stderr
    return pd.read_csv(built.folder / output), ran


def test_prepare_counts_the_rows_and_the_purchases_of_each_listed_view(built: Checkout) -> None:
    rows = sessions(built, "prepared/sessions").to_arrow().to_pandas()
    lines = built.file("prepare.txt").decode().splitlines()
    for view in VIEWS:
        at_view = rows[rows["view"] == view]
        assert f"page view {view}: {len(at_view)} rows, {at_view['Kauf'].sum()} purchases" in lines
    assert "page view 999: 0 rows, 0 purchases" in lines
    n_sessions = len(rows.drop_duplicates(["session", "visitor"]))
    (last,) = (line for line in lines if line.endswith("and the target Kauf"))
    assert last.startswith(f"{len(rows)} rows of {n_sessions} sessions, ")
    data = built.json("metrics/data.json")
    assert (data["rows"], data["sessions"]) == (len(rows), n_sessions)


def test_no_session_is_in_the_training_set_and_in_the_test_set(built: Checkout) -> None:
    train, test = ({*sessions(built, f"split/{name}").column("key")} for name in ("train", "test"))
    assert train and test and not train & test


def test_every_model_predicts_and_is_evaluated_at_each_view(built: Checkout) -> None:
    evaluation, test = built.json("metrics/evaluation.json"), sessions(built, "split/test_targets")
    views, targets = test.column("view"), test.column("target")
    assert [each["view"] for each in evaluation["by_view"]] == VIEWS
    for each in evaluation["by_view"]:
        assert each["rows"] == (views == each["view"]).sum()
        assert each["purchases"] == targets[views == each["view"]].sum()
        for model in MODELS:
            figures = each["models"][model.name]
            assert figures["auc_ci_low"] <= figures["auc"] <= figures["auc_ci_high"]
    for model in MODELS:
        predictions = sessions(built, f"predictions/{model.name}")
        assert (predictions.column("view") == views).all()
        assert (predictions.column("key") == test.column("key")).all()


def test_the_report_has_a_section_by_page_view(built: Checkout) -> None:
    for name in ("metrics/report.html", "metrics/summary.md", "MODEL_CARD.md"):
        document = built.file(name).decode()
        assert "By page view" in document and "worth acting on" in document and "DeLong" not in document


def test_scores_of_the_test_set_are_the_predictions_that_were_evaluated(built: Checkout) -> None:
    scored, ran = score(built, "all.csv")
    assert [*scored] == [*KEYS, "probability", "decision"]
    assert ran.stdout == f"{len(scored)} rows, written to all.csv\n"
    predicted = sessions(built, "predictions/trees").to_arrow().to_pandas()
    both = predicted.merge(scored, on=["session", "view"], suffixes=("", "_scored"), validate="one_to_one")
    assert len(both) == len(predicted)
    assert (both["probability"] == both["probability_scored"].astype("float32")).all()


def test_with_latest_view_each_session_has_one_row_at_the_last_listed_view_that_it_reaches(built: Checkout) -> None:
    everything, latest = score(built, "all.csv")[0], score(built, "latest.csv", "--latest-view")[0]
    expected = everything.loc[everything.groupby(["session", "visitor"])["view"].idxmax()].sort_index()
    pd.testing.assert_frame_equal(latest, expected.reset_index(drop=True))
    assert {*latest["view"]} == {*VIEWS} and len(latest) < len(everything)
