"""Sessions that are scored at several page views, from the click log to scores of a new one.

How models are evaluated at each view, test_days_dvc tests.
"""

import subprocess

import pandas as pd
import pytest
from checkout import TINY, Checkout

from stages.lib.dataset.sessions import Sessions, read_sessions

VIEWS = [1, 3, 5]
KEYS = ["session", "visitor", "time", "view"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Nobody reaches the last view."""
    checkout = Checkout(tmp_path_factory.mktemp("several"), **TINY | {"prepare.clicks.score_at_views": [*VIEWS, 999]})
    (checkout.folder / "prepare.txt").write_text(checkout.dvc("repro", "train_reference"))
    return checkout


def sessions(built: Checkout, name: str) -> Sessions:
    return read_sessions(built.folder / "data" / f"{name}.parquet")


Scored = tuple[pd.DataFrame, subprocess.CompletedProcess[str]]


def score(built: Checkout, output: str, *options: str) -> Scored:
    command = ("python", "-m", "stages.score", "models/trees", "data/raw/clicks.parquet", "-o", output, *options)
    ran = built.run(*command)
    assert ran.returncode == 0, ran.stderr
    return pd.read_csv(built.folder / output), ran


@pytest.fixture(scope="module")
def all_scores(built: Checkout) -> Scored:
    return score(built, "all.csv")


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


def test_scores_of_the_test_set_are_the_predictions_that_were_evaluated(built: Checkout, all_scores: Scored) -> None:
    scored, ran = all_scores
    assert [*scored] == [*KEYS, "probability", "decision"]
    assert ran.stdout == f"{len(scored)} rows, written to all.csv\n"
    predicted = sessions(built, "predictions/trees").to_arrow().to_pandas()
    both = predicted.merge(scored, on=["session", "view"], suffixes=("", "_scored"), validate="one_to_one")
    assert len(both) == len(predicted)
    assert (both["probability"] == both["probability_scored"].astype("float32")).all()


def test_with_latest_view_each_session_has_one_row_at_the_last_listed_view_that_it_reaches(
    built: Checkout, all_scores: Scored
) -> None:
    everything, latest = all_scores[0], score(built, "latest.csv", "--latest-view")[0]
    expected = everything.loc[everything.groupby(["session", "visitor"])["view"].idxmax()].sort_index()
    pd.testing.assert_frame_equal(latest, expected.reset_index(drop=True))
    assert {*latest["view"]} == {*VIEWS} and len(latest) < len(everything)
