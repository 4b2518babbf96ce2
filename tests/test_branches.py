"""Experiments and branches, as the documentation shows: run, compared, applied and merged, with and without data."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import documentation
import pytest
import yaml
from checkout import TINY, Checkout, Clone

from stages.lib.evaluation.registry import MODELS

RATES, TREES = "grid_search.grid.learning_rate", "train_reference.trees.max_iter"
GRIDS = {"grid-1": [0.001], "grid-2": [0.01]}  # which change the grid's model only
N_TREES = {"trees-1": 50, "trees-2": 200}
NAMES = {model.name for model in MODELS}
WRITTEN = ("dvc.lock", "metrics/", "MODEL_CARD.md")  # by stages, and committed
EVALUATION = "metrics/evaluation.json"

pytestmark = pytest.mark.slow

Sweep = dict[str, dict[str, Any]]
Figures = dict[str, dict[str, float]]  # by model
Changes = dict[str, dict[str, tuple[float, float]]]  # by file and metric: the old and the new value


@pytest.fixture(scope="module")
def clone(built_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    clone = Clone(built_checkout, tmp_path_factory.mktemp("branches") / "clone", with_cache=True)
    yield clone
    for pid in queue_workers(clone):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def queue_workers(clone: Clone) -> set[int]:
    """The processes that run the clone's queued experiments."""
    pids = set()
    for file in (clone.folder / ".dvc/tmp/exps/celery").glob("*.pid"):
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = int(file.read_text())
            if b"queue-worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                pids.add(pid)
    return pids


@pytest.fixture(scope="module")
def sweep(clone: Clone) -> Sweep:
    """What `dvc exp show` has of each experiment: other grids, other trees and a wrong param, run two at a time."""
    clone.dvc("exp", "run", "--queue", "--name", "grid", "-S", f"{RATES}=[0.001],[0.01]")
    clone.dvc("exp", "run", "--queue", "--name", "trees", "-S", f"{TREES}=50,200")
    clone.dvc("exp", "run", "--queue", "--name", "wrong", "-S", "smote_train.sampling_strategy=2")
    ran = clone.run("dvc", "exp", "run", "--run-all", "--jobs", "2")
    (clone.folder / ".dvc/tmp/all.log").write_text(ran.stdout + ran.stderr)
    clone.dvc("queue", "stop")
    (main,) = [shown for shown in json.loads(clone.dvc("exp", "show", "--json")) if shown["rev"] != "workspace"]
    return {shown["name"]: shown["revs"][0] for shown in main["experiments"]}


def commit_of(clone: Clone, experiment: str) -> str:
    """Git does not know experiments by their names."""
    return clone.git("for-each-ref", "--format", "%(objectname)", f"refs/exps/*/*/{experiment}").strip()


def stages_run(output: str) -> set[str]:
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


def metrics(clone: Checkout) -> Figures:
    """All metrics of each model in the workspace."""
    return clone.json(EVALUATION)["models"]


def committed_metrics(clone: Clone, revision: str) -> Figures:
    return json.loads(clone.git("show", f"{revision}:{EVALUATION}"))["models"]


def dvc_metrics(clone: Clone, revision: str) -> dict[str, dict[str, float]]:
    """The files that DVC shows as metrics, as they were committed."""
    files = [f"metrics/{name}.json" for name in NAMES]
    return {file: json.loads(clone.git("show", f"{revision}:{file}")) for file in files}


def changed_metrics(clone: Clone, old: str, new: str) -> Changes:
    before, after = dvc_metrics(clone, old), dvc_metrics(clone, new)
    changes = {
        file: {key: (value, after[file][key]) for key, value in figures.items() if value != after[file][key]}
        for file, figures in before.items()
    }
    return {file: changed for file, changed in changes.items() if changed}


def old_and_new(metrics_diff: dict[str, dict[str, dict[str, float]]]) -> Changes:
    """The values in the output of `dvc metrics diff --json`."""
    return {
        file: {key: (change["old"], change["new"]) for key, change in changes.items()}
        for file, changes in metrics_diff.items()
    }


def test_queued_experiments_run_two_at_a_time_and_leave_the_workspace_unchanged(clone: Clone, sweep: Sweep) -> None:
    log = clone.file(".dvc/tmp/all.log").decode()
    assert set(sweep) == {*GRIDS, *N_TREES, "wrong"}, log
    assert [name for name, shown in sweep.items() if shown["error"]] == ["wrong"], log
    assert "Failed to reproduce experiment(s) 'wrong'" in log, log
    assert clone.git("status", "--porcelain") == ""


def test_the_log_of_a_failed_experiment_says_why(clone: Clone, sweep: Sweep) -> None:
    reason = "smote_train.sampling_strategy: expected less than or equal to 1, got 2"
    assert reason in clone.dvc("queue", "logs", "wrong")


def test_an_experiment_is_shown_with_its_params_and_metrics(clone: Clone, sweep: Sweep) -> None:
    before = metrics(clone)
    for name in (*GRIDS, *N_TREES):
        shown, commit = sweep[name]["data"], commit_of(clone, name)
        params = shown["params"]["params.yaml"]["data"]
        assert params["grid_search"]["grid"]["learning_rate"] == GRIDS.get(name, [0.0001])
        assert params["train_reference"]["trees"]["max_iter"] == N_TREES.get(name, TINY[TREES])
        assert {file: each["data"] for file, each in shown["metrics"].items()} == dvc_metrics(clone, commit)
        after = committed_metrics(clone, commit)
        changed = {model for model in NAMES if after[model] != before[model]}
        assert changed == ({"grid"} if name in GRIDS else {"trees", "blend"})


def test_no_worker_is_left_running(clone: Clone, sweep: Sweep) -> None:
    for _ in range(60):
        if not queue_workers(clone):
            break
        time.sleep(1)
    assert not queue_workers(clone)
    assert not list((clone.folder / ".dvc/tmp/exps").glob("*/.grid_search"))


@pytest.mark.parametrize("name", ["grid-2", "trees-2"])
def test_an_applied_experiment_is_what_repro_makes_of_its_params(clone: Clone, sweep: Sweep, name: str) -> None:
    clone.dvc("exp", "apply", name)
    try:
        assert not stages_run(clone.dvc("repro"))
        assert metrics(clone) == committed_metrics(clone, commit_of(clone, name))
        if name == "grid-2":
            # It ran beside grid-1, which searched a grid at the same time; alone it gives the same bytes.
            before = clone.file("dvc.lock")
            clone.dvc("repro", "--force", "--single-item", "grid_search")
            assert clone.file("dvc.lock") == before
        clone.git("diff", "--exit-code", commit_of(clone, name))
    finally:
        clone.git("reset", "--quiet", "--hard")
        clone.dvc("checkout", "--quiet")


def test_an_experiment_becomes_a_branch(clone: Clone, sweep: Sweep) -> None:
    clone.dvc("exp", "branch", "trees-1", "fewer-trees")
    changes = json.loads(clone.dvc("params", "diff", "main", "fewer-trees", "--json"))
    assert changes == {"params.yaml": {TREES: {"old": 5, "new": 50, "diff": 45}}}
    changes = json.loads(clone.dvc("metrics", "diff", "main", "fewer-trees", "--json"))
    assert old_and_new(changes) == changed_metrics(clone, "main", "fewer-trees")
    assert set(changes) == {"metrics/trees.json", "metrics/blend.json"}


@pytest.fixture(scope="module")
def in_workspace(clone: Clone) -> Figures:
    """The metrics in the workspace after an experiment there."""
    clone.dvc("exp", "run", "--name", "more-trees", "-S", f"{TREES}=300")
    after = metrics(clone)
    assert "more-trees" in clone.dvc("exp", "show", "--only-changed", "--drop", "[^:]*/[^:]*$")
    clone.git("reset", "--quiet", "--hard")
    return after


def test_an_experiment_in_the_workspace_changes_it(clone: Clone, in_workspace: Figures) -> None:
    assert in_workspace == committed_metrics(clone, commit_of(clone, "more-trees"))
    assert in_workspace["trees"] != committed_metrics(clone, "main")["trees"]


@pytest.fixture(scope="module")
def branches(clone: Clone, sweep: Sweep, in_workspace: Figures) -> Clone:
    """The clone with two branches of main: faster, by a changed param and repro; merged, by an experiment."""
    clone.git("checkout", "-b", "faster", "main")
    clone.set_params(**TINY | {RATES: GRIDS["grid-2"]})
    assert stages_run(clone.dvc("repro")) == {"evaluate"}  # the others are in the run cache
    clone.git("add", "--all")
    clone.git("commit", "--message", "A faster base network")
    clone.dvc("exp", "branch", "more-trees", "merged")
    return clone


@pytest.fixture(scope="module", params=["with data", "a fresh clone without data"])
def faster(request: pytest.FixtureRequest, branches: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The branch checked out, where it was made and in a clone of somebody who has pulled nothing."""
    branches.git("checkout", "--quiet", "faster")
    if request.param == "with data":
        return branches
    fresh = Clone(branches, tmp_path_factory.mktemp("fresh") / "clone")
    assert not (fresh.folder / ".dvc/cache").exists() and not (fresh.folder / "data/split/train.parquet").exists()
    return fresh


def test_params_diff_shows_the_changed_param_only(faster: Clone) -> None:
    changes = json.loads(faster.dvc("params", "diff", "main", "--json"))
    assert changes == {"params.yaml": {RATES: {"old": "[0.0001]", "new": "[0.01]"}}}


def test_metrics_diff_shows_the_changed_metrics_only(faster: Clone) -> None:
    changes = json.loads(faster.dvc("metrics", "diff", "main", "--json"))
    main = "origin/main" if faster.git("branch", "--list", "main") == "" else "main"
    assert old_and_new(changes) == changed_metrics(faster, main, "HEAD")
    assert set(changes) == {"metrics/grid.json"}


def test_plots_diff_draws_both_branches(faster: Clone) -> None:
    drawn = json.loads(faster.dvc("plots", "diff", "main", "--json"))
    assert "errors" not in drawn
    pipeline = yaml.safe_load(faster.file("dvc.yaml"))
    plots = {plot if isinstance(plot, str) else next(iter(plot)) for plot in pipeline["plots"]}
    assert plots <= set(drawn["data"])
    for plot in ("roc", "precision_recall", "cumulative_gains", "loss", "calibration", "confusion"):
        (chart,) = drawn["data"][f"metrics/{plot}.csv"]
        points = by_model_and_branch(chart["content"]["data"]["values"])
        assert {"grid", "strong"} <= set(points), plot
        for model, branches in points.items():
            assert set(branches) == {"workspace", "main"}, (plot, model)
            # Two models may have the same confusion matrix.
            if plot != "confusion":
                assert (branches["workspace"] != branches["main"]) == (model == "grid"), (plot, model)
    assert {image["revisions"][0] for image in drawn["data"]["metrics/grid.svg"]} == {"workspace", "main"}


def by_model_and_branch(rows: list[dict[str, str]]) -> dict[str, dict[str, list[Any]]]:
    """The points of each model in each branch; a row names its model as a column, or in the column `model`."""
    points: dict[str, dict[str, list[Any]]] = {}
    for row in rows:
        model = row.get("model") or row["field"]
        # Each row has the curves of all models in columns, and this model's in one of DVC's.
        point = [(key, value) for key, value in sorted(row.items()) if key not in ("rev", "filename", *NAMES)]
        points.setdefault(model, {}).setdefault(row["rev"], []).append(point)
    return points


def conflicts(clone: Clone) -> list[str]:
    return clone.git("diff", "--name-only", "--diff-filter=U").splitlines()


def test_repro_resolves_a_merge_conflict_without_training_again(branches: Clone, tmp_path: Path) -> None:
    branches.git("checkout", "--quiet", "faster")
    clone = Clone(branches, tmp_path / "clone", with_cache=True)
    clone.git("branch", "main", "origin/merged")  # which has moved on
    assert clone.run("git", "merge", "main").returncode != 0
    conflicting = conflicts(clone)
    assert {"dvc.lock", EVALUATION} <= set(conflicting)
    assert not [path for path in conflicting if not path.startswith(WRITTEN)]
    assert not [path for path in conflicting if b"<<<<<<<" in clone.file(path)]
    output = clone.dvc("repro")
    clone.git("commit", "--all", "--no-edit")
    assert "Stage 'train_reference' is cached" in output
    assert stages_run(output) == {"evaluate"}
    assert clone.git("status", "--porcelain") == "" and "up to date" in clone.dvc("status")
    merged = metrics(clone)
    for branch, model in {"faster": "grid", "merged": "trees"}.items():
        assert merged[model] == committed_metrics(branches, branch)[model]
    changes = json.loads(clone.dvc("params", "diff", "origin/main", "--json"))["params.yaml"]
    assert set(changes) == {RATES, TREES}


def test_a_conflict_in_params_has_to_be_resolved_by_hand(branches: Clone, tmp_path: Path) -> None:
    branches.git("checkout", "--quiet", "faster")
    clone = Clone(branches, tmp_path / "clone")
    clone.git("checkout", "--quiet", "-b", "fast", "origin/main")
    clone.set_params(**TINY | {RATES: [0.001]})
    clone.commit("fast")
    assert clone.run("git", "merge", "origin/faster").returncode != 0
    assert conflicts(clone) == ["params.yaml"]
    repro = clone.run("dvc", "repro")
    assert repro.returncode != 0 and "params.yaml" in repro.stderr and "Traceback" not in repro.stderr


def test_experiments_are_removed(clone: Clone, sweep: Sweep, in_workspace: Figures, branches: Clone) -> None:
    clone.dvc("exp", "remove", "--all-commits")
    assert clone.git("for-each-ref", "--format", "%(refname)", "refs/exps/*/*/*") == ""
    assert "fewer-trees" in clone.git("branch")


def test_all_commands_of_the_documentation_were_run() -> None:
    assert not documentation.not_run("dvc exp run --queue", Clone.commands)
    assert not documentation.not_run("dvc metrics diff main", Clone.commands)
