"""The network is the one that params describe, and the same network is saved as the same bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.lib.common.errors import InputError
from stages.lib.common.model_params import Network
from stages.lib.modeling.backend import keras
from stages.lib.modeling.network import build_network, mean_of_networks, save_network

pytestmark = pytest.mark.slow

STUDY = Network(
    layers=[80, 40, 10], activation="relu", l2=0.01, dropout=0.0, initializer="glorot_normal", ensemble_size=1
)


def study_with(**changes: Any) -> Network:
    return STUDY.model_copy(update=changes)


def test_the_default_is_the_network_of_the_study() -> None:
    model = build_network(STUDY, n_inputs=125, seed=42)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in dense] == [80, 40, 10, 1]
    assert [layer.activation.__name__ for layer in dense] == ["relu", "relu", "relu", "sigmoid"]
    assert all(layer.kernel_regularizer.l2 == pytest.approx(0.01) for layer in dense)
    assert model.count_params() == 125 * 80 + 80 + 80 * 40 + 40 + 40 * 10 + 10 + 10 + 1
    # glorot_normal is a truncated normal distribution with this standard deviation.
    assert np.std(dense[0].kernel.numpy()) == pytest.approx(np.sqrt(2 / (125 + 80)), rel=0.03)
    assert not dense[0].bias.numpy().any()


def test_initial_weights_depend_on_the_seed_only() -> None:
    weights = [build_network(STUDY, 125, seed).get_weights()[0] for seed in (42, 42, 43)]
    assert (weights[0] == weights[1]).all() and (weights[0] != weights[2]).any()


def test_every_param_of_the_network_has_an_effect() -> None:
    changes = {"layers": [3, 2], "activation": "tanh", "l2": 0.0, "dropout": 0.25, "initializer": "he_uniform"}
    layers = build_network(study_with(**changes), 5, 1).layers
    assert [type(layer).__name__ for layer in layers] == ["Dense", "Dropout", "Dense", "Dropout", "Dense"]
    assert layers[0].activation.__name__ == "tanh" and layers[0].kernel_regularizer is None
    assert layers[1].rate == 0.25


@pytest.mark.parametrize("initializer", ["zeros", "orthogonal", "lecun_normal", "random_uniform"])
def test_initializers_work_with_and_without_a_seed(initializer: str) -> None:
    build_network(study_with(initializer=initializer), 5, 1)


@pytest.mark.parametrize("param", ["activation", "initializer"])
def test_a_name_that_keras_does_not_have_is_an_error_of_one_line(param: str) -> None:
    with pytest.raises(InputError, match=f"^params.yaml: network.{param}: Keras has no {param} 'nonsense'$"):
        build_network(study_with(**{param: "nonsense"}), 5, 1)


@pytest.mark.parametrize("members", [1, 3])
def test_the_same_network_is_saved_as_the_same_bytes(members: int, tmp_path: Path) -> None:
    network = study_with(dropout=0.1)
    for name, seed in (("one.keras", 42), ("two.keras", 42), ("other.keras", 43)):
        networks = [build_network(network, 125, seed + member) for member in range(members)]
        save_network(mean_of_networks(networks) if members > 1 else networks[0], tmp_path / name)
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "two.keras").read_bytes()
    assert (tmp_path / "one.keras").read_bytes() != (tmp_path / "other.keras").read_bytes()


def test_an_ensemble_predicts_the_mean_of_its_members() -> None:
    networks = [build_network(study_with(layers=[6, 4], dropout=0.1), 5, seed) for seed in (1, 2, 3)]
    inputs = np.random.default_rng(0).standard_normal((20, 5), np.float32)
    expected = np.mean([network(inputs).numpy() for network in networks], axis=0)
    ensemble = mean_of_networks(networks)
    assert ensemble.output_shape == (None, 1)
    np.testing.assert_allclose(ensemble(inputs).numpy(), expected, rtol=1e-6)
