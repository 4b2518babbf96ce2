"""The benchmarks still run, on little; what they print is not judged here."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import as_sessions, sessions_frame

from benchmarks import grid_search, scaling, step
from stages.lib import encoding, params, sweep, table

pytestmark = pytest.mark.slow


def test_a_step_is_timed(monkeypatch):
    monkeypatch.setattr(step, "ROWS", 480)
    monkeypatch.setattr(step.synthetic, "__defaults__", (480, 125))
    # model.fit is timed in a process of its own
    monkeypatch.setattr(step.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "1.5\n"))
    found = step.measure(24, runs=1)
    assert found.pop("model.fit") == 1.5
    assert all(value > 0 for value in found.values())


def test_training_is_timed_by_rows(monkeypatch):
    made = step.synthetic
    monkeypatch.setattr(scaling.step, "synthetic", lambda count: made(count // 100))
    assert scaling.rows(most=150_000)["rows"].tolist() == [50_000, 150_000]


def test_the_study_s_way_and_the_stage_see_the_same_rows(project: Path, write_params):
    write_params(**{"grid_search.folds": 0, "train_base.training.epochs": 1, "grid_search.grid": {"batch_size": [32]}})
    sessions = as_sessions(sessions_frame(200), buys="target")
    table.write(Path("train.parquet"), sessions)
    search, base, split, seed = params.load("grid_search", "train_base", "split", "seed")
    ((rows,),) = grid_search.judged_rows(Path("train.parquet"), search, base, split, seed).values()
    assert len(rows.inputs) == 140 and len(rows.validation_inputs) == 60
    assert rows.inputs.shape[1] == len(encoding.fit(sessions.features, base.encoding).names)
    assert isinstance(rows, sweep.Rows) and np.isfinite(rows.inputs).all()
    assert yaml.safe_load(Path("params.yaml").read_text())["grid_search"]["folds"] == 0
