"""A copy of the project in a folder of its own, in which tests run commands as a person would."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from dvc_process import run_dvc

from benchmarks.tools import ROOT, write_params

# The least with which all stages run and do all that they can do
TINY = {
    "simulate.sessions": 300,
    "simulate.purchases": 60,
    "validation.folds": 2,
    "validation.calibration": "sigmoid",
    "validation.extra_seeds": 1,
    "train_base.network.layers": [4],
    "train_base.training.epochs": 1,
    "train_base.training.batch_size": 64,
    "grid_search.grid": {"learning_rate": [0.0001]},
    "grid_search.folds": 0,
    "train_strong.network.layers": [4],
    "train_strong.network.ensemble_size": 2,
    "train_strong.training.epochs": 1,
    "train_strong.teacher.max_iter": 5,
    "train_strong.candidates": [{}, {"dropout": 0.3}],
    "train_reference.trees.max_iter": 5,
}
# What a course can do without if another tests it: each is a network that is trained once more.
LEAST = {
    "validation.folds": 0,
    "validation.calibration": "none",
    "validation.extra_seeds": 0,
    "train_strong.network.ensemble_size": 1,
    "train_strong.distillation": 0.0,
    "train_strong.candidates": [{}],
}


def make_recipe(target: str) -> str:
    """The commands of a target of the Makefile, as `make` passes them to a shell when .venv is ready."""
    make = ["make", "--no-print-directory", "--dry-run", "--old-file", ".venv/ready", target]
    return subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout


class Checkout:
    """The pipeline's files in a git repository of their own, with a DVC cache of its own."""

    environment: Mapping[str, str] = os.environ
    commands: ClassVar[set[tuple[str, ...]]] = set()  # all that this process has run, in any checkout

    def __init__(self, folder: Path, **changes: object) -> None:
        """Copy the files into `folder`, with these changes to params.yaml."""
        self.folder = folder
        for name in ("stages", ".dvc"):
            untracked = shutil.ignore_patterns("cache", "tmp", "config.local", "__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=untracked)
        for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".gitattributes"):
            shutil.copy(ROOT / name, folder / name)
        self.set_params(**changes)
        self.git("init", "--quiet", "--initial-branch", "main")

    @classmethod
    def at(cls, folder: Path) -> Self:
        """The checkout that is in this folder already."""
        checkout = cls.__new__(cls)
        checkout.folder = folder
        return checkout

    def set_params(self, **changes: object) -> None:
        """Write the committed params.yaml with these changes, such as `**{"train_base.training.epochs": 1}`."""
        write_params(self.folder / "params.yaml", changes)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run the command in the folder, whether it succeeds or not."""
        options = self._options(command)
        if command[0] == "dvc":
            return run_dvc(command[1:], options["cwd"], options["env"])
        return subprocess.run(command, **options, check=False)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start the command in a process group of its own, without waiting for it."""
        return subprocess.Popen(command, **self._options(command), start_new_session=True)

    def dvc(self, *arguments: str) -> str:
        """Run `dvc`, which must succeed; returns its output."""
        return self._output("dvc", *arguments)

    def status(self) -> dict[str, Any]:
        """What `dvc status` finds out of date, by stage."""
        return json.loads(self.dvc("status", "--json"))

    def git(self, *arguments: str) -> str:
        """Run `git`, which must succeed; returns its output."""
        return self._output("git", *arguments)

    def commit(self, message: str) -> None:
        """Commit all changes."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def file(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def json(self, name: str) -> Any:
        return json.loads(self.file(name))

    def _output(self, *command: str) -> str:
        completed = self.run(*command)
        assert completed.returncode == 0, completed.stdout + completed.stderr
        return completed.stdout

    def _options(self, command: tuple[str, ...]) -> dict[str, Any]:
        self.commands.add(command)
        path = f"{Path(sys.executable).parent}{os.pathsep}{self.environment['PATH']}"
        author = {f"GIT_{role}_{field}": "a@b" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return {"cwd": self.folder, "env": {**self.environment, **author, "PATH": path}, **pipes}


class Clone(Checkout):
    """A git clone of somebody with an empty home folder."""

    def __init__(self, origin: Checkout, folder: Path, with_cache: bool = False) -> None:
        """Clone `origin` into `folder`; with its DVC cache, all outputs are checked out too."""
        self.folder = folder
        home = folder.parent / "home"
        home.mkdir(exist_ok=True)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SSH_"))}
        site_cache = folder.parent / f"{folder.name}.site"
        self.environment = {**inherited, "HOME": str(home), "DVC_SITE_CACHE_DIR": str(site_cache)}
        origin.git("clone", "--quiet", ".", str(folder))
        if with_cache:
            shutil.copytree(origin.folder / ".dvc/cache", folder / ".dvc/cache")
            self.dvc("checkout", "--quiet")
