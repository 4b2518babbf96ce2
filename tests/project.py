"""A checkout of the project to run as a person would."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.tools import ROOT, write_params

# As little as makes all stages run
TINY = {
    "simulate.sessions": 300,
    "simulate.purchases": 60,
    "validation.folds": 0,
    "train_base.network.layers": [4],
    "train_base.training.epochs": 1,
    "train_base.training.batch_size": 64,
    "grid_search.grid": {"batch_size": [64]},
    "grid_search.folds": 0,
    "train_strong.network.layers": [4],
    "train_strong.training.epochs": 1,
    "train_reference.trees.max_iter": 5,
}


class Project:
    """A checkout of the project in a folder of its own, with a DVC cache of its own."""

    environment: Mapping[str, str] = os.environ
    commands: ClassVar[set[tuple[str, ...]]] = set()  # all that this process has run, in any project

    def __init__(self, folder: Path, **changes: object):
        self.folder = folder
        for name in ("stages", ".dvc"):
            private = shutil.ignore_patterns("cache", "tmp", "config.local", "__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=private)
        for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".gitattributes"):
            shutil.copy(ROOT / name, folder / name)
        self.set_params(**changes)
        self.run("git", "init", "--quiet", "--initial-branch", "main")

    def set_params(self, **changes: object) -> None:
        write_params(self.folder / "params.yaml", changes)

    def run(self, *command: str, **streams: Any) -> subprocess.CompletedProcess:
        return subprocess.run(command, **self._here(command) | streams, check=False)

    def start(self, *command: str) -> subprocess.Popen:
        """As run, but not waited for, in a process group of its own."""
        return subprocess.Popen(command, **self._here(command), start_new_session=True)

    def _here(self, command: tuple[str, ...]) -> dict:
        self.commands.add(command)
        path = f"{Path(sys.executable).parent}{os.pathsep}{self.environment['PATH']}"
        person = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return {"cwd": self.folder, "env": {**self.environment, **person, "PATH": path}, **pipes}

    def dvc(self, *arguments: str) -> str:
        done = self.run("dvc", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def git(self, *arguments: str) -> str:
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def file(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def scores(self) -> dict:
        return json.loads(self.file("metrics/scores.json"))


class Clone(Project):
    """A clone by git, of somebody whose home is empty."""

    def __init__(self, origin: Project, folder: Path, with_cache: bool = False):
        self.folder = folder
        home = folder.parent / "home"
        home.mkdir(exist_ok=True)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SSH_"))}
        self.environment |= {"HOME": str(home), "DVC_SITE_CACHE_DIR": str(folder.parent / f"{folder.name}.site")}
        origin.git("clone", "--quiet", ".", str(folder))
        if with_cache:
            shutil.copytree(origin.folder / ".dvc/cache", folder / ".dvc/cache")
            self.dvc("checkout", "--quiet")
