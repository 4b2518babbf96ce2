"""The network that params describe, and the file that stores it."""

import json
import zipfile
from pathlib import Path
from typing import Any

from stages.lib.common.errors import InputError
from stages.lib.common.model_params import Network
from stages.lib.modeling.backend import keras

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip file can store


def build_network(network: Network, n_inputs: int, seed: int) -> keras.Model:
    """Dense layers from the inputs to the probability of a purchase; of an ensemble, one member.

    Args:
        network: layers, regularization and so on. The l2 penalty is on kernels only; biases start at 0.
        n_inputs: the number of inputs.
        seed: of the initial kernels and of dropout.

    Returns:
        A model from (rows, n_inputs) to (rows, 1).

    Raises:
        InputError: Keras has no such activation or initializer.
    """
    # Without this, the layers of the second model of a process would get other names.
    keras.backend.clear_session()
    layers: list[keras.Layer] = [keras.Input((n_inputs,), name="inputs")]
    for number, units in enumerate(network.layers, start=1):
        layers.append(_dense(network, units, network.activation, seed, f"dense_{number}"))
        if network.dropout:
            layers.append(keras.layers.Dropout(network.dropout, seed=seed + number, name=f"dropout_{number}"))
    layers.append(_dense(network, 1, "sigmoid", seed, "purchase"))
    return keras.Sequential(layers, name="network")


def mean_of_networks(networks: list[keras.Model]) -> keras.Model:
    """The network whose output is the mean of these networks' outputs; it renames them."""
    inputs = keras.Input(networks[0].input_shape[1:], name="inputs")
    for number, network in enumerate(networks, start=1):
        network.name = f"member_{number}"
    mean = keras.layers.Average(name="mean")([network(inputs) for network in networks])
    return keras.Model(inputs, mean, name="network")


def _dense(network: Network, units: int, activation: str, seed: int, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(
        units,
        _from_keras(keras.activations, activation, "activation"),
        kernel_initializer=_initializer(network, seed),
        kernel_regularizer=keras.regularizers.L2(network.l2) if network.l2 else None,
        name=name,
    )


def _initializer(network: Network, seed: int) -> Any:
    return _from_keras(keras.initializers, network.initializer, "initializer", {"seed": seed})


def _from_keras(module: Any, name: str, param: str, config: dict[str, Any] | None = None) -> Any:
    """The object of this name in a module of Keras, configured as far as it accepts `config`."""
    try:
        if config is None:
            return module.get(name)
        accepted = module.get(name).get_config()
        return module.get({"class_name": name, "config": {key: config[key] for key in config if key in accepted}})
    except (ValueError, TypeError):
        raise InputError(f"params.yaml: network.{param}: Keras has no {param} '{name}'") from None


def save_network(model: keras.Model, path: Path) -> None:
    """Write a .keras file for `keras.saving.load_model`, with the same bytes for the same architecture and weights.

    Keras puts the date into its file, and ids of objects in memory into the configuration: they are made constant.
    """
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in sorted(archive.namelist())}
    contents["metadata.json"] = _with_constants(contents["metadata.json"], {"date_saved": ""})
    contents["config.json"] = _with_constants(contents["config.json"], {"shared_object_id": None})
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)


def _with_constants(text: bytes, constants: dict[str, str | None]) -> bytes:
    """JSON in which these keys, at any depth, have these values, or are removed if the value is None."""

    def edit(node: Any) -> Any:
        if isinstance(node, list):
            return [edit(item) for item in node]
        if not isinstance(node, dict):
            return node
        edited = {key: constants.get(key, edit(value)) for key, value in node.items()}
        return {key: value for key, value in edited.items() if key not in constants or value is not None}

    return json.dumps(edit(json.loads(text)), sort_keys=True).encode()
