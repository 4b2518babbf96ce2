"""The network that params describe, and the file that stores it."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from stages.lib.common.errors import InputError
from stages.lib.common.params import Network
from stages.lib.modeling.backend import keras

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip file can store


def build_network(network: Network, n_inputs: int, seed: int) -> keras.Model:
    """Dense layers from the inputs to the probability of a purchase, for each member of the ensemble.

    All members are computed at once, as layers with a further axis.

    Args:
        network: layers, regularization and so on. The l2 penalty is on kernels only; biases start at 0.
        n_inputs: the number of inputs.
        seed: of the initial kernels and of dropout. Member `i` starts as a single network with `seed + i` does.

    Returns:
        A model from (rows, n_inputs) to (rows, ensemble_size).

    Raises:
        InputError: Keras has no such activation or initializer.
    """
    # Without this, the layers of the second model of a process would get other names.
    keras.backend.clear_session()
    layers: list[keras.Layer] = [keras.Input((n_inputs,), name="inputs")]
    for number, units in enumerate(network.layers, start=1):
        layers.append(_dense(network, units, network.activation, seed, f"dense_{number}", is_first=number == 1))
        if network.dropout:
            layers.append(keras.layers.Dropout(network.dropout, seed=seed + number, name=f"dropout_{number}"))
    layers.append(_dense(network, 1, "sigmoid", seed, "purchase", is_first=False))
    if network.ensemble_size == 1:
        return keras.Sequential(layers, name="network")
    layers.append(keras.layers.Reshape((network.ensemble_size,), name="members"))
    model = keras.Sequential(layers, name="network")
    for layer in model.layers:
        if isinstance(layer, keras.layers.EinsumDense):
            initializers = [_initializer(network, seed + member) for member in range(network.ensemble_size)]
            layer.kernel.assign(np.stack([initialize(layer.kernel.shape[1:]) for initialize in initializers]))
    return model


def mean_of_members(model: keras.Model) -> keras.Model:
    """The model whose output is the mean of all members', (rows, 1)."""
    ensemble_size = model.output_shape[-1]
    if ensemble_size == 1:
        return model
    outputs = keras.layers.Reshape((ensemble_size, 1), name="outputs")(model.outputs[0])
    return keras.Model(model.inputs[0], keras.layers.GlobalAveragePooling1D(name="mean")(outputs), name="network")


def member_weights(n_rows: int, ensemble_size: int, seed: int) -> np.ndarray | None:
    """Sample weights, 0 or 1, with which each member is trained without a random part of the rows.

    The parts are disjoint and of equal size, and together they are all rows.

    Args:
        n_rows: the number of rows to train on.
        ensemble_size: the number of members.
        seed: of the assignment of rows to parts.

    Returns:
        (n_rows, ensemble_size), or None for a single network, which gets all rows.
    """
    if ensemble_size == 1:
        return None
    left_out_by = np.random.default_rng([seed, ensemble_size]).permutation(n_rows) % ensemble_size
    return (left_out_by[:, np.newaxis] != np.arange(ensemble_size)).astype(np.float32)


def _dense(network: Network, units: int, activation: str, seed: int, name: str, is_first: bool) -> keras.Layer:
    options = {
        "activation": _from_keras(keras.activations, activation, "activation"),
        "kernel_regularizer": keras.regularizers.L2(network.l2) if network.l2 else None,
        "name": name,
    }
    if network.ensemble_size == 1:
        return keras.layers.Dense(units, kernel_initializer=_initializer(network, seed), **options)
    # build_network initializes these kernels: an initializer of Keras would count the members as fan-in.
    return keras.layers.EinsumDense(
        "bi,mio->bmo" if is_first else "bmi,mio->bmo",
        output_shape=(network.ensemble_size, units),
        bias_axes="mo",
        kernel_initializer="zeros",
        **options,
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
