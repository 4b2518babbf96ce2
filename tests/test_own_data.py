"""Other people's data by changing params only: a session table, a click log, and the README's example in full."""

import json
import shutil
from pathlib import Path

import documentation
import pytest
from checkout import Checkout
from helpers import SHARED_DATA, RunStage, WriteParams
from real_data import BANK, REES46, RealData

from stages.lib.dataset.sessions import read_sessions

TRAINING = {
    "train_base.training.epochs": 3,
    "grid_search.grid": {"learning_rate": [0.001]},
    "grid_search.folds": 0,
    "train_strong.network.layers": [4],
    "train_strong.network.ensemble_size": 2,
    "train_strong.training.epochs": 1,
    "train_strong.teacher.max_iter": 20,
    "train_strong.candidates": [{}],
    "train_reference.trees.max_iter": 20,
    "validation.folds": 0,
}


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not SHARED_DATA.is_dir(),
        reason=f"the real tables are not here: no folder {SHARED_DATA.name} beside the checkout",
    ),
]


@pytest.mark.parametrize("data", [BANK, REES46], ids=lambda data: data.name)
def test_real_data_by_changing_params_only(run_stage: RunStage, write_params: WriteParams, data: RealData) -> None:
    write_params(**data.params)
    prepared = run_stage("prepare", data.path, "sessions.parquet")
    assert prepared.code == 0, prepared.err
    assert ("is truncated and was dropped" in prepared.out) == (data is REES46)
    split = run_stage("split", "sessions.parquet", "train.parquet", "test.parquet", "targets.parquet", "data.json")
    assert split.code == 0, split.err
    targets = read_sessions(Path("targets.parquet")).column("target")
    assert (len(targets), targets.sum()) == (data.test_rows, data.test_purchases)


def test_the_readme_s_example(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, **TRAINING)
    checkout.commit("First")
    (tmp_path / "data/raw").mkdir(parents=True)
    shutil.copy(SHARED_DATA / "online_shoppers_intention.csv", tmp_path / "data/raw")
    output = ""
    for command in documentation.section("dvc add data/raw"):
        done = checkout.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        output += done.stdout
    assert "Running stage 'split'" in output and "Running stage 'simulate'" not in output
    assert not documentation.not_run("dvc add data/raw", Checkout.commands)
    evaluation = json.loads(checkout.file("metrics/evaluation.json"))
    assert (evaluation["test"]["rows"], evaluation["test"]["purchases"]) == (2466, 382)
    aucs = [evaluation["models"][name]["auc"] for name in ("base", "grid", "smote")]
    assert sum(aucs) / len(aucs) > 0.80
