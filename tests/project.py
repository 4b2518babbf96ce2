"""A checkout of the project to run as a person would."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


class Project:
    """A checkout of the project in a folder of its own, with a DVC cache of its own."""

    def __init__(self, folder: Path, **changes: object):
        self.folder = folder
        for name in ("stages", ".dvc"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("cache", "tmp", "__pycache__"))
        for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / name, folder / name)
        self.set_params(**changes)
        self.run("git", "init", "--quiet")

    def set_params(self, **changes: object) -> None:
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        for name, value in changes.items():
            *sections, key = name.split(".")
            section = params
            for part in sections:
                section = section[part]
            section[key] = value
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def run(self, *command: str) -> subprocess.CompletedProcess:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            command, cwd=self.folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
        )

    def dvc(self, *arguments: str) -> str:
        done = self.run("dvc", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def file(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def scores(self) -> dict:
        return json.loads(self.file("metrics/scores.json"))
