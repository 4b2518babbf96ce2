"""A training stage fits on the training set only, and its saved model gives the predictions that it wrote."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, as_sessions, sessions_frame

from stages.lib.common.model_params import ModelConfig
from stages.lib.common.params import Params
from stages.lib.dataset.sessions import Sessions, read_sessions, write_sessions
from stages.lib.dataset.splits import cv_folds
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import fit_encoder, fit_to_train, mean_of_encoders
from stages.lib.modeling.model import Model
from stages.lib.modeling.network_stage import train_network
from stages.lib.modeling.target_encoding import inner_folds

pytestmark = pytest.mark.slow

COMMITTED = Params.load(ROOT / "params.yaml")
CONFIG = COMMITTED.train_base.with_point({"layers": [4], "epochs": 1})


def params_with(**validation: Any) -> Params:
    return COMMITTED.model_copy(update={"validation": COMMITTED.validation.model_copy(update=validation)})


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    """All rows; the first 200 are in train.parquet and the others, without targets, in test.parquet."""
    sessions = as_sessions(sessions_frame(300).assign(id=range(300)), buys="target", id="key")
    write_sessions(tmp_path / "train.parquet", sessions.take(np.arange(200)))
    write_sessions(tmp_path / "test.parquet", sessions.take(np.arange(200, 300)).select("feature", "key"))
    return sessions


def train(folder: Path, params: Params, importance: Path | None = None, config: ModelConfig = CONFIG) -> Sessions:
    names = ("train.parquet", "test.parquet", "model", "predictions.parquet", "out_of_fold.parquet")
    train_set, test, model, predictions, out_of_fold = (folder / name for name in names)
    train_network(config, params, train_set, test, model, predictions, out_of_fold, importance)
    return read_sessions(predictions)


def test_the_saved_model_gives_the_predictions(sessions: Sessions, tmp_path: Path) -> None:
    predictions = train(tmp_path, params_with(folds=3, calibration="sigmoid"), tmp_path / "importance.csv")
    test = sessions.take(np.arange(200, 300))
    model, decision = Model.load(tmp_path / "model"), Decision.load(tmp_path / "model/decision.json")
    assert decision.calibration.method == "sigmoid"
    probabilities = decision.calibration.apply(model.predict(test.features))
    np.testing.assert_array_equal(predictions.column("probability"), probabilities)
    assert predictions.keys.column_names == ["id"] and predictions.keys["id"].to_pylist() == [*range(200, 300)]
    importance = pd.read_csv(tmp_path / "importance.csv")
    assert {*importance["column"]} == {"pages", "seconds", "browser"} and importance["se"].notna().all()


def test_the_encoder_is_fitted_on_the_training_set(sessions: Sessions, tmp_path: Path) -> None:
    train(tmp_path, params_with(folds=0))
    train_set = sessions.take(np.arange(200))
    assert Model.load(tmp_path / "model").encoder == fit_encoder(train_set.features, CONFIG.encoding)


def test_extra_seeds_add_predictions_and_change_nothing_else(sessions: Sessions, tmp_path: Path) -> None:
    single = train(tmp_path, params_with(folds=0)).to_arrow()
    files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    several = train(tmp_path, params_with(folds=0, extra_seeds=2))
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == files
    assert several.to_arrow().select(single.column_names).equals(single)
    extra = several.select("extra_seed").to_arrow()
    assert extra.column_names == ["probability_1", "probability_2"]
    assert not extra["probability_1"].equals(extra["probability_2"])


def test_columns_of_more_categories_than_are_told_apart_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = sessions_frame(120).assign(code=[f"code {number % 30}" for number in range(120)])
    sessions = as_sessions(frame, buys="target")
    write_sessions(tmp_path / "train.parquet", sessions)
    write_sessions(tmp_path / "test.parquet", sessions.select("feature"))
    train(tmp_path, params_with(folds=0), config=CONFIG.with_point({"max_categories": 20}))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("column")]
    assert lines == [
        "column 'code': of 30 categories the 19 most frequent have inputs of their own (encoding.max_categories)"
    ]


def test_columns_of_many_categories_are_encoded_by_members_on_their_own_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = np.arange(400)
    frame = (
        sessions_frame(400).assign(city=number * 7 % 80, street=number * 7 % 90).astype({"city": str, "street": str})
    )
    sessions = as_sessions(frame, buys="target")
    write_sessions(tmp_path / "train.parquet", sessions)
    write_sessions(tmp_path / "test.parquet", sessions.select("feature"))
    params = params_with(folds=2)
    config = CONFIG.with_point({"max_categories": 70, "ensemble_size": 2})
    train(tmp_path, params, config=config)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("column")]
    assert lines == [
        f"column '{name}': of {found} categories the 69 most frequent have inputs of their own; the others share one, "
        "by their purchase rates (target encoding)"
        for name, found in (("city", 80), ("street", 90))
    ]
    model = Model.load(tmp_path / "model")
    members = [
        fit_to_train(sessions.take(train_idx), model.encoder, inner_folds("stratified", params.seed))[0]
        for train_idx, _ in cv_folds(sessions, params.split.strategy, 2, params.seed)
    ]
    assert model.encoder == mean_of_encoders(members)
    assert json.loads((tmp_path / "model/training.json").read_text())["target_encoded"] == ["city", "street"]
