"""The benchmarks still run, on little; what they print is not judged here."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import WriteParams, as_sessions, sessions_frame

from benchmarks import grid_search, quality, scale, scale_training, scaling, step
from stages.lib.common.params import load
from stages.lib.dataset.sessions import write_sessions

pytestmark = pytest.mark.slow


def test_a_step_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "ROWS", 480)
    monkeypatch.setattr(step.synthetic, "__defaults__", (480, 125))
    # model.fit is timed in a process of its own
    monkeypatch.setattr(step.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "1.5\n"))
    found = step.measure(24, runs=1)
    assert found.pop("model.fit") == 1.5
    assert all(value > 0 for value in found.values())


def test_training_is_timed_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    made = step.synthetic
    monkeypatch.setattr(scaling.step, "synthetic", lambda count: made(count // 100))
    assert scaling.rows(most=150_000)["rows"].tolist() == [50_000, 150_000]


def test_training_from_a_file_is_timed_by_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_training, "PICTURE", tmp_path / "scale_training.svg")
    found = pd.DataFrame(scale_training.timed(20_000, tmp_path, with_stage=False))
    scale_training.draw(found)
    assert found["rows"].tolist() == [20_000] and (found[["seconds an epoch", "GiB"]] > 0).all(axis=None)
    assert "<svg" in scale_training.PICTURE.read_text()


def test_a_single_hold_out_gives_the_study_s_way_one_part_to_train_on_and_one_to_be_judged_by(
    project: Path, write_params: WriteParams
) -> None:
    write_params(**{"grid_search.folds": 0})
    sessions = as_sessions(sessions_frame(200), buys="target")
    write_sessions(Path("train.parquet"), sessions)
    search, base, split, seed = load("grid_search", "train_base", "split", "seed")
    ((rows,),) = grid_search.judged_rows(Path("train.parquet"), search, base, split, seed).values()
    assert (len(rows.inputs), len(rows.validation_inputs)) == (140, 60)
    np.testing.assert_allclose(rows.inputs.mean(axis=0), 0, atol=1e-5)  # the encoder is fitted on this part alone
    assert np.abs(rows.validation_inputs.mean(axis=0)).max() > 0.01


def test_quality_pairs_each_model_with_the_best_trees(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions_frame(300).to_csv("shop.csv", index=False)
    command = "quality shop.csv --target buys --models strong,logistic,trees --splits 2 --json q.json --picture q.svg"
    monkeypatch.setattr("sys.argv", command.split())
    quality.main()
    (result,) = json.loads(Path("q.json").read_text())["tables"].values()
    assert "strong network" in capsys.readouterr().out and "<svg" in Path("q.svg").read_text()
    assert set(result["models"]) == {"strong", "logistic", "trees"}
    for figures in result["models"].values():
        assert 0.5 < figures["auc"] <= 1 and figures["seconds"] > 0
        expected = figures["auc"] - result["models"]["trees"]["auc"]
        assert figures["difference"] == pytest.approx(expected, abs=3e-6)  # all are rounded to 6 digits


def test_prepare_is_timed_by_events_and_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "PICTURE", tmp_path / "scale.svg")
    found = scale.prepare([0.01], ["duckdb", "pandas"])
    scale.draw(found)
    assert found["engine"].tolist() == ["duckdb", "pandas"] and (found[["seconds", "memory"]] > 0).all(axis=None)
    assert found["events"].between(8_000, 12_000).all() and "<svg" in scale.PICTURE.read_text()
