"""Scores equal the predictions that were evaluated, to the bit; the model's schema says how rows are read."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import ROOT, sessions_frame

from benchmarks import scoring_throughput as benchmark
from benchmarks.tools import write_params
from stages import prepare, score, simulate, split, train_base
from stages.lib.common.errors import InputError
from stages.lib.dataset.sessions import read_sessions

SMALL = {
    "simulate.sessions": 800,
    "simulate.purchases": 120,
    "validation.folds": 2,
    "validation.calibration": "isotonic",
    "train_base.training.epochs": 1,
}
CLICKS = Path("data/raw/clicks.parquet")
SESSIONS = Path("data/prepared/sessions.parquet")
MODEL = Path("models/base")
PREDICTIONS = Path("data/predictions/base.parquet")

pytestmark = pytest.mark.slow


def train(source: Path) -> None:
    """Train the base model on a source, in the working folder."""
    train_set, test_set, targets = (Path(f"data/split/{name}.parquet") for name in ("train", "test", "test_targets"))
    prepare.main(source, SESSIONS)
    split.main(SESSIONS, train_set, test_set, targets, Path("data.json"))
    train_base.main(train_set, test_set, MODEL, PREDICTIONS, Path("out_of_fold.parquet"), Path("importance.csv"))


def write(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)


def new_sessions(rows: int = 300, seed: int = 7) -> pd.DataFrame:
    born = pd.date_range("2024-01-01", periods=rows, freq="h").strftime("%Y-%m-%d %H:%M:%S")
    return sessions_frame(rows, seed).assign(born=born, region=np.arange(rows) % 3 + 1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of the simulated shop, which scores click logs."""
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_params(Path("params.yaml"), SMALL)
        simulate.main(CLICKS)
        train(CLICKS)
    return folder


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that scores session tables."""
    folder = tmp_path_factory.mktemp("tables")
    source = {"prepare.source_type": "sessions", "prepare.target": "buys", "prepare.categories": ["region"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_params(Path("params.yaml"), SMALL | source)
        write(new_sessions(), Path("sessions.csv"))
        train(Path("sessions.csv"))
    return folder


def scores(folder: Path, frame: pd.DataFrame, name: str = "new.csv") -> np.ndarray:
    """The probabilities of these rows, which are written to a file of this name first."""
    write(frame, folder / name)
    score.main(folder / MODEL, folder / name, output=folder / "scores.parquet")
    return pd.read_parquet(folder / "scores.parquet").probability.to_numpy()


def error_of(folder: Path, rows: pd.DataFrame | bytes, name: str = "new.csv") -> str:
    """The error for these rows, without its start."""
    path, output = folder / name, folder / "never.csv"
    path.write_bytes(rows) if isinstance(rows, bytes) else write(rows, path)
    with pytest.raises(InputError) as error:
        score.main(folder / MODEL, path, output=output)
    assert not output.exists() and str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{path}: ")


# A click log ------------------------------------------------------


@pytest.mark.parametrize("output", ["scores.csv", "scores.parquet"])
def test_a_log_is_scored_exactly_as_the_test_set_was_predicted(shop: Path, output: str) -> None:
    command = [sys.executable, "-m", "stages.score", str(shop / MODEL), str(shop / CLICKS), "-o", str(shop / output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"800 sessions, written to {shop / output}\n", "")
    scored = pd.read_csv(shop / output) if output.endswith("csv") else pd.read_parquet(shop / output)
    assert [*scored] == ["session", "visitor", "time", "probability", "decision"] and len(scored) == 800
    predicted = read_sessions(shop / PREDICTIONS).to_arrow().to_pandas()
    both = predicted.merge(scored, on="session", suffixes=("", "_scored"), validate="one_to_one")
    assert len(both) == 160 and both.decision.any() and not both.decision.all()
    assert (both.probability == both.probability_scored.astype("float32")).all()
    assert (both.decision == both.decision_scored).all()


def test_the_first_half_of_a_log_gives_its_sessions_the_same_scores(shop: Path) -> None:
    log = pd.read_parquet(shop / CLICKS)
    scores(shop, log[log.time <= log.time.median()], "half.parquet")
    half = pd.read_parquet(shop / "scores.parquet")
    scores(shop, log, "whole.parquet")
    both = half.merge(pd.read_parquet(shop / "scores.parquet"), on="session", suffixes=("", "_whole"))
    assert 300 < len(both) == len(half) < 500
    assert (both.probability == both.probability_whole).all()


def test_a_log_without_a_required_column_or_without_sessions_is_refused(shop: Path) -> None:
    log = pd.read_parquet(shop / CLICKS)
    without_price = error_of(shop, log.drop(columns="price"), "log.parquet")
    assert without_price.startswith(
        "no column 'price' (prepare.clicks.columns.price); the model was trained on amountBasketSession, which needs it"
    )
    assert "no session reaches page view 3" in error_of(shop, log[:2], "log.parquet")


def test_the_latest_view_of_a_single_one_is_that_view(shop: Path) -> None:
    score.main(shop / MODEL, shop / CLICKS, output=shop / "latest.parquet", latest_view=True)
    score.main(shop / MODEL, shop / CLICKS, output=shop / "scores.parquet")
    assert (shop / "latest.parquet").read_bytes() == (shop / "scores.parquet").read_bytes()


# A session table --------------------------------------------------


def test_a_table_has_no_latest_view(tables: Path) -> None:
    write(new_sessions(), tables / "new.csv")
    with pytest.raises(InputError) as error:
        score.main(tables / MODEL, tables / "new.csv", output=tables / "never.csv", latest_view=True)
    expected = "--latest-view: the model was trained on a table of sessions, whose rows have no page views"
    assert str(error.value).removeprefix(f"{tables / 'new.csv'}: ") == expected
    assert not (tables / "never.csv").exists()


def test_sessions_of_a_table_are_scored_in_order_and_named_by_their_row(tables: Path) -> None:
    frame = new_sessions(200, seed=8)
    forwards = scores(tables, frame.drop(columns="buys"))
    backwards = scores(tables, frame[::-1])
    np.testing.assert_array_equal(forwards, backwards[::-1])
    written = pd.read_parquet(tables / "scores.parquet")
    assert written.row.tolist() == list(range(200)) and written.decision.dtype == bool


def test_the_same_values_in_other_types_give_the_same_scores(tables: Path) -> None:
    frame = new_sessions(100, seed=9)
    expected = scores(tables, frame)
    types: dict[str, Any] = {"pages": float, "born": "datetime64[ns]", "region": float}
    np.testing.assert_array_equal(scores(tables, frame.astype(types), "new.parquet"), expected)
    np.testing.assert_array_equal(scores(tables, frame[[*frame][::-1]].assign(more=1)), expected)


def test_a_single_session_with_missing_values_has_a_score(tables: Path) -> None:
    one = new_sessions(1).assign(seconds=np.nan, browser=None)
    assert 0 < scores(tables, one)[0] < 1


def test_a_session_s_score_does_not_depend_on_the_other_rows(tables: Path) -> None:
    many = pd.concat([new_sessions(9000, seed=3)] * 2, ignore_index=True)
    all_scores = scores(tables, many, "many.parquet")
    np.testing.assert_array_equal(all_scores[:9000], all_scores[9000:])
    np.testing.assert_array_equal(scores(tables, many[:37]), all_scores[:37])
    assert pq.read_metadata(tables / "scores.parquet").num_rows == 37


def test_columns_that_are_missing_or_have_other_values_are_refused_in_one_line(tables: Path) -> None:
    frame, parquet = new_sessions(20), "new.parquet"
    assert error_of(tables, frame.drop(columns="seconds")).startswith(
        "no column 'seconds', which the model was trained on; it has pages, browser"
    )
    a_text, a_word, infinite = ["many", *["1"] * 19], ["soon", *frame.born[1:]], [np.inf, *[1.0] * 19]
    not_numbers = "column 'pages': 1 of 20 values are not numbers, such as 'many'"
    assert error_of(tables, frame.assign(pages=a_text)) == not_numbers
    assert error_of(tables, frame.assign(seconds=infinite), parquet).endswith("values are not numbers, such as 'inf'")
    not_dates = "column 'born': 1 of 20 values are not dates (1990 to 2100), such as 'soon'"
    assert error_of(tables, frame.assign(born=a_word)) == not_dates
    assert "the model was trained on numbers" in error_of(tables, frame.assign(pages=pd.Timestamp(0)), parquet)
    assert error_of(tables, frame[:0]) == "no rows, only a header"
    assert error_of(tables, b"") == "the file is empty"


def test_many_values_of_an_unknown_category_are_reported(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = new_sessions(50)
    scores(tables, rows.assign(browser=rows.browser.where(rows.index % 5 > 0, "Netscape")))
    warning = (
        "score: column 'browser': 10 of 50 values are unknown to the model, such as Netscape; it was trained on "
        "Chrome, Firefox"
    )
    assert capsys.readouterr().err.startswith(warning)
    scores(tables, new_sessions(50))
    assert capsys.readouterr().err == ""


def test_a_column_of_unknown_categories_is_refused_unless_told_otherwise(
    tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = new_sessions(50).assign(browser="Netscape")
    error = error_of(tables, rows)
    assert error.startswith("column 'browser': 50 of 50 values are unknown to the model, such as Netscape; it was")
    assert error.endswith("; if they are right, score them with --unknown-categories warn")
    output = tables / "allowed.csv"
    score.main(tables / MODEL, tables / "new.csv", output=output, unknown_categories="warn")
    assert len(pd.read_csv(output)) == 50
    assert "50 of 50 values are unknown to the model" in capsys.readouterr().err
    # A few sessions may well be of a new browser.
    assert len(scores(tables, rows[:5])) == 5


def test_new_rows_may_be_written_in_another_way_than_those_of_the_training(tables: Path) -> None:
    frame = new_sessions(30, seed=8)
    expected = scores(tables, frame)
    text = frame.to_csv(sep=";", index=False) + "1;2"
    (tables / "new.csv").write_bytes(text.encode("utf-16"))
    options: dict[str, Any] = {"encoding": "utf-16", "delimiter": ";", "truncated_last_line": "drop"}
    score.main(tables / MODEL, tables / "new.csv", output=tables / "scores.parquet", **options)
    np.testing.assert_array_equal(pd.read_parquet(tables / "scores.parquet").probability, expected)
    assert "set --truncated-last-line to drop" in error_of(tables, frame.to_csv(index=False).encode() + b"1,2")
    assert error_of(tables, frame.assign(browser="é").to_csv(index=False).encode("latin-1")).endswith("set --encoding")
    with pytest.raises(InputError, match=r"^--encoding: expected the name of an encoding, .* got 'ansi'$"):
        score.main(tables / MODEL, tables / "new.csv", output=tables / "never.csv", encoding="ansi")


# The command line -------------------------------------------------


def test_other_folders_than_a_model_s_and_other_endings_are_refused(tables: Path) -> None:
    write(new_sessions(5), tables / "new.csv")
    with pytest.raises(InputError, match=r"schema\.json: no such file; expected the folder of a trained model"):
        score.main(tables / "data", tables / "new.csv", output=tables / "never.csv")
    with pytest.raises(InputError, match=r"scores\.txt: expected a name that ends in \.csv or \.parquet$"):
        score.main(tables / MODEL, tables / "new.csv", output=Path("scores.txt"))


def test_the_command_names_its_arguments() -> None:
    command = [sys.executable, "-m", "stages.score", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--unknown-categories {error,warn}" in done.stdout
    assert "--encoding ENCODING" in done.stdout and "--truncated-last-line {error,drop}" in done.stdout
    assert "--output OUTPUT" in done.stdout and "model sessions_or_clicks" in done.stdout


def test_the_benchmark_scores_tables_and_logs(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "ROOT", shop)
    monkeypatch.setattr(sys, "argv", ["scoring_throughput", "--sessions", "1000", "--models", "base"])
    benchmark.main()
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [["base", kind, "1,000"] for kind in ("parquet", "csv", "clicks")]
    assert all(float(figure.replace(",", "")) > 0 for line in lines for figure in line.split()[3:])
