"""Other people's data, by params alone: a table of sessions, one with other marks, and a click log."""

from pathlib import Path

import numpy as np
import pytest
from project import Project

SHARED = Path(__file__).parents[2] / "shared" / "data"

pytestmark = pytest.mark.slow

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
        "grid_search.folds": 2,
        "validation.folds": 2,
    }
    project = Project(tmp_path, **{"prepare.source": str(SHARED / name)}, **changes, **training)
    output = project.dvc("repro", "report")
    assert "Running stage 'simulate'" not in output
    assert ("is cut off and was dropped" in output) == (name == "rees46_2019_oct_sample.csv")
    scores = project.scores()
    assert {key: scores["test"][key] for key in expected} == expected
    assert np.mean([scores[model]["auc"] for model in ("base", "grid", "smote")]) > auc
