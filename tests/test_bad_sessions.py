"""Session tables that cannot be split or trained on: one line, and earlier outputs are not touched."""

from pathlib import Path

import pandas as pd
import pytest
from bad_input import EARLIER, SESSIONS, parquet_bytes
from helpers import RunStage, WriteParams, as_sessions

from stages.lib.dataset.sessions import write_sessions

SPLIT_OUTPUTS = ("train.parquet", "test.parquet", "targets.parquet", "data.json")


def split_error(run_stage: RunStage, rows: pd.DataFrame | bytes | None) -> str:
    """The error of the split stage for these rows, for a file of these bytes, or for no file."""
    sessions = Path("sessions.parquet")
    for name in SPLIT_OUTPUTS:
        Path(name).write_bytes(EARLIER)
    if isinstance(rows, bytes):
        sessions.write_bytes(rows)
    elif rows is not None:
        write_sessions(sessions, as_sessions(rows, buys="target"))
    error = run_stage("split", sessions, *SPLIT_OUTPUTS).error
    assert {Path(name).read_bytes() for name in SPLIT_OUTPUTS} == {EARLIER}
    assert error.startswith("split: ")
    return error


@pytest.mark.parametrize(("strategy", "key"), [("grouped", "visitor"), ("temporal", "time")])
def test_a_split_without_its_key_is_refused(
    run_stage: RunStage, write_params: WriteParams, strategy: str, key: str
) -> None:
    write_params(**{"split.strategy": strategy})
    expected = f"split: the sessions have no {key}; prepare.keys.{key} names its column"
    assert split_error(run_stage, SESSIONS) == expected


@pytest.mark.parametrize("rows", [SESSIONS[:2], SESSIONS[:4], SESSIONS[1:6]], ids=["two", "four", "five"])
def test_too_few_rows_to_split_are_refused(run_stage: RunStage, write_params: WriteParams, rows: pd.DataFrame) -> None:
    write_params()
    assert "too few rows" in split_error(run_stage, rows)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "sessions.parquet: no such file"),
        (parquet_bytes()[:-50], "sessions.parquet: not a complete parquet file"),
        (parquet_bytes(), "sessions.parquet: not a session table with roles"),
    ],
    ids=["none", "truncated", "no roles"],
)
def test_sessions_that_no_stage_wrote_are_refused(
    run_stage: RunStage, write_params: WriteParams, content: bytes | None, says: str
) -> None:
    write_params()
    assert says in split_error(run_stage, content)


def test_too_few_purchases_for_smote_are_refused_before_training(
    run_stage: RunStage, write_params: WriteParams
) -> None:
    write_params(**{"smote_train.k_neighbors": 30})
    train = as_sessions(SESSIONS, buys="target")
    write_sessions(Path("train.parquet"), train)
    write_sessions(Path("test.parquet"), train.select("feature"))
    Path("predictions.parquet").write_bytes(EARLIER)
    paths = ("train.parquet", "test.parquet", "model", "predictions.parquet", "out_of_fold.parquet")
    error = run_stage("smote_train", *paths).error
    assert error.startswith("smote_train: ") and "smote_train.k_neighbors: 30" in error
    assert "24 purchases" in error and "at most 23" in error
    assert Path("predictions.parquet").read_bytes() == EARLIER
    assert not Path("model").exists()
