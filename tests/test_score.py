"""Scores are those of evaluate, to the bit, and the schema saved with the model decides how rows are read."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import ROOT, sessions_frame
from project import Project

from benchmarks import scoring_throughput as benchmark
from stages import score
from stages.lib.common.errors import InputError
from stages.lib.dataset.sessions import read_sessions

SMALL = {
    "simulate.sessions": 800,
    "simulate.purchases": 120,
    "validation.folds": 2,
    "validation.calibration": "isotonic",
    "train_base.training.epochs": 1,
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A model of the simulated shop."""
    built = Project(tmp_path_factory.mktemp("shop"), **SMALL)
    built.dvc("repro", "train_base")
    return built


def train(folder: Path, frame: pd.DataFrame, name: str, **changes) -> Project:
    """A model of a table of sessions."""
    settings = {"prepare.source": name, "prepare.source_type": "sessions", "prepare.target": "buys"}
    project = Project(folder, **SMALL | settings | changes)
    write(frame, folder / name)
    project.dvc("repro", "train_base")
    return project


def write(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return train(tmp_path_factory.mktemp("tables"), tomorrow(), "sessions.csv", **{"prepare.categories": ["region"]})


def tomorrow(rows: int = 300, seed: int = 7) -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=rows, freq="h").strftime("%Y-%m-%d %H:%M:%S")
    return sessions_frame(rows, seed).assign(born=days, region=np.arange(rows) % 3 + 1)


def scores(project: Project, frame: pd.DataFrame, name: str = "tomorrow.csv") -> np.ndarray:
    write(frame, project.folder / name)
    score.main(project.folder / "models/base", project.folder / name, output=project.folder / "scores.parquet")
    return pd.read_parquet(project.folder / "scores.parquet").probability.to_numpy()


def refused(project: Project, frame: pd.DataFrame | bytes, name: str = "tomorrow.csv") -> str:
    path, output = project.folder / name, project.folder / "never.csv"
    path.write_bytes(frame) if isinstance(frame, bytes) else write(frame, path)
    with pytest.raises(InputError) as error:
        score.main(project.folder / "models/base", path, output=output)
    assert not output.exists() and str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("output", ["scores.csv", "scores.parquet"])
def test_a_log_is_scored_exactly_as_evaluate_saw_its_test_part(shop, output) -> None:
    done = shop.run(sys.executable, "-m", "stages.score", "models/base", "data/raw/clicks.parquet", "-o", output)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"800 sessions, written to {output}\n", "")
    read = pd.read_csv if output.endswith("csv") else pd.read_parquet
    found = read(shop.folder / output)
    assert [*found] == ["session", "visitor", "time", "probability", "decision"] and len(found) == 800
    saved = read_sessions(shop.folder / "data/predictions/base.parquet").table.to_pandas()
    both = saved.merge(found, on="session", suffixes=("", "_again"), validate="one_to_one")
    assert len(both) == 160 and both.decision.any() and not both.decision.all()
    assert (both.probability == both.probability_again.astype("float32")).all()
    assert (both.decision == both.decision_again).all()


def test_a_log_that_ends_in_the_middle_gives_the_sessions_so_far_the_same_scores(shop) -> None:
    log = pd.read_parquet(shop.folder / "data/raw/clicks.parquet")
    scores(shop, log[log.time <= log.time.median()], "so_far.parquet")
    so_far = pd.read_parquet(shop.folder / "scores.parquet")
    scores(shop, log, "whole.parquet")
    both = so_far.merge(pd.read_parquet(shop.folder / "scores.parquet"), on="session", suffixes=("", "_whole"))
    assert 300 < len(both) == len(so_far) < 500
    assert (both.probability == both.probability_whole).all()


def test_sessions_of_a_table_are_scored_in_their_order_and_named_by_their_place(tables) -> None:
    frame = tomorrow(200, seed=8)
    found = scores(tables, frame.drop(columns="buys"))
    backwards = scores(tables, frame[::-1])
    np.testing.assert_array_equal(found, backwards[::-1])
    written = pd.read_parquet(tables.folder / "scores.parquet")
    assert written.row.tolist() == list(range(200)) and written.decision.dtype == bool


def test_the_same_values_in_other_types_give_the_same_scores(tables) -> None:
    frame = tomorrow(100, seed=9)
    expected = scores(tables, frame)
    turned = frame.assign(
        pages=frame.pages.astype(float), born=pd.to_datetime(frame.born), region=frame.region.astype("float64")
    )
    np.testing.assert_array_equal(scores(tables, turned, "tomorrow.parquet"), expected)
    np.testing.assert_array_equal(scores(tables, frame[[*frame][::-1]].assign(more=1)), expected)
    assert (tables.folder / "models/base/schema.json").is_file()


def test_a_single_session_with_missing_values_has_a_score(tables) -> None:
    one = tomorrow(1).assign(seconds=np.nan, browser=None)
    assert 0 < scores(tables, one)[0] < 1


def test_columns_that_are_missing_or_hold_something_else_are_refused_in_one_line(tables) -> None:
    frame, parquet = tomorrow(20), "tomorrow.parquet"
    many, soon, endless = (["many", *["1"] * 19], ["soon", *frame.born[1:]], [np.inf, *[1.0] * 19])
    assert refused(tables, frame.drop(columns="seconds")).startswith(
        "no column 'seconds', which the model was trained on; it has pages, browser"
    )
    none = "column 'pages': 1 of 20 values are no numbers, such as 'many'"
    assert refused(tables, frame.assign(pages=many)) == none
    assert refused(tables, frame.assign(seconds=endless), parquet).endswith("values are no numbers, such as 'inf'")
    assert refused(tables, frame.assign(born=soon)).startswith(
        "column 'born': 1 of 20 values are no dates (YYYY-MM-DD)"
    )
    assert "the model was trained on numbers" in refused(tables, frame.assign(pages=pd.Timestamp(0)), parquet)
    assert refused(tables, frame[:0]) == "no rows, only a header"
    assert refused(tables, b"") == "the file is empty"


def test_a_log_without_a_needed_column_or_without_sessions_is_refused(shop) -> None:
    log = pd.read_parquet(shop.folder / "data/raw/clicks.parquet")
    assert "no column 'price' (prepare.clicks.columns.price)" in refused(shop, log.drop(columns="price"), "log.parquet")
    assert "no session reaches page view 3" in refused(shop, log[:2], "log.parquet")


def test_levels_that_the_model_does_not_know_are_told_of(tables, capsys: pytest.CaptureFixture[str]) -> None:
    scores(tables, tomorrow(50).assign(browser="Netscape"))
    assert (
        "score: column 'browser': 50 of 50 values are none of those that the model tells apart"
        in capsys.readouterr().err
    )
    scores(tables, tomorrow(50))
    assert capsys.readouterr().err == ""


def test_what_is_no_model_or_no_name_for_scores_is_refused(tables) -> None:
    write(tomorrow(5), tables.folder / "tomorrow.csv")
    paths = (tables.folder / "models/base", tables.folder / "tomorrow.csv")
    with pytest.raises(InputError, match="expected the folder of a model"):
        score.main(tables.folder / "data", paths[1], output=tables.folder / "never.csv")
    with pytest.raises(InputError, match=r"scores\.txt: expected a name that ends in \.csv or \.parquet$"):
        score.main(*paths, output=Path("scores.txt"))


def test_the_command_says_what_it_takes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages.score", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "-o OUTPUT, --output OUTPUT" in done.stdout and "model sessions_or_clicks" in done.stdout


def test_a_session_s_score_does_not_depend_on_the_rows_beside_it(tables) -> None:
    many = pd.concat([tomorrow(9000, seed=3)] * 2, ignore_index=True)
    found = scores(tables, many, "many.parquet")
    np.testing.assert_array_equal(found[:9000], found[9000:])
    np.testing.assert_array_equal(scores(tables, many[:37]), found[:37])
    assert pq.read_metadata(tables.folder / "scores.parquet").num_rows == 37


def test_the_benchmark_scores_tables_and_logs(
    shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "ROOT", shop.folder)
    monkeypatch.setattr(sys, "argv", ["score", "--sessions", "1000", "--models", "base"])
    benchmark.main()
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [["base", kind, "1,000"] for kind in ("parquet", "csv", "clicks")]
    assert all(float(figure.replace(",", "")) > 0 for line in lines for figure in line.split()[3:])
