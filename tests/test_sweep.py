"""The grid: the same figures however it is run, and never a part of it for the whole."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from stages.lib.common.errors import InputError
from stages.lib.common.params import ModelConfig, load
from stages.lib.tuning import grid as sweep
from stages.lib.tuning import workers
from stages.lib.tuning.grid import Fold

ROOT = Path(__file__).parents[1]
GRID = {"learning_rate": [0.001, 0.01, 0.1], "batch_size": [16, 32]}


@pytest.fixture(scope="module")
def base() -> ModelConfig:
    (committed,) = load("train_base", path=ROOT / "params.yaml")
    values = committed.model_dump()
    values["network"] |= {"layers": [4]}
    values["training"] |= {"epochs": 2}
    return ModelConfig(**values)


@pytest.fixture(scope="module")
def parts() -> list[Fold]:
    """Two folds, of unlike sizes."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(300, 5)).astype(np.float32)
    targets = (inputs[:, 0] + random.normal(size=300) > 0).astype(np.float32)
    return [
        Fold(inputs[:200], targets[:200], inputs[200:], targets[200:]),
        Fold(inputs[110:], targets[110:], inputs[:110], targets[:110]),
    ]


@pytest.fixture(scope="module")
def folds(base, parts) -> sweep.Folds:
    return {base.encoding: parts}


def walk(grid, base, folds, folder, most=1) -> pd.DataFrame:
    with workers.worker_pool(most) as pool:
        return sweep.run_grid(pool, grid, base, folds, seed=1, checkpoints=folder)[0]


@pytest.fixture(scope="module")
def found(base, folds, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return walk(GRID, base, folds, tmp_path_factory.mktemp("grid") / "checkpoints")


def test_shards_are_the_grid_and_compile_once_each() -> None:
    grid = {"batch_size": [24, 48], "learning_rate": [i / 1000 for i in range(1, 24)], "l2": [0.0, 0.01]}
    shards = sweep.shards(grid)
    together = [point for shard in shards for point in sweep.grid_points(shard)]
    assert sorted(map(str, map(sorted, map(dict.items, together)))) == sorted(
        map(str, map(sorted, map(dict.items, sweep.grid_points(grid))))
    )
    assert all(len(shard["batch_size"]) == len(shard["l2"]) == 1 for shard in shards)
    assert max(len(sweep.grid_points(shard)) for shard in shards) <= sweep.POINTS_A_SHARD


def test_a_row_a_point_in_the_order_of_the_grid(found) -> None:
    assert found[list(GRID)].to_dict("records") == sweep.grid_points(GRID)
    assert list(found) == [*GRID, "val_auc", "val_auc_se", "val_loss", "loss", "epochs"]
    assert found.val_auc.between(0, 1).all() and (found.epochs == 2).all()


@pytest.mark.slow
def test_folds_are_averaged_and_one_has_no_standard_error(found, base, parts, tmp_path: Path) -> None:
    apart = [walk(GRID, base, {base.encoding: [part]}, tmp_path / "one") for part in parts]
    for figure in ("val_auc", "val_loss", "loss"):
        mean = (apart[0][figure] + apart[1][figure]) / 2
        np.testing.assert_allclose(found[figure], mean, rtol=1e-9)
    # of two values: half their distance
    np.testing.assert_allclose(found.val_auc_se, (apart[0].val_auc - apart[1].val_auc).abs() / 2, rtol=1e-9)
    assert apart[0].val_auc_se.isna().all()


def test_other_rows_settings_or_seeds_go_on_from_nothing(base, parts, folds) -> None:
    changed = Fold(**vars(parts[0]) | {"validation_targets": 1 - parts[0].validation_targets})
    runs = [
        (GRID, base, folds, 1),
        (GRID, base, {base.encoding: parts[:1]}, 1),
        (GRID, base, {base.encoding: [changed, parts[1]]}, 1),
        (GRID, base.with_point({"epochs": 3}), folds, 1),
        (GRID | {"batch_size": [16]}, base, folds, 1),
        (GRID, base, folds, 2),
    ]
    assert len({sweep._fingerprint(*run) for run in runs}) == len(runs)
    assert sweep._fingerprint(*runs[0]) == sweep._fingerprint(GRID, base, dict(folds), 1)


@pytest.mark.slow
def test_workers_and_the_order_of_the_grid_change_nothing(
    found, base, folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers.joblib, "cpu_count", lambda: 2)
    with_two = walk(GRID, base, folds, tmp_path / "a", most=2)
    pd.testing.assert_frame_equal(with_two, found, check_exact=True)
    backwards = {name: values[::-1] for name, values in reversed(GRID.items())}
    turned = walk(backwards, base, folds, tmp_path / "b")[list(found)]
    turned = turned.sort_values(list(GRID)).reset_index(drop=True)
    pd.testing.assert_frame_equal(turned, found, check_exact=True)


def test_a_rate_at_which_the_loss_explodes_is_a_row_without_an_auc(base, folds, tmp_path: Path) -> None:
    wild = base.with_point({"optimizer": "sgd", "l2": 10.0})
    results = walk({"learning_rate": [1e30, 0.0001]}, wild, folds, tmp_path / "c")
    assert results.val_auc.isna().tolist() == [True, False]
    assert sweep.best_point(results) == 1


def test_the_first_of_the_best_points_wins() -> None:
    results = pd.DataFrame({"learning_rate": [1.0, 2.0, 3.0], "val_auc": [0.6, 0.7, 0.7]})
    assert sweep.best_point(results) == 1


def test_any_setting_can_be_searched(base, folds, tmp_path: Path) -> None:
    grid = {"layers": [[4], [3, 2]], "optimizer": ["sgd"], "schedule": ["cosine"], "ensemble_size": [1, 2]}
    assert len(walk(grid, base, folds, tmp_path / "d")) == 4


def test_each_encoding_of_a_grid_is_judged_by_its_own_rows(base, parts, tmp_path: Path) -> None:
    grid = {"bins": [0, 2], "learning_rate": [0.1]}
    other = base.with_point({"bins": 2}).encoding
    turned = [Fold(-rows.inputs, rows.targets, rows.validation_inputs, rows.validation_targets) for rows in parts]
    found = walk(grid, base, {base.encoding: parts, other: turned}, tmp_path / "e")
    assert found.val_auc[0] > 0.5 > found.val_auc[1]


@pytest.mark.slow
def test_a_call_for_one_worker_is_made_once_and_by_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers.joblib, "cpu_count", lambda: 2)
    made = tmp_path / "made.txt"
    call = joblib.delayed(exec)(f"import os\nwith open({str(made)!r}, 'a') as file: print(os.getpid(), file=file)")
    with workers.worker_pool(2) as pool:
        pool([joblib.delayed(exec)("import time; time.sleep(0.5)"), call])  # the other of two
        (one,) = map(int, made.read_text().split())
        pool.by(one, call)
        pool.by(one, call)
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        pool.by(gone.pid, call)
    assert list(map(int, made.read_text().split()))[:3] == [one] * 3 and len(made.read_text().split()) == 4


def test_a_shard_is_walked_by_one_worker_at_a_time(tmp_path: Path) -> None:
    entered = threading.Event()

    def enter():
        with sweep._alone(tmp_path / "0000"):
            entered.set()

    other = threading.Thread(target=enter)
    with sweep._alone(tmp_path / "0000"), sweep._alone(tmp_path / "0001"):
        other.start()
        assert not entered.wait(0.3)
    assert entered.wait(10)
    other.join()


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="elsewhere: workers must share this folder"),
        sweep._alone(tmp_path / "elsewhere" / "0000"),
    ):
        pass


def test_rows_are_written_once_and_read_as_they_were(parts, tmp_path: Path) -> None:
    folder = parts[0].save(tmp_path / "rows")
    (folder / "targets.npy").unlink()  # a walk was killed as it wrote them
    before = (folder / "inputs.npy").stat().st_mtime_ns
    read = Fold.load(parts[0].save(folder))
    assert (folder / "inputs.npy").stat().st_mtime_ns == before
    for name, array in vars(parts[0]).items():
        np.testing.assert_array_equal(getattr(read, name)[:], array, strict=True)


# A process that walks the grid and writes what it found, to be killed on its way.
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from stages.lib import params, sweep, workers
base = params.Recipe.model_validate_json(Path("base.json").read_text())
rows = sweep.Rows(**np.load("rows.npz"))
grid = {"learning_rate": [0.001, 0.002, 0.003, 0.004], "batch_size": [16, 32]}
try:
    with workers.pool(1) as pool:
        folds = {base.encoding: [rows]}
        found, _ = sweep.walk(pool, grid, base, folds, seed=int(sys.argv[2]), checkpoints=Path(sys.argv[1] + ".parts"))
    found.to_csv(sys.argv[1])
except sweep.InputError as error:
    sys.exit(f"grid: {error}")
"""


@pytest.fixture
def start(base, parts, tmp_path: Path):
    slow = base.with_point({"epochs": 40})  # slow enough to be met on the way
    (tmp_path / "base.json").write_text(slow.model_dump_json())
    np.savez(tmp_path / "rows.npz", **vars(parts[0]))

    def start(result: str, seed: int = 1) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-uc", PROGRAM, result, str(seed)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


def until_point(process: subprocess.Popen, number: int) -> None:
    while f"point {number}/8" not in process.stdout.readline():
        assert process.poll() is None, process.stderr.read()


@pytest.mark.slow
def test_killed_and_started_again_it_goes_on_and_ends_the_same(start, tmp_path: Path) -> None:
    start("whole.csv").communicate()
    killed = start("resumed.csv")
    until_point(killed, 5)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    again = start("resumed.csv")
    output, _ = again.communicate()
    assert again.returncode == 0
    trained = [line.split()[1] for line in output.splitlines() if line.startswith("point")]
    assert "1/8" not in trained and "8/8" in trained
    assert (tmp_path / "resumed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_fails_and_other_params_start_afresh(sent, start, tmp_path: Path) -> None:
    process = start("part.csv")
    until_point(process, 3)
    process.send_signal(sent)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith("grid: the grid was interrupted after")
    assert not (tmp_path / "part.csv").exists()
    if sent == signal.SIGINT:
        output, _ = start("part.csv", seed=2).communicate()
        assert sum(line.startswith("point") for line in output.splitlines()) == 8
