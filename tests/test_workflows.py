"""What GitHub and GitLab do with a pull request: their files are valid and careful, and their commands work."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from project import Project

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PULL_REQUEST = ROOT / ".github" / "workflows" / "pull-request.yml"
GITLAB = ROOT / ".gitlab-ci.yml"

QUICK = {
    "train_base.training.epochs": 2,
    "train_strong.training.epochs": 2,
    "grid_search.grid": {"learning_rate": [0.0001, 0.001]},
}


def read(path: Path) -> dict:
    # As text all the way: to YAML 1.1 the key `on` is true.
    return yaml.load(path.read_text(), Loader=yaml.BaseLoader)


def steps(path: Path) -> list[dict]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        *(("vendor.github-workflows", path) for path in WORKFLOWS),
        *(("custom.github-workflows-require-timeout", path) for path in WORKFLOWS),
        ("vendor.gitlab-ci", GITLAB),
    ],
    ids=str,
)
def test_they_are_valid(schema: str, path: Path) -> None:
    check = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run([check, "--builtin-schema", schema, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_the_version_stands_beside(path: Path) -> None:
    uses = re.findall(r"uses: *(.*)", path.read_text())
    assert len(uses) == sum("uses" in step for step in steps(path)) > 0
    for use in uses:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} +# v\d+\.\d+\.\d+", use), use


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_no_more(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job or "secrets" in job for job in workflow["jobs"].values())
    assert "secrets." not in path.read_text() and "github.token" not in path.read_text()
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts and all(step["with"]["persist-credentials"] == "false" for step in checkouts)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_stranger_writes_is_never_a_command(path: Path) -> None:
    on = read(path)["on"]
    assert set([on] if isinstance(on, str) else on) <= {"pull_request", "push"}
    assert not any("${{" in step.get("run", "") for step in steps(path))


def test_the_pythons_that_are_tested_are_the_oldest_and_the_newest_one() -> None:
    oldest, newest = re.search(r"\((3, \d+)\) <= .* <= \((3, \d+)\)", (ROOT / "Makefile").read_text()).groups()
    expected = [version.replace(", ", ".") for version in (oldest, newest)]
    tests = read(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]["tests"]
    assert tests["strategy"]["matrix"]["python"] == expected
    assert read(GITLAB)["tests"]["parallel"]["matrix"] == [{"PYTHON": expected}]


class Checkout:
    """A clone with a pull request merged, as a forge checks it out, and an environment that is installed."""

    def __init__(self, origin: Path, folder: Path):
        self.folder = folder
        subprocess.run(["git", "clone", "--quiet", origin, folder], check=True)
        (folder / ".venv").mkdir()
        for part in Path(sys.prefix).iterdir():
            if not part.name.startswith("ready"):
                (folder / ".venv" / part.name).symlink_to(part)
        (folder / ".venv" / "ready").touch()

    def run(self, command: str, **variables: str) -> str:
        """The command as GitHub runs it, with what is installed in no other place than .venv."""
        own = str(Path(sys.executable).parent)
        path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != own)
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
def checkout(tmp_path: Path) -> Checkout:
    """A pull request that changes a learning rate and a score, merged."""
    project = Project(tmp_path / "origin", **QUICK)
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, project.folder)
    for name in (".ci", "metrics"):
        shutil.copytree(ROOT / name, project.folder / name)
    scores = project.folder / "metrics" / "scores.json"
    scores.write_text(json.dumps({"base": {"auc": 0.7}, "test": {"rows": 300}}))
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b")
    project.run("git", "add", "--all")
    project.run(*git, "commit", "--quiet", "--message", "first")
    project.run("git", "checkout", "--quiet", "-b", "change")
    change(project.folder / "params.yaml", "learning_rate: 0.003", "learning_rate: 0.002")
    change(scores, "0.7", "0.75")
    project.run(*git, "commit", "--quiet", "--all", "--message", "another learning rate")
    project.run("git", "checkout", "--quiet", "main")
    assert project.run(*git, "merge", "--quiet", "--no-ff", "change").returncode == 0
    return Checkout(project.folder, tmp_path / "checkout")


@pytest.mark.slow
def test_a_pull_request_on_github_is_compared_and_runs_on_small_data(checkout: Checkout, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    commands = [step["run"] for step in steps(PULL_REQUEST) if "run" in step and step["name"] != "Install"]
    assert len(commands) == 2
    for command in commands:
        checkout.run(command, GITHUB_STEP_SUMMARY=str(summary))
    told = summary.read_text()
    assert re.search(r"\| train_strong\.training\.learning_rate +\| 0\.003 +\| 0\.002 ", told)
    assert re.search(r"\| base\.auc +\| 0\.7 +\| 0\.75 +\| 0\.05 ", told)
    assert "test.rows" not in told
    assert (checkout.folder / "metrics" / "summary.md").read_text().strip() in told
    assert "All stages ran on small data (`make small`)" in told
    assert checkout.git("status", "--short") == ""
    small = checkout.git("for-each-ref", "--format", "%(refname)", "refs/exps").strip()
    assert small.endswith("/small")
    assert json.loads(checkout.git("show", f"{small}:metrics/data.json"))["rows"] == 1500


def test_a_merge_request_on_gitlab_is_compared_by_the_same_means(checkout: Checkout) -> None:
    compare = next(line for line in read(GITLAB)["pipeline"]["script"] if line.startswith(".ci/compare"))
    checkout.run(compare, CI_MERGE_REQUEST_DIFF_BASE_SHA=checkout.git("rev-parse", "HEAD^").strip())
    (kept,) = read(GITLAB)["pipeline"]["artifacts"]["paths"]
    assert re.search(r"\| base\.auc +\| 0\.7 +\| 0\.75 +\| 0\.05 ", (checkout.folder / kept).read_text())
    (metrics,) = read(GITLAB)["metrics"]["script"]
    checkout.run(metrics)
    dumped = checkout.folder / read(GITLAB)["metrics"]["artifacts"]["reports"]["metrics"]
    assert dumped.read_text() == "base_auc 0.75\ntest_rows 300\n"


def test_a_failing_stage_fails_the_small_run(checkout: Checkout) -> None:
    (checkout.folder / "stages" / "simulate.py").write_text("raise SystemExit(1)")
    with pytest.raises(AssertionError, match="failed to reproduce 'simulate'"):
        checkout.run("make small")


@pytest.fixture
def one_stage(checkout: Checkout) -> Checkout:
    """The same, with a pipeline of one stage, which copies `given`, that has run: the lock is true."""
    (checkout.folder / "given").write_text('{"auc": 1}')
    stage = {"cmd": "cp given made.json", "deps": ["given"], "metrics": [{"made.json": {"cache": False}}]}
    (checkout.folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"copy": stage}}))
    checkout.run(".venv/bin/dvc repro --quiet")
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "--message", "one stage")
    return checkout


def test_only_a_lock_that_is_not_of_this_code_is_called_out_of_date(one_stage: Checkout) -> None:
    told = one_stage.run(".ci/compare HEAD")
    assert "Out of date" not in told and told.count("None has changed.") == 2
    (one_stage.folder / "given").write_text('{"auc": 2}')
    told = one_stage.run(".ci/compare HEAD")
    assert "**Out of date**: from the stage `copy` on" in told and "None has changed." in told


def test_a_comparison_that_fails_says_nothing_of_no_change(one_stage: Checkout) -> None:
    with pytest.raises(AssertionError, match="Needed a single revision"):
        one_stage.run(".ci/compare no-such-branch")
    (one_stage.folder / "dvc.yaml").write_text("stages: [")
    with pytest.raises(AssertionError) as failed:
        one_stage.run(".ci/compare HEAD")
    assert "None has changed" not in str(failed.value)
