"""The Dockerfile and the container to develop in, checked without Docker: docs/docker.md says what is not."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from checkout import TINY
from helpers import ROOT

from benchmarks.tools import write_params

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "docker.md").read_text(encoding="utf-8")
DEVCONTAINER = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))


class Instruction(NamedTuple):
    name: str
    arguments: str


def instructions() -> list[Instruction]:
    """The instructions of the Dockerfile, in order, without comments and line ends."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.M)
    lines = text.replace("\\\n", " ").splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]


def final_stage() -> list[Instruction]:
    every = instructions()
    last = max(position for position, each in enumerate(every) if each.name == "FROM")
    return every[last:]


def copied(stage: list[Instruction]) -> list[tuple[str, str]]:
    """The files and folders that a stage copies from the checkout, each with its target."""
    pairs = []
    for each in stage:
        words = each.arguments.split()
        if each.name == "COPY" and not words[0].startswith("--from="):
            *sources, target = [word for word in words if not word.startswith("--")]
            pairs += [(source, f"{target}{source}" if target.endswith("/") else target) for source in sources]
    return pairs


def test_the_dockerfile_has_known_instructions_and_two_stages() -> None:
    names = [each.name for each in instructions()]
    assert set(names) <= {"FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "CMD"}
    assert names[0] == "FROM" and names.count("FROM") == 2 and names[-1] == "CMD"
    stages = re.findall(r"^FROM \S+ AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.M)
    assert re.findall(r"--from=(\w+)", (ROOT / "Dockerfile").read_text()) == stages


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    first, *allowed = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
    ]
    sources = [source for source, _ in copied(instructions())]
    assert first == "*" and allowed.pop() == "**/__pycache__"
    assert sorted(f"!{source}" for source in sources) == sorted(allowed)
    assert not [source for source in sources if not (ROOT / source).exists()]


def test_the_python_version_fits_pyproject() -> None:
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    oldest, newest = (int(number) for number in re.findall(r"3\.(\d+)", supported))
    images = [each.arguments.split()[0] for each in instructions() if each.name == "FROM"]
    for image in (*images, DEVCONTAINER["image"]):
        version = re.fullmatch(r"(?:python|mcr\.microsoft\.com/devcontainers/python):3\.(\d+)(?:-slim)?", image)
        assert version and oldest <= int(version[1]) < newest, image
    assert len(set(images)) == 1, "the virtual environment needs the Python that made it"


def test_it_runs_as_a_user_without_rights_and_the_commands_are_those_of_the_readme() -> None:
    names = [each.name for each in final_stage()]
    assert Instruction("USER", "user") in final_stage() and names.index("USER") < names.index("CMD")
    command = " ".join(json.loads(final_stage()[-1].arguments))
    assert command == "dvc repro" and f"`{command}`" in README
    score, options = "python -m stages.score models/base", "-o"
    assert f"{score} tomorrow.csv {options} scores.csv" in README
    assert f"{score} /rows/tomorrow.csv {options} /rows/scores.csv" in PAGE


@pytest.mark.slow
def test_what_is_copied_suffices_to_run_stages_without_git(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    for source, target in copied(final_stage()):
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, folder / target)
    write_params(folder / "params.yaml", TINY)
    (configure,) = [each.arguments for each in final_stage() if each.name == "RUN" and "dvc config" in each.arguments]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    for command in (configure, "dvc repro split"):
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "data/split/train.parquet").exists() and (folder / ".dvc/tmp/site/repo").is_dir()


def test_ci_runs_the_commands_of_the_page() -> None:
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE, re.M | re.S)
    run = "\n".join(step.get("run", "") for step in WORKFLOW["jobs"]["image"]["steps"])
    commands = "".join(blocks).replace("tomorrow.csv", "tomorrow.parquet").replace("\\\n", "").splitlines()
    assert len(commands) == 5
    for command in commands:
        assert command.split() in [line.split() for line in run.replace("\\\n", "").splitlines()], command


def test_the_container_to_develop_in_installs_what_the_tests_need() -> None:
    (programs,) = [
        step["run"] for step in WORKFLOW["jobs"]["tests"]["steps"] if step.get("run", "").startswith("sudo apt-get")
    ]
    with_browser = programs.replace("--yes ", "--yes chromium ")  # GitHub's runners have Chrome
    assert DEVCONTAINER["postCreateCommand"] == f"{with_browser} && make .venv/ready-to-test"
    assert re.search(r"^\.venv/ready-to-test:", (ROOT / "Makefile").read_text(), re.M)
