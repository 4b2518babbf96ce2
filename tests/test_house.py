"""The commands of those who work on the project: make's, and pre-commit's hooks."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TARGETS = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split())
HOOKS = {
    hook["id"]: hook
    for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repo["hooks"]
}
MODULE = "stages/lib/moments.py"
# A file, and what is added to it, that the hook must not let through.
SPOILT = {
    "ruff-check": (MODULE, "print(nobody_defined_this)\n"),
    "ruff-format": (MODULE, "LOOSE = {  'a':1 }\n"),
    "mypy": (MODULE, "NUMBER: int = 'text'\n"),
    "lock": (MODULE, "# Another version\n"),
    "large": ("metrics/large.csv", "0\n" * 2**20),
}


def test_make_alone_lists_every_command_in_one_line_each() -> None:
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    first, *lines = done.stdout.splitlines()
    assert first.startswith("Start with make repro")
    commands = [re.fullmatch(r"  make ([a-z]+) +(\S.*)", line) for line in lines]
    assert all(commands) and {command[1] for command in commands} == TARGETS
    assert len({command.start(2) for command in commands}) == 1, "not aligned"
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_commands_of_make_that_the_texts_name_are_there(name: str) -> None:
    text = (ROOT / name).read_text()
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.M))
    assert "test" in named and named <= TARGETS


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What is git's, or would be, and the environment."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in (name for name in listed if (ROOT / name).is_file()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def run_hook(name: str, file: str, folder: Path) -> subprocess.CompletedProcess:
    hook = HOOKS[name]
    assert re.search(hook.get("files", ""), file), f"{name} does not look at {file}"
    files = [file] if hook.get("pass_filenames", True) else []
    command = [*shlex.split(hook["entry"]), *files]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_hook_is_tested() -> None:
    assert set(HOOKS) == set(SPOILT)


@pytest.mark.parametrize("name", SPOILT)
def test_a_hook_stops_what_it_should_and_nothing_else(name: str, copy: Path) -> None:
    spoilt, added = SPOILT[name]
    if name != "lock":  # whether that is true as it is, is the very test that this hook runs
        done = run_hook(name, MODULE, copy)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (copy / MODULE).read_bytes() == (ROOT / MODULE).read_bytes()
    with (copy / spoilt).open("a") as file:
        file.write(added)
    before = (copy / spoilt).read_bytes()
    done = run_hook(name, spoilt, copy)
    # pre-commit also stops a commit whose files a hook has mended.
    assert done.returncode == 1 or before != (copy / spoilt).read_bytes()
    if name == "lock":
        assert "FAILED tests/test_dvc_yaml.py::test_the_lock_is_true" in done.stdout
