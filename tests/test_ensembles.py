"""The members of an ensemble are its folds: no row is predicted by a member that has seen its target."""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, as_sessions, sessions_frame

from stages.lib.common.model_params import ModelConfig
from stages.lib.common.params import Params
from stages.lib.common.processes import Call, OnResult, in_this_process, process_pool
from stages.lib.dataset.sessions import Sessions, write_sessions
from stages.lib.dataset.splits import cv_folds
from stages.lib.modeling.boosted_trees import BoostedTrees
from stages.lib.modeling.cross_validation import Fold
from stages.lib.modeling.model import Model
from stages.lib.modeling.network_stage import train_network
from stages.lib.modeling.target_encoding import inner_folds
from stages.lib.modeling.trainer import Candidate

COMMITTED = Params.load(ROOT / "params.yaml")
ROWS = 160
TRAIN, TEST, MODEL = Path("train.parquet"), Path("test.parquet"), Path("model")
PREDICTIONS, OUT_OF_FOLD, IMPORTANCE = Path("predictions.parquet"), Path("out_of_fold.parquet"), Path("importance.csv")
PATHS = (TRAIN, TEST, MODEL, PREDICTIONS, OUT_OF_FOLD, IMPORTANCE)

pytestmark = pytest.mark.slow


def params_with(strategy: str = "stratified", **validation: Any) -> Params:
    return COMMITTED.model_copy(
        update={
            "validation": COMMITTED.validation.model_copy(update=validation),
            "split": COMMITTED.split.model_copy(update={"strategy": strategy}),
        }
    )


def config_with(ensemble_size: int, distillation: float = 0.0) -> ModelConfig:
    small = {"layers": [4], "epochs": 2, "bins": 2, "ensemble_size": ensemble_size, "distillation": distillation}
    return COMMITTED.train_strong.with_point(small)


class Spy:
    """A pool that remembers what the calls that train return: a model, and its validation rows."""

    def __init__(self) -> None:
        self.results: list[Any] = []

    def __call__(self, calls: Iterable[Call], on_result: OnResult | None = None) -> list[Any]:
        self.results.append(in_this_process(calls))
        return self.results[-1]


@pytest.fixture
def frame(workdir: Path) -> pd.DataFrame:
    """The rows, which are in train.parquet, and their features in test.parquet."""
    frame = sessions_frame(ROWS).assign(visitor=np.arange(ROWS) // 2, time=pd.Timestamp("2024-01-01"))
    frame["time"] += pd.to_timedelta(np.arange(ROWS), "h")
    write_frame(frame)
    return frame


def write_frame(frame: pd.DataFrame) -> None:
    sessions = as_sessions(frame, buys="target", visitor="visitor", time="time")
    write_sessions(Path("train.parquet"), sessions)
    write_sessions(Path("test.parquet"), sessions.select("feature", "visitor", "time"))


def train(ensemble_size: int, params: Params, distillation: float = 0.0) -> list[Any]:
    """Train, and return what each training returned."""
    trees = COMMITTED.train_strong.teacher.model_copy(update={"max_iter": 3})
    teacher = Candidate(partial(BoostedTrees.fit, settings=trees, seed=1), COMMITTED.train_base.encoding)
    spy = Spy()
    train_network(config_with(ensemble_size, distillation), params, *PATHS, pool=spy, teacher=teacher)
    return spy.results[1 if distillation else 0]


@pytest.mark.parametrize(("strategy", "distillation"), [("stratified", 0.0), ("stratified", 1.0), ("grouped", 0.0)])
def test_the_target_of_a_row_changes_no_out_of_fold_prediction_of_it(
    strategy: str, distillation: float, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame["code"] = [f"code {number // 2 % 70}" for number in range(ROWS)]  # so many that targets encode it
    write_frame(frame)
    sessions = as_sessions(frame, buys="target", visitor="visitor", time="time")
    folds = cv_folds(sessions, strategy, 3, COMMITTED.seed)
    usual = inner_folds(strategy, COMMITTED.seed)
    of_all_rows = usual(sessions)

    def inner(rows: Sessions) -> Sequence[Fold]:
        return of_all_rows if len(rows) == ROWS else usual(rows)

    before = train(3, params_with(strategy, folds=3), distillation)
    _, val_idx = folds[0]
    frame.loc[val_idx, "buys"] = 1 - frame.loc[val_idx, "buys"]
    write_frame(frame)
    # Stratified folds depend on the targets: here they are to remain as they are.
    monkeypatch.setattr("stages.lib.modeling.training_stage.cv_folds", lambda *arguments: folds)
    monkeypatch.setattr("stages.lib.modeling.training_stage.inner_folds", lambda *arguments: inner)
    after = train(3, params_with(strategy, folds=3), distillation)
    assert (after[0][1].targets == 1 - before[0][1].targets).all()
    np.testing.assert_array_equal(after[0][1].probabilities, before[0][1].probabilities)
    assert not np.array_equal(after[1][1].probabilities, before[1][1].probabilities)
    assert json.loads((MODEL / "training.json").read_text()).get("distillation", 0.0) == distillation


def test_as_many_members_as_folds_need_no_further_training(frame: pd.DataFrame) -> None:
    assert len(train(3, params_with(folds=3))) == 3
    assert len(train(3, params_with(folds=3, extra_seeds=1))) == 6
    assert len(train(3, params_with(folds=2))) == 5
    assert len(train(3, params_with(folds=0))) == 3
    assert len(train(1, params_with(folds=3))) == 4


def test_no_member_is_trained_on_the_oldest_rows_only(frame: pd.DataFrame) -> None:
    """With temporal folds, an ensemble has parts of its own."""
    trained = train(3, params_with("temporal", folds=3))
    assert len(trained) == 6
    assert [len(validated.targets) for _, validated in trained] == [40] * 3 + [54, 53, 53]


def test_the_saved_ensemble_predicts_the_mean_of_its_members(frame: pd.DataFrame) -> None:
    trained = train(3, params_with(folds=3))
    sessions = as_sessions(frame, buys="target", visitor="visitor", time="time")
    ensemble = Model.load(Path("model"))
    probabilities = ensemble.predict(sessions.features)
    folds = cv_folds(sessions, "stratified", 3, COMMITTED.seed)
    # Of the three members, one is known for each row: the mean is within a third of the range of the others.
    for (_, val_idx), (_, validated) in zip(folds, trained, strict=True):
        rest = 3 * probabilities[val_idx] - validated.probabilities
        assert ((rest > 0) & (rest < 2)).all()


def test_two_workers_write_the_same_bytes_as_one_process(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for cores in (1, 2):
        monkeypatch.setattr(joblib, "cpu_count", lambda cores=cores: cores)
        with process_pool("stages.lib.modeling.model") as pool:
            train_network(config_with(3), params_with(folds=3, extra_seeds=1), *PATHS, pool=pool)
        files = [*Path("model").iterdir(), *PATHS[3:]]
        written.append({path.name: path.read_bytes() for path in files})
    assert written[0] == written[1]
