"""The grid gives the same results however it is run, and never a part of itself as a result."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

import joblib
import numpy as np
import pandas as pd
import pytest
from helpers import ROOT

from stages.lib.common.errors import InputError
from stages.lib.common.files import lock
from stages.lib.common.model_params import ModelConfig
from stages.lib.common.params import Params
from stages.lib.common.processes import Pool, in_this_process
from stages.lib.tuning.folds import Fold, Folds
from stages.lib.tuning.grid import best_point, fingerprint, run_grid
from stages.lib.tuning.points import Grid, grid_points
from stages.lib.tuning.shard import run_shard
from stages.lib.tuning.workers import worker_pool

pytestmark = pytest.mark.slow

METRICS = ("val_auc", "val_auc_se", "val_loss", "loss")
GRID: Grid = {"learning_rate": [0.001, 0.01, 0.1], "batch_size": [16, 32]}

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def base() -> ModelConfig:
    return Params.load(ROOT / "params.yaml").train_base.with_point({"layers": [4], "epochs": 2})


@pytest.fixture(scope="module")
def two_folds() -> list[Fold]:
    """Of different sizes."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(300, 5)).astype(np.float32)
    targets = (inputs[:, 0] + rng.normal(size=300) > 0).astype(np.float32)
    return [
        Fold(inputs[:200], targets[:200], np.ones(200, np.float32), inputs[200:], targets[200:]),
        Fold(inputs[110:], targets[110:], np.ones(190, np.float32), inputs[:110], targets[:110]),
    ]


@pytest.fixture(scope="module")
def folds(base: ModelConfig, two_folds: list[Fold]) -> Folds:
    return {base.encoding: two_folds}


def search(
    grid: Grid,
    base: ModelConfig,
    folds: Folds,
    checkpoints: Path,
    halving_factor: int | None = None,
    pool: Pool = in_this_process,
) -> pd.DataFrame:
    return run_grid(pool, grid_points(grid), base, folds, 1, checkpoints, halving_factor)


@pytest.fixture(scope="module")
def results(base: ModelConfig, folds: Folds, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return search(GRID, base, folds, tmp_path_factory.mktemp("grid") / "checkpoints")


def test_results_have_a_row_per_point_in_the_order_of_the_grid(results: pd.DataFrame) -> None:
    assert results[list(GRID)].to_dict("records") == grid_points(GRID)
    assert list(results) == [*GRID, "val_auc", "val_auc_se", "val_loss", "loss", "epochs", "folds"]
    assert results["val_auc"].between(0, 1).all() and (results[["epochs", "folds"]] == 2).all(axis=None)


def test_results_are_means_over_the_folds_that_trained_a_point_and_a_single_fold_has_no_standard_error(
    results: pd.DataFrame, base: ModelConfig, two_folds: list[Fold], folds: Folds, tmp_path: Path
) -> None:
    first, second = (search(GRID, base, {base.encoding: [fold]}, tmp_path / "one") for fold in two_folds)
    for name in ("val_auc", "val_loss", "loss"):
        np.testing.assert_allclose(results[name], (first[name] + second[name]) / 2, rtol=1e-9)
    # The standard error of two values is half their difference.
    difference = (first["val_auc"] - second["val_auc"]).abs()
    np.testing.assert_allclose(results["val_auc_se"], difference / 2, rtol=1e-9)
    assert first["val_auc_se"].isna().all()
    # By halving, the second fold trains only half of the points.
    halved = search(GRID, base, folds, tmp_path / "halved", halving_factor=2)
    best = first["val_auc"].nlargest(3).index
    assert halved["folds"].tolist() == [2 if row in best else 1 for row in halved.index]
    expected = first.assign(**{name: results[name].where(halved["folds"] == 2, first[name]) for name in METRICS})
    pd.testing.assert_frame_equal(halved.drop(columns="folds"), expected.drop(columns="folds"))


def test_other_rows_params_or_seeds_have_another_fingerprint(
    base: ModelConfig, two_folds: list[Fold], folds: Folds
) -> None:
    changed = Fold(**vars(two_folds[0]) | {"val_targets": 1 - two_folds[0].val_targets})
    points = grid_points(GRID)
    searches = [
        (points, base, folds, 1, None),
        (points, base, {base.encoding: two_folds[:1]}, 1, None),
        (points, base, {base.encoding: [changed, two_folds[1]]}, 1, None),
        (points, base.with_point({"epochs": 3}), folds, 1, None),
        (points[:-1], base, folds, 1, None),
        (points, base, folds, 2, None),
        (points, base, folds, 1, 2),
    ]
    assert len({fingerprint(*search) for search in searches}) == len(searches)
    assert fingerprint(*searches[0]) == fingerprint(grid_points(GRID), base, dict(folds), 1, None)


def test_results_do_not_depend_on_the_number_of_workers_or_the_order_of_the_grid(
    results: pd.DataFrame, base: ModelConfig, folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    with worker_pool(2) as two_workers:
        by_two_workers = search(GRID, base, folds, tmp_path / "2", halving_factor=2, pool=two_workers)
    by_none = search(GRID, base, folds, tmp_path / "0", halving_factor=2)
    pd.testing.assert_frame_equal(by_two_workers, by_none, check_exact=True)
    backward = {name: values[::-1] for name, values in reversed(GRID.items())}
    other_order = search(backward, base, folds, tmp_path / "b")[list(results)]
    other_order = other_order.sort_values(list(GRID)).reset_index(drop=True)
    pd.testing.assert_frame_equal(other_order, results, check_exact=True)


def test_a_point_at_which_training_diverges_has_no_auc_and_the_grid_goes_on(
    base: ModelConfig, folds: Folds, tmp_path: Path
) -> None:
    diverging = base.with_point({"optimizer": "sgd", "l2": 10.0})
    results = search({"learning_rate": [1e30, 0.0001]}, diverging, folds, tmp_path / "c")
    assert results["val_auc"].isna().tolist() == [True, False]
    assert best_point(results) == 1


def test_any_param_can_be_in_the_grid(base: ModelConfig, folds: Folds, tmp_path: Path) -> None:
    grid: Grid = {"layers": [[4], [3, 2]], "optimizer": ["sgd"], "schedule": ["cosine"], "dropout": [0.0, 0.5]}
    assert len(search(grid, base, folds, tmp_path / "d")) == 4


def test_each_encoding_in_the_grid_has_its_own_folds(base: ModelConfig, two_folds: list[Fold], tmp_path: Path) -> None:
    grid: Grid = {"bins": [0, 2], "learning_rate": [0.1]}
    other = base.with_point({"bins": 2}).encoding
    negated = [replace(fold, inputs=-fold.inputs[:]) for fold in two_folds]
    results = search(grid, base, {base.encoding: two_folds, other: negated}, tmp_path / "e")
    assert results["val_auc"][0] > 0.5 > results["val_auc"][1]


def test_a_folder_is_locked_by_one_worker_at_a_time(tmp_path: Path) -> None:
    entered = threading.Event()

    def enter() -> None:
        with lock(tmp_path / "0000"):
            entered.set()

    other = threading.Thread(target=enter)
    with lock(tmp_path / "0000"), lock(tmp_path / "0001"):
        other.start()
        assert not entered.wait(0.3)
    assert entered.wait(10)
    other.join()


def test_a_worker_without_access_to_the_folder_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="elsewhere: all processes need access to this folder"),
        lock(tmp_path / "elsewhere" / "0000"),
    ):
        pass


def test_a_fold_is_loaded_as_it_was_whatever_an_earlier_search_has_left(two_folds: list[Fold], tmp_path: Path) -> None:
    folder = two_folds[0].save(tmp_path / "fold")
    (folder / "targets.npy").unlink()  # as if the process had been killed before it wrote them
    damaged = bytearray((folder / "inputs.npy").read_bytes())
    damaged[-1] ^= 1
    (folder / "inputs.npy").write_bytes(damaged)
    loaded = Fold.load(two_folds[0].save(folder))
    for name, array in vars(two_folds[0]).items():
        np.testing.assert_array_equal(getattr(loaded, name)[:], array, strict=True)


def test_git_is_not_needed(
    base: ModelConfig, two_folds: list[Fold], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    saved = {base.encoding: [two_folds[0].save(tmp_path / "fold")]}
    assert len(run_shard([0], grid_points({"learning_rate": [0.001]}), base, saved, 1, tmp_path / "0-0000")) == 1


def test_metrics_that_are_damaged_in_a_checkpoint_are_not_used(
    base: ModelConfig, two_folds: list[Fold], tmp_path: Path
) -> None:
    points = grid_points({"learning_rate": [0.001, 0.01]})
    saved = {base.encoding: [two_folds[0].save(tmp_path / "fold")]}
    before = run_shard([0, 1], points, base, saved, 1, tmp_path / "0-0000")
    value = repr(float(before["val_loss"][1]))
    files = [
        path for path in (tmp_path / "0-0000").rglob("*") if path.is_file() and value.encode() in path.read_bytes()
    ]
    assert files
    for path in files:
        damaged = f"{value[:4]}{9 - int(value[4])}{value[5:]}"
        path.write_bytes(path.read_bytes().replace(value.encode(), damaged.encode()))
    pd.testing.assert_frame_equal(run_shard([0, 1], points, base, saved, 1, tmp_path / "0-0000"), before)


# A process that runs a grid and writes its results, to be killed before it is done.
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from stages.lib.common.errors import InputError
from stages.lib.common.files import lock
from stages.lib.common.model_params import ModelConfig
from stages.lib.tuning.folds import Fold
from stages.lib.tuning.grid import run_grid
from stages.lib.tuning.points import grid_points
from stages.lib.tuning.shard import run_shard
from stages.lib.tuning.workers import worker_pool
base = ModelConfig.model_validate_json(Path("base.json").read_text())
points = grid_points({"learning_rate": [0.001, 0.002, 0.003, 0.004], "batch_size": [16, 32]})
halving_factor = int(sys.argv[3]) or None
folds = {base.encoding: [Fold(**np.load("fold.npz"))] * (2 if halving_factor else 1)}
checkpoints = Path(sys.argv[1] + ".checkpoints")
try:
    with worker_pool(1) as pool:
        results = run_grid(pool, points, base, folds, int(sys.argv[2]), checkpoints, halving_factor)
    results.to_csv(sys.argv[1])
except InputError as error:
    sys.exit(f"grid: {error}")
"""


@pytest.fixture
def start(base: ModelConfig, two_folds: list[Fold], tmp_path: Path) -> Start:
    slow = base.with_point({"epochs": 40})  # slow enough to be interrupted
    (tmp_path / "base.json").write_text(slow.model_dump_json())
    arrays: dict[str, Any] = vars(two_folds[0])
    np.savez(tmp_path / "fold.npz", **arrays)

    def start(results: str, seed: int = 1, halving_factor: int = 0) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-uc", PROGRAM, results, str(seed), str(halving_factor)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


def wait_for(process: subprocess.Popen[str], *texts: str) -> None:
    """Read lines until each of the texts has come, in this order."""
    stdout, stderr = cast(IO[str], process.stdout), cast(IO[str], process.stderr)
    for text in texts:
        while text not in stdout.readline():
            assert process.poll() is None, stderr.read()


def test_a_killed_search_resumes_and_has_the_same_results(start: Start, tmp_path: Path) -> None:
    uninterrupted, _ = start("uninterrupted.csv", halving_factor=2).communicate()
    killed = start("resumed.csv", halving_factor=2)
    wait_for(killed, "2 of 2 folds: the best 4 points", "point")  # after all eight in the first fold
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    again = start("resumed.csv", halving_factor=2)
    output, _ = again.communicate()
    assert again.returncode == 0
    trained, resumed = (
        [line for line in lines.splitlines() if line.startswith("point")] for lines in (uninterrupted, output)
    )
    assert 0 < len(resumed) <= len(trained) - 8 and trained[-len(resumed) :] == resumed
    assert (tmp_path / "resumed.csv").read_bytes() == (tmp_path / "uninterrupted.csv").read_bytes()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_fails_and_other_params_do_not_resume_it(
    sent: signal.Signals, start: Start, tmp_path: Path
) -> None:
    process = start("part.csv")
    wait_for(process, "point 3/8")
    process.send_signal(sent)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith("grid: the grid was interrupted after")
    assert not (tmp_path / "part.csv").exists()
    if sent == signal.SIGINT:
        output, _ = start("part.csv", seed=2).communicate()
        assert sum(line.startswith("point") for line in output.splitlines()) == 8
