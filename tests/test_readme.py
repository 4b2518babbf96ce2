"""Every command of the README is run by a test: here, or in a file that holds what it has run against the README."""

import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import readme
from helpers import ROOT
from project import TINY, Clone, Project

COMMANDS = readme.commands()
TESTS = Path(__file__).parent
ELSEWHERE = {
    "Change a parameter": "test_branches.py",
    "Compare": "test_branches.py",
    "Share": "test_remotes.py",
    "Your own data, in full": "test_own_data.py",
    "Past one machine's memory, and past one machine": "test_cluster_grid.py",
}
HERE = ("Start", "Look", "Score", "Go on after a failure")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def newcomer(origin: Project, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone after `make repro` has installed what it needs, and after all has been pulled."""
    clone = Clone(origin, tmp_path_factory.mktemp("newcomer") / "clone", with_cache=True)
    for name in ("Makefile", "requirements.txt", "requirements-test.txt"):
        shutil.copy(ROOT / name, clone.folder)
    (clone.folder / ".venv").mkdir()
    for part in Path(sys.prefix).iterdir():
        if not part.name.startswith("ready"):
            (clone.folder / ".venv" / part.name).symlink_to(part)
    for mark in ("ready", "ready-to-test"):
        (clone.folder / ".venv" / mark).touch()
    return clone


def run(clone: Clone, *command: str) -> str:
    done = clone.run(*command)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_section_with_commands_is_held_to_its_tests() -> None:
    assert set(COMMANDS) == {*HERE, *ELSEWHERE}
    for title, file in ELSEWHERE.items():
        test = (TESTS / file).read_text(encoding="utf-8")
        assert "readme.not_run(" in test and f'"{title}"' in test, file


def test_the_two_commands_to_start_with(newcomer) -> None:
    repro, test = COMMANDS["Start"]
    assert "Data and pipelines are up to date." in run(newcomer, *repro)
    # All tests of the project, this one among them, would take a while.
    assert "python -m pytest" in run(newcomer, *test, "--dry-run")
    assert " ".join(test) in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_looking_at_metrics_and_curves(newcomer) -> None:
    metrics, plots = COMMANDS["Look"]
    assert "metrics/scores.json" in run(newcomer, *metrics)
    assert "index.html" in run(newcomer, *plots)
    assert "<html" in newcomer.file("dvc_plots/index.html").decode()


def test_scoring(newcomer) -> None:
    (score,) = COMMANDS["Score"]
    log = pd.read_parquet(newcomer.folder / "data/raw/clicks.parquet")
    log.to_csv(newcomer.folder / "tomorrow.csv", index=False)
    run(newcomer, *score)
    scores = pd.read_csv(newcomer.folder / "scores.csv")
    assert list(scores) == ["session", "visitor", "time", "probability", "decision"]
    assert len(scores) == 300 and scores.probability.between(0, 1).all()


def test_what_a_failed_stage_has_taken_away_comes_back(newcomer) -> None:
    names = ("models/smote/network.keras", "metrics/scores.json")
    before = [newcomer.file(name) for name in names]
    newcomer.set_params(**TINY | {"smote_train.sampling_strategy": 2})
    failed = newcomer.run("dvc", "repro")
    assert (
        failed.returncode != 0
        and "smote_train.sampling_strategy: expected less than or equal to 1, got 2" in failed.stderr
    )
    assert not (newcomer.folder / names[0]).exists()
    (newcomer.folder / names[1]).unlink()
    for command in COMMANDS["Go on after a failure"]:
        run(newcomer, *command)
    assert [newcomer.file(name) for name in names] == before
