"""Networks are what params say, and a saved model is the same bytes and the same predictions everywhere."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import as_sessions, sessions_frame, standard

from stages.lib.common.errors import InputError
from stages.lib.common.params import ModelConfig, Network, load
from stages.lib.dataset.schema import Schema
from stages.lib.modeling.backend import keras
from stages.lib.modeling.calibration import Calibration
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import fit_encoder
from stages.lib.modeling.model import Model, train_model
from stages.lib.modeling.network import build_network, mean_of_members, save_network

STUDY = Network(layers=[80, 40, 10], activation="relu", l2=0.01, dropout=0.0, initializer="glorot_normal", members=1)

SCHEMA = Schema.from_arrow(as_sessions(sessions_frame(8), buys="target").table.schema)


@pytest.fixture
def features() -> pd.DataFrame:
    random = np.random.default_rng(3)
    return pd.DataFrame({"price": random.normal(size=50), "device": random.choice(["phone", "desktop"], 50)})


def changed(**values) -> Network:
    return STUDY.model_copy(update=values)


def test_the_study_s_network() -> None:
    built = build_network(STUDY, inputs=125, seed=42)
    dense = [layer for layer in built.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in dense] == [80, 40, 10, 1]
    assert [layer.activation.__name__ for layer in dense] == ["relu", "relu", "relu", "sigmoid"]
    assert all(layer.kernel_regularizer.l2 == pytest.approx(0.01) for layer in dense)
    assert built.count_params() == 125 * 80 + 80 + 80 * 40 + 40 + 40 * 10 + 10 + 10 + 1
    # glorot_normal: a truncated normal with this standard deviation
    assert np.std(dense[0].kernel.numpy()) == pytest.approx(np.sqrt(2 / (125 + 80)), rel=0.03)
    assert not dense[0].bias.numpy().any()


def test_the_seed_and_nothing_else_sets_the_first_weights() -> None:
    weights = [build_network(STUDY, 125, seed).get_weights()[0] for seed in (42, 42, 43)]
    assert (weights[0] == weights[1]).all() and (weights[0] != weights[2]).any()


def test_every_param_of_the_network_counts() -> None:
    built = build_network(
        changed(layers=[3, 2], activation="tanh", l2=0.0, dropout=0.25, initializer="he_uniform"), 5, 1
    )
    kinds = [type(layer).__name__ for layer in built.layers]
    assert kinds == ["Dense", "Dropout", "Dense", "Dropout", "Dense"]
    assert built.layers[0].activation.__name__ == "tanh" and built.layers[0].kernel_regularizer is None
    assert built.layers[1].rate == 0.25


@pytest.mark.parametrize("initializer", ["zeros", "orthogonal", "lecun_normal", "random_uniform"])
def test_initializers_with_and_without_a_seed(initializer) -> None:
    build_network(changed(initializer=initializer), 5, 1)


@pytest.mark.parametrize("key", ["activation", "initializer"])
def test_a_name_that_keras_does_not_know_is_an_error_of_one_line(key) -> None:
    with pytest.raises(InputError, match=f"^params.yaml: network.{key}: Keras knows no 'nonsense'$"):
        build_network(changed(**{key: "nonsense"}), 5, 1)


@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_the_same_network_is_the_same_file(members, tmp_path: Path) -> None:
    shape = changed(dropout=0.1, members=members)
    for name, seed in (("one.keras", 42), ("two.keras", 42), ("other.keras", 43)):
        save_network(mean_of_members(build_network(shape, 125, seed)), tmp_path / name)
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "two.keras").read_bytes()
    assert (tmp_path / "one.keras").read_bytes() != (tmp_path / "other.keras").read_bytes()


def test_members_start_as_networks_of_their_own() -> None:
    shape = changed(layers=[6, 4], dropout=0.1, members=2)
    together = build_network(shape, 5, 42)
    assert together.output_shape == (None, 2) and mean_of_members(together).output_shape == (None, 1)
    for member in range(2):
        alone = build_network(changed(layers=[6, 4], dropout=0.1), 5, 42 + member)
        kernels = [weight for weight in alone.get_weights() if weight.ndim == 2]
        members = [weight[member] for weight in together.get_weights() if weight.ndim == 3]
        for one, other in zip(kernels, members, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_a_saved_model_predicts_the_same_in_a_new_process(members, tmp_path: Path, features) -> None:
    encoder = fit_encoder(features, standard(numbers="quantile", bins=4))
    built = build_network(changed(members=members), len(encoder.names), 42)
    model = Model(mean_of_members(built), encoder)
    model.save(tmp_path / "model", {"loss": [0.5, 0.25]}, Decision(Calibration(), 0.5), SCHEMA)
    features.to_parquet(tmp_path / "features.parquet")
    program = """
import sys, numpy, pandas
from pathlib import Path
from stages.lib.model import Model, train
folder = Path(sys.argv[1])
features = pandas.read_parquet(folder / "features.parquet")
numpy.save(folder / "p.npy", Model.load(folder / "model").predict(features))
"""
    subprocess.run([sys.executable, "-c", program, tmp_path], cwd=Path(__file__).parents[1], check=True)
    assert (np.load(tmp_path / "p.npy") == model.predict(features)).all()
    assert (tmp_path / "model" / "history.csv").read_text() == "epoch,loss\n1,0.500000\n2,0.250000\n"


@pytest.mark.slow
@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("numbers", ["standard", "quantile"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_every_combination_of_a_recipe_trains_stops_early_and_is_saved_as_the_same_bytes(
    members, numbers, optimizer, tmp_path: Path
) -> None:
    sessions = as_sessions(sessions_frame(400), buys="target")
    (recipe,) = load("train_strong", path=Path(__file__).parents[1] / "params.yaml")
    changes = {"ensemble_size": members, "numbers": numbers, "bins": 4, "optimizer": optimizer, "weight_decay": 0.1}
    changes |= {
        "layers": [8],
        "patience": 1,
        "class_weight": "balanced",
        "epochs": 60,
        "batch_size": 32,
        "learning_rate": 0.05,
    }
    recipe = ModelConfig.model_validate(recipe.model_dump() | {"validation_split": 0.2}).with_point(changes)
    encoder = fit_encoder(sessions.features, recipe.encoding)
    for name in ("one", "two"):
        trained, history = train_model(sessions, encoder, recipe, "target", seed=1)
        trained.save(tmp_path / name, history, Decision(Calibration(), 0.5), SCHEMA)
    assert len(history["val_loss"]) < 60 and history["val_auc"][-1] > 0.8
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    loaded = Model.load(tmp_path / "one")
    assert (loaded.predict(sessions.features) == trained.predict(sessions.features)).all()
