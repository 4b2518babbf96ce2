"""The whole pipeline by `dvc repro`, in folders of its own and on small data."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
SMALL = {
    "simulate.sessions": 1500,
    "simulate.purchases": 150,
    "train_base.training.epochs": 2,
    "grid_search.grid": {"learning_rate": [0.0001, 0.001], "batch_size": [64]},
}

pytestmark = pytest.mark.slow


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


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    built = Project(tmp_path_factory.mktemp("project"), **SMALL)
    built.dvc("repro")
    return built


def test_the_scores_of_three_models_are_metrics(project):
    shown = json.loads(project.dvc("metrics", "show", "--json"))
    found = shown[""]["data"]["metrics/scores.json"]["data"]
    assert found == project.scores()
    for model in ("base", "grid", "smote"):
        assert set(found[model]) == {"auc", "accuracy", "average_precision", "log_loss"}
    assert found["test"]["rows"] == 300
    assert project.file("metrics/scores.json").endswith(b"}\n")


def test_afterwards_nothing_is_out_of_date(project):
    assert not (project.folder / ".grid_search").exists()
    assert "up to date" in project.dvc("status")
    before = project.file("dvc.lock")
    assert "Running stage" not in project.dvc("repro")
    assert project.file("dvc.lock") == before


def test_a_second_clone_gives_the_same_lock(project, tmp_path):
    second = Project(tmp_path, **SMALL)
    second.dvc("repro")
    assert second.file("dvc.lock") == project.file("dvc.lock")


def test_the_default_data_has_the_columns_of_the_study(project):
    schema = pq.read_schema(project.folder / "data/prepared/sessions.parquet")
    roles = [field.metadata[b"role"].decode() for field in schema]
    assert (roles.count("feature"), roles.count("target")) == (95, 1)


def test_a_saved_model_gives_exactly_the_saved_predictions_in_a_new_process(project):
    program = (
        "from pathlib import Path; from stages.lib import table; from stages.lib.model import Model\n"
        "test = table.read(Path('data/split/test.parquet'))\n"
        "for name in ('base', 'grid', 'smote'):\n"
        "    saved = table.read(Path(f'data/predictions/{name}.parquet')).column('probability').to_numpy()\n"
        "    assert (Model.load(Path(f'models/{name}')).predict(test.features) == saved).all(), name\n"
    )
    done = project.run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr


def test_the_plots_are_drawn_from_files_that_are_there(project):
    project.dvc("plots", "show")
    page = (project.folder / "dvc_plots" / "index.html").read_text()
    for title in ("ROC curve", "Precision and recall", "Training loss per epoch"):
        assert title in page
    assert "grid.svg" in page


def test_another_learning_rate_trains_anew_and_no_more(project):
    project.set_params(**SMALL, **{"train_base.training.learning_rate": 0.0002})
    try:
        stale = json.loads(project.dvc("status", "--json"))
        assert set(stale) == {"train_base", "grid_search", "smote_train"}
    finally:
        project.set_params(**SMALL)


def test_metrics_and_params_differ_by_revision(project):
    project.run("git", "add", "--all")
    project.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "first")
    project.set_params(**SMALL, **{"train_base.training.learning_rate": 0.0002})
    try:
        project.dvc("repro", "evaluate")
        changes = json.loads(project.dvc("metrics", "diff", "--json"))["metrics/scores.json"]
        assert changes["base.auc"]["diff"] != 0
        shown = project.dvc("params", "diff")
        assert "train_base.training.learning_rate" in shown
    finally:
        project.set_params(**SMALL)
        project.run("git", "checkout", "--quiet", ".")


REAL = {
    "online_shoppers_intention.csv": (
        {
            "prepare.kind": "sessions",
            "prepare.target": "Revenue",
            "prepare.categories": ["OperatingSystems", "Browser", "Region", "TrafficType"],
        },
        {"rows": 2466, "purchases": 382},
        0.80,
    ),
    "bank_full.csv": (
        {
            "prepare.kind": "sessions",
            "prepare.target": "y",
            "prepare.drop": ["duration"],
            "prepare.missing": ["", "unknown"],
        },
        {"rows": 9043, "purchases": 1058},
        0.70,
    ),
    "rees46_2019_oct_sample.csv": (
        {
            "prepare.target": "purchased",
            "prepare.csv.cut_off": "drop",
            "prepare.clicks.columns": {
                "time": "event_time",
                "visitor": "user_id",
                "session": "user_session",
                "event": "event_type",
                "page": "product_id",
                "page_type": "category_code",
                "price": "price",
            },
            "prepare.clicks.events.add": ["cart"],
        },
        {"rows": 389, "purchases": 14},
        0.40,
    ),
}


@pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the real tables are not here: no folder {SHARED.name} beside the checkout"
)
@pytest.mark.parametrize("name", REAL)
def test_real_data_by_params_alone(name, tmp_path):
    changes, expected, auc = REAL[name]
    training = {
        "train_base.training.learning_rate": 0.001,
        "train_base.training.epochs": 3,
        "grid_search.grid": {"learning_rate": [0.001]},
    }
    project = Project(tmp_path, **{"prepare.source": str(SHARED / name)}, **changes, **training)
    output = project.dvc("repro", "evaluate")
    assert "Running stage 'simulate'" not in output
    assert ("is cut off and was dropped" in output) == (name == "rees46_2019_oct_sample.csv")
    scores = project.scores()
    assert {key: scores["test"][key] for key in expected} == expected
    assert np.mean([scores[model]["auc"] for model in ("base", "grid", "smote")]) > auc


def test_a_stage_that_fails_leaves_what_was_there(project):
    before = {
        name: project.file(name) for name in ("dvc.lock", "data/prepared/sessions.parquet", "metrics/scores.json")
    }
    project.set_params(**SMALL, **{"prepare.clicks.columns.time": "no such column"})
    try:
        done = project.run("dvc", "repro")
        assert done.returncode != 0
        assert "no column 'no such column' for prepare.clicks.columns.time" in done.stderr
        assert "Traceback" not in done.stderr
        project.set_params(**SMALL)
        project.dvc("checkout")
        assert {name: project.file(name) for name in before} == before
    finally:
        project.set_params(**SMALL)
