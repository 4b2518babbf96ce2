"""What GitHub and GitLab do with a pull request: their files are valid and safe, and their commands work."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import Checkout
from helpers import ROOT

from benchmarks.tools import write_params
from stages.lib.common.params import Params
from stages.lib.evaluation.registry import MODELS

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PULL_REQUEST = ROOT / ".github" / "workflows" / "pull-request.yml"
GITLAB = ROOT / ".gitlab-ci.yml"

CHANGED_AUC = r"\| metrics/base\.json +\| auc +\| 0\.7 +\| 0\.75 +\| 0\.05 "
# In place of every stage: writes its outputs, and trains nothing.
STAND_IN = """
import json, sys, yaml
from pathlib import Path
sessions = yaml.safe_load(Path("params.yaml").read_text())["simulate"]["sessions"]
for path in map(Path, sys.argv[1:]):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"rows": sessions}))
"""


def read(path: Path) -> dict[str, Any]:
    # All values as text, since the key `on` is true in YAML 1.1.
    content: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    return content


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        *(("vendor.github-workflows", path) for path in WORKFLOWS),
        *(("custom.github-workflows-require-timeout", path) for path in WORKFLOWS),
        ("vendor.gitlab-ci", GITLAB),
        ("vendor.dependabot", ROOT / ".github" / "dependabot.yml"),
        ("vendor.citation-file-format", ROOT / "CITATION.cff"),
    ],
    ids=str,
)
def test_workflows_are_valid(schema: str, path: Path) -> None:
    check = Path(sys.executable).with_name("check-jsonschema")
    command: list[str | Path] = [check, "--default-filetype", "yaml", "--builtin-schema", schema, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_with_their_version_in_a_comment(path: Path) -> None:
    uses = re.findall(r"uses: *(.*)", path.read_text())
    assert len(uses) == sum("uses" in step for step in steps(path)) > 0
    for use in uses:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} +# v\d+\.\d+\.\d+", use), use


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job or "secrets" in job for job in workflow["jobs"].values())
    assert "secrets." not in path.read_text() and "github.token" not in path.read_text()
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts and all(step["with"]["persist-credentials"] == "false" for step in checkouts)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_text_from_a_pull_request_becomes_part_of_a_command(path: Path) -> None:
    on = read(path)["on"]
    assert set([on] if isinstance(on, str) else on) <= {"pull_request", "push", "schedule", "workflow_dispatch"}
    assert not any("${{" in step.get("run", "") for step in steps(path))


def test_the_oldest_and_the_newest_supported_python_are_tested() -> None:
    ((oldest, newest),) = re.findall(r"\((3, \d+)\) <= .* <= \((3, \d+)\)", (ROOT / "Makefile").read_text())
    expected = [version.replace(", ", ".") for version in (oldest, newest)]
    tests = read(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]["tests"]
    assert tests["strategy"]["matrix"]["python"] == expected
    assert read(GITLAB)["tests"]["parallel"]["matrix"] == [{"VERSION": expected}]


class RunnerCheckout:
    """A clone with a pull request merged, as GitHub checks it out, and with .venv installed."""

    def __init__(self, origin: Path, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["git", "clone", "--quiet", origin, folder], check=True)
        (folder / ".venv").mkdir()
        for path in Path(sys.prefix).iterdir():
            if not path.name.startswith("ready"):
                (folder / ".venv" / path.name).symlink_to(path)
        (folder / ".venv" / "ready").touch()

    def run(self, command: str, **variables: str) -> str:
        """Run a command as GitHub does; programs of Python packages are only in .venv."""
        here = str(Path(sys.executable).parent)
        path = os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if folder != here)
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
            cwd=self.folder,
            env=os.environ | variables | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


def change(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def checkout(tmp_path: Path) -> RunnerCheckout:
    """A pull request that changes a learning rate and an AUC, merged."""
    checkout = Checkout(tmp_path / "origin")
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, checkout.folder)
    for name in (".ci", "metrics"):
        shutil.copytree(ROOT / name, checkout.folder / name)
    for model in MODELS:
        (checkout.folder / "metrics" / f"{model.name}.json").write_text(json.dumps({"auc": 0.7}))
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b")
    checkout.run("git", "add", "--all")
    checkout.run(*git, "commit", "--quiet", "--message", "first")
    checkout.run("git", "checkout", "--quiet", "-b", "change")
    change(checkout.folder / "params.yaml", "learning_rate: 0.003", "learning_rate: 0.002")
    change(checkout.folder / "metrics" / "base.json", "0.7", "0.75")
    checkout.run(*git, "commit", "--quiet", "--all", "--message", "another learning rate")
    checkout.run("git", "checkout", "--quiet", "main")
    assert checkout.run(*git, "merge", "--quiet", "--no-ff", "change").returncode == 0
    return RunnerCheckout(checkout.folder, tmp_path / "checkout")


@pytest.fixture
def without_training(checkout: RunnerCheckout) -> RunnerCheckout:
    """The same, with all stages and their outputs, but another command in place of theirs."""
    path = checkout.folder / "dvc.yaml"
    pipeline = yaml.safe_load(path.read_text())
    for stage in pipeline["stages"].values():
        outs = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
        paths = [out if isinstance(out, str) else next(iter(out)) for out in outs]
        stage["cmd"] = " ".join(["python stages/stand_in.py", *paths])
    path.write_text(yaml.safe_dump(pipeline))
    (checkout.folder / "stages/stand_in.py").write_text(STAND_IN)
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "--amend", "--no-edit")
    return checkout


@pytest.mark.slow
def test_a_pull_request_on_github_is_compared_and_runs_on_small_data(
    without_training: RunnerCheckout, tmp_path: Path
) -> None:
    checkout, summary = without_training, tmp_path / "summary.md"
    commands = [step["run"] for step in steps(PULL_REQUEST) if "run" in step and step["name"] != "Install"]
    assert len(commands) == 2
    for command in commands:
        checkout.run(command, GITHUB_STEP_SUMMARY=str(summary))
    text = summary.read_text()
    assert re.search(r"\| train_strong\.training\.learning_rate +\| 0\.003 +\| 0\.002 ", text)
    assert re.search(CHANGED_AUC, text)
    assert "metrics/grid.json" not in text  # it has not changed
    assert (checkout.folder / "metrics" / "summary.md").read_text().strip() in text
    assert "All stages ran on small data (`make small`)" in text
    assert checkout.git("status", "--short") == ""
    small = checkout.git("for-each-ref", "--format", "%(refname)", "refs/exps").strip()
    assert small.endswith("/small")
    assert json.loads(checkout.git("show", f"{small}:metrics/data.json"))["rows"] == 1500


def test_the_params_of_the_small_run_are_valid(tmp_path: Path) -> None:
    (changes,) = re.findall(r"^SMALL := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    values = {key: yaml.safe_load(value) for key, value in (change.split("=") for change in changes.split())}
    write_params(tmp_path / "params.yaml", values)
    assert Params.load(tmp_path / "params.yaml").simulate.sessions == values["simulate.sessions"] < 2000


@pytest.mark.slow
def test_a_merge_request_on_gitlab_is_compared_by_the_same_command(checkout: RunnerCheckout) -> None:
    compare = next(line for line in read(GITLAB)["pipeline"]["script"] if line.startswith(".ci/compare"))
    checkout.run(compare, CI_MERGE_REQUEST_DIFF_BASE_SHA=checkout.git("rev-parse", "HEAD^").strip())
    (artifact,) = read(GITLAB)["pipeline"]["artifacts"]["paths"]
    assert re.search(CHANGED_AUC, (checkout.folder / artifact).read_text())
    (metrics,) = read(GITLAB)["metrics"]["script"]
    checkout.run(metrics)
    report = checkout.folder / read(GITLAB)["metrics"]["artifacts"]["reports"]["metrics"]
    aucs = [f"{model.name}_auc {0.75 if model.name == 'base' else 0.7}" for model in MODELS]
    assert report.read_text().splitlines() == aucs


@pytest.mark.slow
def test_a_failing_stage_fails_the_small_run(checkout: RunnerCheckout) -> None:
    (checkout.folder / "stages" / "simulate.py").write_text("raise SystemExit(1)")
    with pytest.raises(AssertionError, match="failed to reproduce 'simulate'"):
        checkout.run("make small")


@pytest.fixture
def one_stage(checkout: RunnerCheckout) -> RunnerCheckout:
    """The same, with a pipeline of one stage that has run, so that its dvc.lock is up to date."""
    (checkout.folder / "input").write_text('{"auc": 1}')
    stage = {"cmd": "cp input copy.json", "deps": ["input"], "metrics": [{"copy.json": {"cache": False}}]}
    (checkout.folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"copy": stage}}))
    checkout.run(".venv/bin/dvc repro --quiet")
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "--message", "one stage")
    return checkout


@pytest.mark.slow
def test_only_a_lock_that_does_not_match_the_inputs_is_called_out_of_date(one_stage: RunnerCheckout) -> None:
    text = one_stage.run(".ci/compare HEAD")
    assert "Out of date" not in text and text.count("No changes.") == 2
    (one_stage.folder / "input").write_text('{"auc": 2}')
    text = one_stage.run(".ci/compare HEAD")
    assert "**Out of date**: from the stage `copy` on" in text and "No changes." in text


@pytest.mark.slow
def test_a_comparison_that_fails_does_not_report_no_changes(one_stage: RunnerCheckout) -> None:
    with pytest.raises(AssertionError, match="Needed a single revision"):
        one_stage.run(".ci/compare no-such-branch")
    (one_stage.folder / "dvc.yaml").write_text("stages: [")
    with pytest.raises(AssertionError) as failure:
        one_stage.run(".ci/compare HEAD")
    assert "No changes" not in str(failure.value)
