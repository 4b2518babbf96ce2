"""The grid search trains with the weights of the rows, in each of its folds."""

from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, as_sessions, sessions_frame

from stages.lib.common.params import Params
from stages.lib.common.processes import in_this_process
from stages.lib.dataset.sessions import write_sessions
from stages.lib.tuning.folds import Fold, make_folds
from stages.lib.tuning.grid import run_grid
from stages.lib.tuning.points import grid_points

pytestmark = pytest.mark.slow

PARAMS = Params.load(ROOT / "params.yaml")


def test_points_do_not_learn_from_rows_without_weight(tmp_path: Path) -> None:
    base = PARAMS.train_base.with_point({"layers": [4], "epochs": 10})
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(300, 5)).astype(np.float32)
    targets = (inputs[:, 0] + rng.normal(size=300) > 0).astype(np.float32)
    aucs = {}
    for weight in (0, 1):
        fold = Fold(
            inputs=np.concatenate([inputs[:200]] * 2),
            targets=np.concatenate([targets[:200], 1 - targets[:200]]),
            weights=np.repeat(np.array([1, weight], np.float32), 200),
            val_inputs=inputs[200:],
            val_targets=targets[200:],
        )
        points, checkpoints = grid_points({"learning_rate": [0.03]}), tmp_path / str(weight)
        results = run_grid(in_this_process, points, base, {base.encoding: [fold]}, 1, checkpoints, None)
        aucs[weight] = results["val_auc"][0]
    assert aucs[0] > 0.75 and aucs[0] > aucs[1] + 0.1


@pytest.mark.parametrize("weights", [[], [0.5, 1.0]])
def test_folds_have_the_weights_of_their_training_rows(weights: list[float], tmp_path: Path) -> None:
    frame = sessions_frame(120).assign(**({"weight": weights * 60} if weights else {}))
    roles = {"weight": "weight"} if weights else {}
    write_sessions(tmp_path / "train.parquet", as_sessions(frame, buys="target", **roles))
    (folds,) = make_folds(tmp_path / "train.parquet", [{}], PARAMS).values()
    assert len(folds) == PARAMS.grid_search.folds
    for fold in folds:
        assert fold.weights.dtype == np.float32 and len(fold.weights) == len(fold.targets)
        assert fold.weights.mean() == pytest.approx(1)
        ratio = fold.weights.max() / fold.weights.min()
        assert ratio == pytest.approx(2 if weights else 1)
