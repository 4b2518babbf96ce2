"""Other people's data, by params alone: a table of sessions, one with other marks, and a click log."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import readme
from project import Project

TRAINING = {
    "train_base.training.epochs": 3,
    "grid_search.grid": {"learning_rate": [0.001]},
    "grid_search.folds": 0,
    "train_strong.training.epochs": 1,
    "train_reference.trees.max_iter": 20,
    "validation.folds": 0,
}
SHARED = Path(__file__).parents[2] / "shared" / "data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not SHARED.is_dir(), reason=f"the real tables are not here: no folder {SHARED.name} beside the checkout"
    ),
]

REAL = {
    "bank_full.csv": (
        {
            "prepare.source_type": "sessions",
            "prepare.target": "y",
            "prepare.drop": ["duration"],
            "prepare.na_values": ["", "unknown"],
        },
        {"rows": 9043, "purchases": 1058},
        0.70,
    ),
    "rees46_2019_oct_sample.csv": (
        {
            "prepare.target": "purchased",
            "prepare.csv.truncated_last_line": "drop",
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


def hold(project: Project, expected: dict[str, int], auc: float) -> None:
    scores = project.scores()
    assert {key: scores["test"][key] for key in expected} == expected
    assert np.mean([scores[model]["auc"] for model in ("base", "grid", "smote")]) > auc


@pytest.mark.parametrize("name", REAL)
def test_real_data_by_params_alone(name, tmp_path: Path) -> None:
    changes, expected, auc = REAL[name]
    rate = {"train_base.training.learning_rate": 0.001}
    project = Project(tmp_path, **{"prepare.source": str(SHARED / name)}, **changes, **TRAINING, **rate)
    output = project.dvc("repro", "report")
    assert "Running stage 'simulate'" not in output
    assert ("is cut off and was dropped" in output) == (name == "rees46_2019_oct_sample.csv")
    hold(project, expected, auc)


def test_the_readme_s_example(tmp_path: Path) -> None:
    title = "Your own data, in full"
    project = Project(tmp_path, **TRAINING)
    project.commit("First")
    (tmp_path / "data/raw").mkdir(parents=True)
    shutil.copy(SHARED / "online_shoppers_intention.csv", tmp_path / "data/raw")
    for command in readme.commands()[title]:
        done = project.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert not readme.not_run(title, Project.commands)
    hold(project, {"rows": 2466, "purchases": 382}, 0.80)
