"""The commands for developers: the targets of the Makefile, and the pre-commit hooks."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import ROOT

TARGETS = set(re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[0].split())
REPOS = {repo["repo"]: repo for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]}
HOOKS = {hook["id"]: hook for hook in REPOS["local"]["hooks"]}
MODULE = "stages/lib/preparation/timestamps.py"
MYPY_CACHE = ".mypy_cache"
# A file for each local hook, and a line that the hook must reject at its end
REJECTED = {
    "mypy": (MODULE, "NUMBER: int = 'text'\n"),
    "lock": (MODULE, "# A comment\n"),
    "unit": (MODULE, "raise ValueError\n"),
}


def test_make_without_a_target_lists_every_target_on_a_line() -> None:
    command = ["make", "--no-print-directory"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    first, *lines = completed.stdout.splitlines()
    assert first.startswith("Start with make repro")
    matches = [match for line in lines if (match := re.fullmatch(r"  make ([a-z]+) +(\S.*)", line))]
    assert len(matches) == len(lines) and {match[1] for match in matches} == TARGETS
    assert len({match.start(2) for match in matches}) == 1, "not aligned"
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_make_commands_in_the_documentation_exist(name: str) -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", (ROOT / name).read_text(), re.M))
    assert "test" in named and named <= TARGETS


@pytest.fixture
def working_tree(tmp_path: Path) -> Path:
    """A copy of all files but the ignored ones, in a git repository, with the environment and the cache of mypy."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in (name for name in listed if (ROOT / name).is_file()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    if (ROOT / MYPY_CACHE).exists():
        shutil.copytree(ROOT / MYPY_CACHE, tmp_path / MYPY_CACHE)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def run_hook(name: str, file: str, folder: Path) -> subprocess.CompletedProcess[str]:
    hook = HOOKS[name]
    assert re.search(hook.get("files", ""), file), f"{name} does not run for {file}"
    files = [file] if hook.get("pass_filenames", True) else []
    if name == "unit":
        files = ["tests/test_moments.py", "--numprocesses=0"]  # all would take a minute
    command = [*shlex.split(hook["entry"]), *files]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_local_hook_is_tested() -> None:
    assert set(HOOKS) == set(REJECTED)


def test_commits_are_checked_by_the_same_ruff_as_the_tests() -> None:
    rev = REPOS["https://github.com/astral-sh/ruff-pre-commit"]["rev"]
    assert f"\nruff=={rev.removeprefix('v')}\n" in (ROOT / "requirements-test.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", REJECTED)
def test_a_hook_rejects_a_bad_line_and_accepts_the_code_without_it(name: str, working_tree: Path) -> None:
    file, bad_line = REJECTED[name]
    if name != "lock":  # that hook runs a test of dvc.lock, which runs on the committed code anyway
        accepted = run_hook(name, MODULE, working_tree)
        assert accepted.returncode == 0, accepted.stdout + accepted.stderr
        assert (working_tree / MODULE).read_bytes() == (ROOT / MODULE).read_bytes()
    with (working_tree / file).open("a") as opened:
        opened.write(bad_line)
    rejected = run_hook(name, file, working_tree)
    assert rejected.returncode
    if name == "lock":
        assert "FAILED tests/test_dvc_lock.py::test_the_lock_" in rejected.stdout


def test_a_unit_test_can_neither_start_a_stage_nor_load_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match=r"starts .* stages\.simulate .*: mark it with"):
        subprocess.run([sys.executable, "-m", "stages.simulate", "clicks.parquet"])
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with pytest.raises(AssertionError, match="imports tensorflow: mark it with"):
        import tensorflow  # noqa: F401


def test_the_unit_tests_are_those_of_the_hook_and_of_make() -> None:
    hook = " ".join(shlex.split(HOOKS["unit"]["entry"])).removeprefix(".venv/bin/")
    command = ["make", "--no-print-directory", "--dry-run", "unit"]  # under make test, make would print its directory
    dry_run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert hook.replace("--quiet ", "") == " ".join(shlex.split(dry_run.stdout.splitlines()[-1]))
    assert HOOKS["unit"]["stages"] == ["pre-push"] and HOOKS["unit"]["always_run"]


@pytest.mark.parametrize("folder", ["stages", "tests", "benchmarks", "docs", "security"])
def test_types_are_checked_when_any_python_file_is_committed(folder: str) -> None:
    assert re.search(HOOKS["mypy"]["files"], f"{folder}/module.py")
