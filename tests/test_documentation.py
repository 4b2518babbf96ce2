"""Tests run every command in README.md and docs/: here, or in a file that checks that it has run them."""

import re
import shutil
import sys
from pathlib import Path

import documentation
import pandas as pd
import pytest
from checkout import TINY, Checkout, Clone
from helpers import ROOT

# A command of each section whose commands are run here
RUN_HERE = (
    *("make repro", "dvc metrics show", "python -m stages.score models/base", "git checkout metrics"),
    *("dvc exp run --name fewer-trees", "python -m stages.score models/blend data/raw"),
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def newcomer(built_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone with all outputs, in which make takes the environment for installed."""
    clone = Clone(built_checkout, tmp_path_factory.mktemp("newcomer") / "clone", with_cache=True)
    for name in ("Makefile", "requirements.txt", "requirements-test.txt"):
        shutil.copy(ROOT / name, clone.folder)
    (clone.folder / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        if not path.name.startswith("ready"):
            (clone.folder / ".venv" / path.name).symlink_to(path)
    for target in ("ready", "ready-to-test"):
        (clone.folder / ".venv" / target).touch()
    return clone


def run(clone: Clone, *command: str) -> str:
    completed = clone.run(*command)
    assert completed.returncode == 0, f"{command}\n{completed.stdout}{completed.stderr}"
    return completed.stdout


def test_every_command_is_run_by_a_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    run_elsewhere = re.findall(r'assert not documentation\.not_run\("([^"]+)"', tests)
    run = {command for start in (*RUN_HERE, *run_elsewhere) for command in documentation.section(start)}
    assert not [command for commands in documentation.sections() for command in commands if command not in run]


def test_the_quick_start(newcomer: Clone) -> None:
    repro, test = documentation.section("make repro")
    assert "Data and pipelines are up to date." in run(newcomer, *repro)
    # Without --dry-run, it would run all tests.
    assert "python -m pytest" in run(newcomer, *test, "--dry-run")
    assert " ".join(test) in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_metrics_and_plots_are_shown(newcomer: Clone) -> None:
    metrics, plots = documentation.section("dvc plots show")
    assert "metrics/base.json" in run(newcomer, *metrics)
    assert "index.html" in run(newcomer, *plots)
    assert "<html" in newcomer.file("dvc_plots/index.html").decode()


def test_new_sessions_are_scored(newcomer: Clone) -> None:
    (score,) = documentation.section("python -m stages.score models/base")
    log = pd.read_parquet(newcomer.folder / "data/raw/clicks.parquet")
    log.to_csv(newcomer.folder / "tomorrow.csv", index=False)
    run(newcomer, *score)
    scores = pd.read_csv(newcomer.folder / "scores.csv")
    assert list(scores) == ["session", "visitor", "time", "probability", "decision"]
    assert len(scores) == 300 and scores.probability.between(0, 1).all()


def test_the_tutorial(newcomer: Clone) -> None:
    assert "up to date" in run(newcomer, "dvc", "status")
    before = run(newcomer, "dvc", "metrics", "show")
    names = ("metrics/trees.json", "models/trees/trees.npz")
    committed = [newcomer.file(name) for name in names]
    *change, restore_git, restore_dvc = documentation.section("dvc exp run --name fewer-trees")
    experiment, *_, metrics_changed = [run(newcomer, *command) for command in change]
    for stage in ("train_reference", "blend", "evaluate"):
        assert f"Running stage '{stage}'" in experiment
    assert experiment.count("Running stage") == 3
    assert "metrics/trees.json" in metrics_changed
    for command in (restore_git, restore_dvc):
        run(newcomer, *command)
    assert [newcomer.file(name) for name in names] == committed
    assert run(newcomer, "dvc", "metrics", "show") == before
    (score,) = documentation.section("python -m stages.score models/blend data/raw")
    run(newcomer, *score)
    assert len(pd.read_csv(newcomer.folder / "predicted.csv")) == 300


def test_outputs_are_restored_after_a_failure(newcomer: Clone) -> None:
    names = ("models/smote/network.keras", "metrics/evaluation.json")
    before = [newcomer.file(name) for name in names]
    newcomer.set_params(**TINY | {"smote_train.sampling_strategy": 2})
    repro = newcomer.run("dvc", "repro")
    assert repro.returncode != 0
    assert "smote_train.sampling_strategy: expected less than or equal to 1, got 2" in repro.stderr
    assert not (newcomer.folder / names[0]).exists(), repro.stdout
    (newcomer.folder / names[1]).unlink()
    for command in documentation.section("git checkout metrics"):
        run(newcomer, *command)
    assert [newcomer.file(name) for name in names] == before
