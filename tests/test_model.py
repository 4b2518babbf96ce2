"""A saved model is the same bytes, and gives the same predictions, everywhere."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, as_sessions, sessions_frame, standard_encoding, with_flipped_copies
from sklearn.metrics import roc_auc_score

from stages.lib.common.params import Params
from stages.lib.dataset.schema import Schema
from stages.lib.modeling import model as model_module
from stages.lib.modeling.calibration import Calibration
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import fit_encoder
from stages.lib.modeling.fit import fit
from stages.lib.modeling.model import Model, mean_of_models, train_model
from stages.lib.modeling.network import build_network
from stages.lib.oversampling import oversample

pytestmark = pytest.mark.slow

PARAMS = Params.load(ROOT / "params.yaml")
SCHEMA = Schema.from_arrow(as_sessions(sessions_frame(8), buys="target").table.schema)
DECISION = Decision(calibration=Calibration(), threshold=0.5)


@pytest.fixture
def features() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame({"price": rng.normal(size=50), "device": rng.choice(["phone", "desktop"], 50)})


@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_a_saved_model_predicts_the_same_in_a_new_process(
    ensemble_size: int, tmp_path: Path, features: pd.DataFrame
) -> None:
    encoder = fit_encoder(features, standard_encoding(scaling="quantile", bins=4))
    members = [
        Model(build_network(PARAMS.train_base.network, len(encoder.input_names), seed), encoder, {"loss": [0.5, 0.25]})
        for seed in range(ensemble_size)
    ]
    model = mean_of_models(members)
    model.save(tmp_path / "model", DECISION, SCHEMA)
    features.to_parquet(tmp_path / "features.parquet")
    program = """
import sys, numpy, pandas
from pathlib import Path
from stages.lib.modeling.model import Model
folder = Path(sys.argv[1])
features = pandas.read_parquet(folder / "features.parquet")
numpy.save(folder / "p.npy", Model.load(folder / "model").predict(features))
"""
    subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, check=True)
    assert (np.load(tmp_path / "p.npy") == model.predict(features)).all()
    assert (tmp_path / "model" / "history.csv").read_text() == "epoch,loss\n1,0.500000\n2,0.250000\n"


@pytest.mark.slow
@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("scaling", ["standard", "quantile"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_every_configuration_trains_stops_early_and_is_saved_as_the_same_bytes(
    ensemble_size: int, scaling: str, optimizer: str, tmp_path: Path
) -> None:
    sessions = as_sessions(sessions_frame(400), buys="target")
    with_validation = PARAMS.train_strong.with_point({}).model_copy(update={"validation_split": 0.2})
    config = with_validation.with_point(
        {
            "scaling": scaling,
            "bins": 4,
            "optimizer": optimizer,
            "weight_decay": 0.1,
            "layers": [8],
            "patience": 1,
            "class_weight": "balanced",
            "epochs": 60,
            "batch_size": 32,
            "learning_rate": 0.05,
        }
    )
    encoder = fit_encoder(sessions.features, config.encoding)
    for name in ("one", "two"):
        members = [train_model(sessions, encoder, config, "stratified", 1, extra_seed=n) for n in range(ensemble_size)]
        model = mean_of_models(members)
        model.save(tmp_path / name, DECISION, SCHEMA)
    assert len(model.history["val_loss"]) < 60 and model.history["val_auc"][-1] > 0.8
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    loaded = Model.load(tmp_path / "one")
    assert (loaded.predict(sessions.features) == model.predict(sessions.features)).all()


# Soft targets -----------------------------------------------------


def test_soft_targets_are_learned_in_place_of_targets_but_not_validated_on() -> None:
    sessions = as_sessions(sessions_frame(400), buys="target")
    soft = sessions.with_soft_targets(np.where(sessions.column("target") == 1, 0.6, 0.8))
    config = PARAMS.train_base.with_point({"layers": [8], "epochs": 30, "batch_size": 32, "learning_rate": 0.01})
    config = config.model_copy(update={"validation_split": 0.2})
    model = train_model(soft, fit_encoder(soft.features, config.encoding), config, "stratified", 1)
    probabilities = model.predict(sessions.features)
    assert probabilities.min() > 0.45 and probabilities.max() < 0.95
    assert model.history["val_auc"][-1] < 0.2  # by targets, of which it has learned the opposite


# Weights ----------------------------------------------------------

QUICK = PARAMS.train_base.with_point({"layers": [8], "epochs": 20, "batch_size": 32, "learning_rate": 0.01})


@pytest.mark.parametrize("validation_split", [0.0, 0.2])
def test_rows_without_weight_are_not_learned_from(validation_split: float) -> None:
    config = QUICK.model_copy(update={"validation_split": validation_split})
    aucs = {}
    for weight in (0.0, 1.0):
        sessions = with_flipped_copies(sessions_frame(400), weight)
        encoder = fit_encoder(sessions.features, config.encoding)
        probabilities = train_model(sessions, encoder, config, "stratified", 1).predict(sessions_frame(400, seed=8))
        aucs[weight] = roc_auc_score(sessions_frame(400, seed=8)["buys"], probabilities)
        assert np.mean(probabilities) == pytest.approx(0.5 if weight else 0.25, abs=0.08)
    assert aucs[0.0] > 0.8


def test_equal_weights_train_the_network_that_no_weights_train() -> None:
    frame = sessions_frame(400)
    sessions, equal = as_sessions(frame, buys="target"), with_flipped_copies(frame, 1.0)
    equal = equal.take(np.arange(400))
    assert equal.names("weight") and not sessions.names("weight")
    encoder = fit_encoder(sessions.features, QUICK.encoding)
    expected, found = (
        train_model(rows, encoder, QUICK, "stratified", 1).predict(sessions.features) for rows in (sessions, equal)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_synthetic_purchase_has_the_mean_weight_of_a_purchase(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = np.where(np.arange(400) % 4, 1.0, np.where(np.arange(400) % 8, 0.25, 0.75))  # of purchases 0.5 on average
    sessions = as_sessions(sessions_frame(400).assign(weight=weights), buys="target", weight="weight")
    encoder, used = fit_encoder(sessions.features, QUICK.encoding), []

    def fit_and_note(*arguments: Any, **keywords: Any) -> Any:
        used.append(keywords["sample_weight"])
        return fit(*arguments, **keywords)

    monkeypatch.setattr(model_module, "fit", fit_and_note)
    resample = partial(oversample, settings=PARAMS.smote_train)
    train_model(sessions, encoder, QUICK.with_point({"epochs": 1}), "stratified", 1, resample=resample)
    (sample_weight,) = used
    np.testing.assert_allclose(sample_weight[:400], weights / weights.mean())
    np.testing.assert_allclose(sample_weight[400:], 0.5 / weights.mean())
    assert len(sample_weight) == 600
