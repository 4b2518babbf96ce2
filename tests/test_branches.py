"""Branches and experiments, as the README says: run, compared, applied and merged, with data and without."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import readme
import yaml
from project import TINY, Clone, Project

RATE, TREES = "train_base.training.learning_rate", "train_reference.trees.max_iter"
RATES = {"rate-1": 0.00001, "rate-2": 0.01}
TRAINED = {"base", "grid", "smote"}  # by another rate
WRITTEN = ("dvc.lock", "metrics/", "MODEL_CARD.md")  # by stages, into git
SCORES = "metrics/scores.json"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(origin: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    made = Clone(origin, tmp_path_factory.mktemp("branches") / "clone", with_cache=True)
    yield made
    for pid in workers(made):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def workers(clone: Clone) -> set[int]:
    """The processes that run what this clone has queued."""
    found = set()
    for file in (clone.folder / ".dvc/tmp/exps/celery").glob("*.pid"):
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = int(file.read_text())
            if b"queue-worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found


@pytest.fixture(scope="module")
def sweep(clone: Clone) -> dict[str, dict]:
    """Experiments with two learning rates and with a parameter that is wrong, run two at a time: DVC's word on each."""
    clone.dvc("exp", "run", "--queue", "--name", "rate", "-S", f"{RATE}=0.00001,0.01")
    clone.dvc("exp", "run", "--queue", "--name", "wrong", "-S", "smote_train.sampling_strategy=2")
    # Not to a pipe, which would stay open for as long as a worker idles.
    with (clone.folder / ".dvc/tmp/all.log").open("w") as log:
        clone.run("dvc", "exp", "run", "--run-all", "--jobs", "2", stdout=log, stderr=log, timeout=900)
    clone.dvc("queue", "stop")
    (main,) = [shown for shown in json.loads(clone.dvc("exp", "show", "--json")) if shown["rev"] != "workspace"]
    return {shown["name"]: shown["revs"][0] for shown in main["experiments"]}


def commit_of(clone: Clone, experiment: str) -> str:
    """Git does not know experiments by their names."""
    return clone.git("for-each-ref", "--format", "%(objectname)", f"refs/exps/*/*/{experiment}").strip()


def stages_run(said: str) -> set[str]:
    return {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")}


def committed_scores(clone: Clone, revision: str) -> dict:
    return json.loads(clone.git("show", f"{revision}:{SCORES}"))


def test_all_that_is_queued_is_run_two_at_a_time_and_the_workspace_stays_as_it_is(clone: Clone, sweep) -> None:
    log = clone.file(".dvc/tmp/all.log").decode()
    assert set(sweep) == {*RATES, "wrong"}, log
    assert [name for name, shown in sweep.items() if shown["error"]] == ["wrong"], log
    assert "Failed to reproduce experiment(s) 'wrong'" in log, log
    assert clone.git("status", "--porcelain") == ""


def test_the_log_of_an_experiment_that_failed_says_why(clone: Clone, sweep) -> None:
    assert "smote_train.sampling_strategy: expected less than or equal to 1, got 2" in clone.dvc(
        "queue", "logs", "wrong"
    )


def test_an_experiment_is_shown_with_its_params_and_metrics(clone: Clone, sweep) -> None:
    before = clone.scores()
    for name, rate in RATES.items():
        shown = sweep[name]["data"]
        assert shown["params"]["params.yaml"]["data"]["train_base"]["training"]["learning_rate"] == rate
        scores = shown["metrics"][SCORES]["data"]
        assert scores == committed_scores(clone, commit_of(clone, name))
        assert {model for model in before if scores[model] != before[model] and "_" not in model} == TRAINED


def test_afterwards_no_worker_is_left(clone: Clone, sweep) -> None:
    for _ in range(60):
        if not workers(clone):
            break
        time.sleep(1)
    assert not workers(clone)
    assert not list((clone.folder / ".dvc/tmp/exps").glob("*/.grid_search"))


def test_an_experiment_that_is_applied_is_what_repro_would_make_of_its_params(clone: Clone, sweep) -> None:
    clone.dvc("exp", "apply", "rate-2")
    try:
        assert not stages_run(clone.dvc("repro"))
        assert clone.scores() == committed_scores(clone, commit_of(clone, "rate-2"))
        # The same bytes alone as beside another experiment, which had a grid of its own under way.
        before = clone.file("dvc.lock")
        clone.dvc("repro", "--force", "--single-item", "grid_search")
        assert clone.file("dvc.lock") == before
        clone.git("diff", "--exit-code", commit_of(clone, "rate-2"))
    finally:
        clone.git("reset", "--quiet", "--hard")
        clone.dvc("checkout", "--quiet")


def test_an_experiment_becomes_a_branch(clone: Clone, sweep) -> None:
    clone.dvc("exp", "branch", "rate-1", "slower")
    changes = json.loads(clone.dvc("params", "diff", "main", "slower", "--json"))
    assert changes == {"params.yaml": {RATE: {"old": 0.00005, "new": 0.00001, "diff": pytest.approx(-0.00004)}}}
    changes = json.loads(clone.dvc("metrics", "diff", "main", "slower", "--json"))[SCORES]
    assert changes["base.log_loss"]["new"] == committed_scores(clone, "slower")["base"]["log_loss"]


@pytest.fixture(scope="module")
def here(clone: Clone) -> dict:
    """The scores in the workspace after an experiment there."""
    clone.dvc("exp", "run", "--name", "trees", "-S", f"{TREES}=200")
    scores = clone.scores()
    assert "trees" in clone.dvc("exp", "show", "--only-changed")
    clone.git("reset", "--quiet", "--hard")
    return scores


def test_an_experiment_in_the_workspace_changes_it(clone: Clone, here) -> None:
    assert here == committed_scores(clone, commit_of(clone, "trees"))
    assert here["trees"] != committed_scores(clone, "main")["trees"]


@pytest.fixture(scope="module")
def branches(clone: Clone, sweep, here) -> Clone:
    """From main: one with a parameter changed and the pipeline run, another by an experiment."""
    clone.git("checkout", "-b", "faster", "main")
    clone.set_params(**TINY | {RATE: RATES["rate-2"]})
    done = clone.dvc("repro")
    assert stages_run(done) == {"evaluate", "report"}
    clone.git("add", "--all")
    clone.git("commit", "--message", "A faster base network")
    clone.dvc("exp", "branch", "trees", "more-trees")
    return clone


@pytest.fixture(scope="module", params=["with data", "a fresh clone without data"])
def faster(request: pytest.FixtureRequest, branches, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The branch, checked out: where it was made, and by somebody who has pulled nothing."""
    branches.git("checkout", "--quiet", "faster")
    if request.param == "with data":
        return branches
    fresh = Clone(branches, tmp_path_factory.mktemp("fresh") / "clone")
    assert not (fresh.folder / ".dvc/cache").exists() and not (fresh.folder / "data/split/train.parquet").exists()
    return fresh


def test_params_diff_names_the_param_that_was_changed_and_no_other(faster) -> None:
    changes = json.loads(faster.dvc("params", "diff", "main", "--json"))
    assert changes == {"params.yaml": {RATE: {"old": 0.00005, "new": 0.01, "diff": pytest.approx(0.00995)}}}


def test_metrics_diff_lists_the_models_that_were_trained_anew_and_no_other(faster, origin: Project) -> None:
    changes = json.loads(faster.dvc("metrics", "diff", "main", "--json"))
    assert set(changes) == {SCORES, "metrics/decisions.json"}
    models = {name.split(".")[0] for file in changes.values() for name in file}
    assert models >= TRAINED
    assert all(TRAINED & set(model.split("_minus_")) for model in models)
    before, now = origin.scores(), faster.scores()
    for name, change in changes[SCORES].items():
        model, figure = name.split(".")
        assert (change["old"], change["new"]) == (before[model][figure], now[model][figure]), name
        assert change["old"] != change["new"], name


def test_plots_diff_draws_both_branches(faster) -> None:
    drawn = json.loads(faster.dvc("plots", "diff", "main", "--json"))
    assert "errors" not in drawn
    pipeline = yaml.safe_load(faster.file("dvc.yaml"))
    tops = {plot if isinstance(plot, str) else next(iter(plot)) for plot in pipeline["plots"]}
    assert tops <= set(drawn["data"])
    for plot in ("ROC", "precision_recall", "reliability", "lift", "confusion", "loss"):
        (chart,) = drawn["data"][plot]
        points = by_model_and_branch(chart["content"]["data"]["values"])
        assert TRAINED | {"strong"} <= set(points), plot
        for model, found in points.items():
            assert set(found) == {"workspace", "main"}, (plot, model)
            # A confusion matrix may come out the same.
            assert plot == "confusion" or (found["workspace"] != found["main"]) == (model in TRAINED), (plot, model)
    assert {image["revisions"][0] for image in drawn["data"]["metrics/grid.svg"]} == {"workspace", "main"}


def by_model_and_branch(rows: list[dict[str, str]]) -> dict[str, dict[str, list]]:
    found: dict[str, dict[str, list]] = {}
    for row in rows:
        point = [(key, value) for key, value in sorted(row.items()) if key not in ("rev", "filename")]
        found.setdefault(row["filename"].removesuffix(".csv"), {}).setdefault(row["rev"], []).append(point)
    return found


def conflicts(clone: Clone) -> list[str]:
    return clone.git("diff", "--name-only", "--diff-filter=U").splitlines()


def test_a_merge_conflict_is_settled_by_repro_and_nothing_is_trained_again(branches, tmp_path: Path) -> None:
    branches.git("checkout", "--quiet", "faster")
    clone = Clone(branches, tmp_path / "clone", with_cache=True)
    clone.git("branch", "main", "origin/more-trees")  # which has gone on
    assert clone.run("git", "merge", "main").returncode != 0
    found = conflicts(clone)
    assert {"dvc.lock", SCORES} <= set(found) and all(path.startswith(WRITTEN) for path in found)
    assert not [path for path in found if b"<<<<<<<" in clone.file(path)]
    done = clone.dvc("repro")
    clone.git("commit", "--all", "--no-edit")
    assert "Stage 'train_reference' is cached" in done
    assert stages_run(done) == {"evaluate", "report"}
    assert clone.git("status", "--porcelain") == "" and "up to date" in clone.dvc("status")
    for branch, models in {"faster": TRAINED, "more-trees": {"trees"}}.items():
        theirs = committed_scores(branches, branch)
        assert {model: clone.scores()[model] for model in models} == {model: theirs[model] for model in models}
    changes = json.loads(clone.dvc("params", "diff", "origin/main", "--json"))["params.yaml"]
    assert set(changes) == {RATE, TREES}


def test_a_conflict_in_params_is_for_people_to_settle(branches, tmp_path: Path) -> None:
    branches.git("checkout", "--quiet", "faster")
    clone = Clone(branches, tmp_path / "clone")
    clone.git("checkout", "--quiet", "-b", "fast", "origin/main")
    clone.set_params(**TINY | {RATE: 0.001})
    clone.commit("fast")
    assert clone.run("git", "merge", "origin/faster").returncode != 0
    assert conflicts(clone) == ["params.yaml"]
    done = clone.run("dvc", "repro")
    assert done.returncode != 0 and "params.yaml" in done.stderr and "Traceback" not in done.stderr


def test_what_stages_write_into_git_is_never_merged_line_by_line(origin: Project) -> None:
    outs = [
        out["path"] for stage in yaml.safe_load(origin.file("dvc.lock"))["stages"].values() for out in stage["outs"]
    ]
    written = [path for path in origin.git("ls-files").splitlines() if path.startswith(tuple(outs))]
    assert len(written) > 20
    for line in origin.git("check-attr", "merge", "--", "dvc.lock", *written).splitlines():
        assert line.endswith(": merge: unset"), line
    assert origin.git("check-attr", "merge", "--", "params.yaml").endswith(": merge: unspecified\n")


def test_an_experiment_is_forgotten(clone: Clone, sweep, here, branches) -> None:
    clone.dvc("exp", "remove", "--all-commits")
    assert clone.git("for-each-ref", "--format", "%(refname)", "refs/exps/*/*/*") == ""
    assert "slower" in clone.git("branch")


@pytest.mark.parametrize("title", ["Change a parameter", "Compare"])
def test_these_are_the_commands_that_the_readme_gives(title) -> None:
    assert not readme.not_run(title, Clone.commands)
