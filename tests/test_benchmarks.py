"""The benchmarks run on small data; the figures that they print are not checked here."""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, as_sessions, sessions_frame

from benchmarks import (
    compared_models,
    grid_by_folds,
    grid_by_points,
    grid_search_speedup,
    many_categories,
    prepare_by_columns,
    prepare_by_days,
    prepare_by_events,
    quality,
    repro,
    thresholds,
    training_by_columns,
    training_by_rows,
    training_step,
)
from benchmarks.pictures import draw_lines
from benchmarks.processes import MIB, measure_command, measure_module
from benchmarks.quality_tables import prepare_table
from benchmarks.tools import REMOVED, params_with, write_params
from stages.lib.common.params import Costs, Params
from stages.lib.dataset.matrix import write_npy
from stages.lib.dataset.sessions import write_sessions

pytestmark = pytest.mark.slow

WORKLOAD = """
import subprocess, sys, time
from pathlib import Path
folder = Path("scratch")
folder.mkdir()
print("first phase", flush=True)
(folder / "spilled").write_bytes(bytes(5 * 2**20))
subprocess.run([sys.executable, "-c", "import time; block = bytearray(200 * 2**20); time.sleep(1)"])
(folder / "spilled").unlink()
print("second phase", flush=True)
time.sleep(0.5)
"""


def test_a_process_is_measured_with_its_children_its_scratch_folder_and_its_phases(tmp_path: Path) -> None:
    def phase_of(line: str) -> str | None:
        return line.split()[0] if "phase" in line else None

    measured = measure_command([sys.executable, "-c", WORKLOAD], tmp_path, tmp_path / "scratch", phase_of)
    assert measured.output == "first phase\nsecond phase\n"
    assert measured.peak_spilled == 5 * MIB
    assert 200 * MIB < measured.peak_memory < 400 * MIB
    first, second = measured.phases
    assert (first.name, second.name) == ("first", "second")
    assert 200 * MIB < first.peak_memory < measured.peak_memory and second.peak_memory == 0
    assert first.seconds > 1 and second.seconds > 0.5
    assert first.seconds + second.seconds < measured.seconds


def test_a_process_that_fails_ends_the_benchmark_with_its_output(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"stages\.simulate clicks\.parquet: failed\nsimulate: params\.yaml: no such"):
        measure_module("stages.simulate", "clicks.parquet", folder=tmp_path)


def test_params_are_changed_by_dotted_keys(tmp_path: Path) -> None:
    changes = {"seed": 7, "train_base.training.epochs": 1, "split.test_size": REMOVED}
    changed, committed = params_with(changes), params_with({})
    assert (changed["seed"], changed["train_base"]["training"]["epochs"]) == (7, 1)
    assert changed["split"] == {key: value for key, value in committed["split"].items() if key != "test_size"}
    path = tmp_path / "params.yaml"
    write_params(path, {"seed": 7})
    write_params(path, {"train_base.training.epochs": 1}, base=path)
    params = Params.load(path)
    assert (params.seed, params.train_base.training.epochs) == (7, 1)


def test_the_stages_that_dvc_runs_are_read_from_its_output() -> None:
    lines = ["Running stage 'prepare':", "> python -m stages.prepare", "Stage 'split' didn't change, skipping"]
    assert [repro.started_stage(line) for line in lines] == ["prepare", None, None]


def test_training_steps_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_step, "time_model_fit_apart", lambda batch_size: 1.5)
    times = training_step.measure_steps(24, runs=1, rows=480)
    assert times.model_fit == 1.5
    assert all(time > 0 for time in times)


def test_training_is_timed_by_rows(tmp_path: Path) -> None:
    result = training_by_rows.measure_epoch(20_000, tmp_path, in_memory=False)
    assert result["rows"] == 20_000 and all(value > 0 for value in result.values())
    training_by_rows.draw(pd.DataFrame([result]), tmp_path / "a.svg")
    assert "<svg" in (tmp_path / "a.svg").read_text()


def test_training_on_rows_in_memory_is_timed_too(tmp_path: Path) -> None:
    with (tmp_path / "inputs.npy").open("wb") as file:
        write_npy(file, (480, training_by_rows.INPUTS), training_by_rows.random_chunks(480))
    times = training_by_rows.train_epoch(tmp_path / "inputs.npy", in_memory=True)
    assert all(value > 0 for value in times.values())


def test_sessions_are_repeated_up_to_a_number_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sessions(tmp_path / "train.parquet", as_sessions(sessions_frame(30), buys="target"))
    monkeypatch.setattr(training_by_rows, "TRAIN", tmp_path / "train.parquet")
    training_by_rows.repeat_sessions(tmp_path / "repeated.parquet", 70)
    pages, repeated = (
        pd.read_parquet(tmp_path / name)["pages"].to_list() for name in ("train.parquet", "repeated.parquet")
    )
    assert repeated == [*pages, *pages, *pages[:10]]


@pytest.mark.slow
def test_a_grid_is_timed_by_points_and_by_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    results = grid_by_points.measure_grids([2])
    assert results["points"].tolist() == [2] and results["seconds"].min() > 0
    results = grid_by_folds.measure_grids([2], {"learning_rate": [0.001, 0.002, 0.003]}, rows=400)
    assert results["folds"].tolist() == [2, 2] and results["seconds"].min() > 0


@pytest.mark.slow
def test_training_is_timed_by_columns() -> None:
    results = training_by_columns.measure_networks([3, 40], rows=300)
    assert results["inputs"].tolist() == [3, 40] * 2 and results["seconds"].min() > 0


@pytest.mark.parametrize(("largest", "scale"), [(100, "linear"), (1000, "log")])
def test_a_picture_has_a_line_per_value_and_a_panel_per_measured_column(
    largest: int, scale: str, tmp_path: Path
) -> None:
    results = pd.DataFrame(
        {"rows": [10, largest] * 2, "engine": ["duckdb"] * 2 + ["pandas"] * 2, "seconds": 1, "mib": 2}
    )
    for name in ("a.svg", "b.svg"):
        draw_lines(results, "rows", {"seconds": "seconds", "mib": "MiB"}, "engine", tmp_path / name, "a title")
    svg = (tmp_path / "a.svg").read_text()
    assert all(f">{text}<" in svg for text in ("rows", "seconds", "MiB", "duckdb", "pandas", "a title"))
    assert svg.count('id="axes_') == 2 and ("10^{2}" in svg or "mathdefault" in svg) == (scale == "log")
    assert svg == (tmp_path / "b.svg").read_text()


def test_the_study_s_way_of_a_grid_search_gets_a_single_validation_split(workdir: Path) -> None:
    write_sessions(Path("train.parquet"), as_sessions(sessions_frame(200), buys="target"))
    params = grid_search_speedup.study_params(Path("params.yaml"), points=2)
    assert params.grid_search.grid == {"learning_rate": [0.0001], "batch_size": [24, 48]}
    fold = grid_search_speedup.single_fold(Path("train.parquet"), params)
    assert (len(fold.inputs), len(fold.val_inputs)) == (140, 60)
    np.testing.assert_allclose(fold.inputs[:].mean(axis=0), 0, atol=1e-5)  # the encoder is fitted on these rows only
    assert np.abs(fold.val_inputs[:].mean(axis=0)).max() > 0.01


def test_quality_compares_each_model_with_the_best_trees(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions_frame(300).to_csv("shop.csv", index=False)
    small = {"validation.folds": 2, "train_strong.network.layers": [8], "train_strong.network.ensemble_size": 2}
    write_params(Path("params.yaml"), small | {"train_strong.candidates": [{}, {"epochs": 1}]})
    monkeypatch.setattr(compared_models, "PARAMS", Path("params.yaml"))
    command = "quality shop.csv --target buys --models strong,logistic,trees --splits 2 --json q.json --picture q.svg"
    monkeypatch.setattr("sys.argv", command.split())
    quality.main()
    (result,) = json.loads(Path("q.json").read_text())["tables"].values()
    printed = capsys.readouterr().out
    assert "strong network" in printed and "candidate 1 is chosen" in printed and "<svg" in Path("q.svg").read_text()
    assert result["reference"] == "trees"
    assert set(result["models"]) == {"strong", "logistic", "trees"}
    for metrics in result["models"].values():
        assert 0.5 < metrics["auc"] <= 1 and metrics["seconds"] > 0
        expected = metrics["auc"] - result["models"]["trees"]["auc"]
        assert metrics["difference"] == pytest.approx(expected, abs=3e-6)  # all are rounded to 6 digits


def test_target_encoding_is_compared_with_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    simulate = partial(many_categories.simulate, rows=2000, codes=700)
    monkeypatch.setattr(many_categories, "simulate", simulate)
    monkeypatch.setattr("sys.argv", ["many_categories", "--models", "logistic", "--splits", "2"])
    many_categories.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if "±" in line]
    assert [line.split(":")[0] for line in lines] == [*many_categories.SIMULATED]
    assert "+0.0000" not in lines[0]


def test_rules_for_thresholds_are_compared_on_other_rows() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(0, 1, 400)
    targets = (rng.random(400) < probabilities).astype(np.int64)
    table = thresholds.compare_rules(targets, probabilities, (20, 100), (2.0,), repeats=3)
    assert table["rows"].tolist() == [20, 100] and (table[[*thresholds.RULES]] > 0).all(axis=None)
    best = thresholds.highest_profit(
        np.array([0, 1, 0, 1, 0]), np.array([0.1, 0.2, 0.3, 0.4, 0.4]), Costs(contact=1.0, missed_purchase=5.0)
    )
    assert best == pytest.approx(0.15)


def test_the_texts_for_missing_values_of_a_table_are_added_to_the_committed_ones(workdir: Path) -> None:
    pd.DataFrame({"buys": [0, 1] * 5, "job": ["unknown", "none", "NA", "", "x"] * 2}).to_csv("a.csv", index=False)
    sessions = prepare_table(Path("a.csv"), {"target": "buys", "na_values": ["unknown"]})
    jobs = pd.DataFrame(dict(sessions.features.items()))["job"]
    assert jobs.isna().tolist() == [True, False, True, True, False] * 2


@pytest.mark.slow
def test_prepare_is_timed_by_events_and_engine() -> None:
    results = prepare_by_events.measure_engines([0.01], ["duckdb", "pandas"])
    assert results["engine"].tolist() == ["duckdb", "pandas"]
    assert (results[["seconds", "memory_mib"]] > 0).all(axis=None)
    assert results["events"].between(8_000, 12_000).all()


@pytest.mark.slow
def test_prepare_is_timed_by_days() -> None:
    results = prepare_by_days.measure_days(2, 40_000)
    assert {*results["run"]} == {"one more day", "all days anew", "that day by itself"}
    assert (results[["seconds", "memory_mib"]] > 0).all(axis=None)


def test_prepare_is_timed_by_columns() -> None:
    results = prepare_by_columns.measure_tables([3, 40], [100])
    assert results["columns"].tolist() == [3, 40] and (results[["seconds", "memory_mib"]] > 0).all(axis=None)


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_begins_with_the_command_that_runs_it(path: Path) -> None:
    text = path.read_text()
    if "argparse" in text:
        assert f"\n\n    python -m benchmarks.{path.stem}" in text.split('"""')[1]
