"""The network that params describe, and the file that holds it."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from stages.lib.common.errors import InputError
from stages.lib.common.params import Network
from stages.lib.modeling.backend import keras

EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)


def build_network(settings: Network, inputs: int, seed: int) -> keras.Model:
    """Dense layers from `inputs` numbers to the probability of a purchase: outputs (rows, members).

    Kernels start as `settings.initializer` with `seed`, biases at zero; l2 is on the kernels. Each member is a network
    of its own, with a seed of its own; all are computed at once.
    Raises InputError for an activation or initializer that Keras doesn't know.
    """
    # The second model of a process would get other names for the same layers.
    keras.backend.clear_session()
    layers: list[keras.Layer] = [keras.Input((inputs,), name="inputs")]
    for place, units in enumerate(settings.layers, start=1):
        layers.append(_dense(settings, units, settings.activation, seed, f"dense_{place}", first=place == 1))
        if settings.dropout:
            layers.append(keras.layers.Dropout(settings.dropout, seed=seed + place, name=f"dropout_{place}"))
    layers.append(_dense(settings, 1, "sigmoid", seed, "purchase", first=False))
    if settings.ensemble_size == 1:
        return keras.Sequential(layers, name="network")
    built = keras.Sequential([*layers, keras.layers.Reshape((settings.ensemble_size,), name="members")], name="network")
    for layer in built.layers:
        if isinstance(layer, keras.layers.EinsumDense):
            starts = [_initializer(settings, seed + member) for member in range(settings.ensemble_size)]
            layer.kernel.assign(np.stack([start(layer.kernel.shape[1:]) for start in starts]))
    return built


def mean_of_members(network: keras.Model) -> keras.Model:
    """The network whose output is the mean of the members', (rows, 1)."""
    members = network.output_shape[-1]
    if members == 1:
        return network
    apart = keras.layers.Reshape((members, 1), name="apart")(network.outputs[0])
    return keras.Model(network.inputs[0], keras.layers.GlobalAveragePooling1D(name="mean")(apart), name="network")


def member_weights(rows: int, members: int, seed: int) -> np.ndarray | None:
    """Weights (rows, members) by which each member is trained without another part of the rows; one gets them all."""
    if members == 1:
        return None
    part = np.random.default_rng([seed, members]).permutation(rows) % members
    return (part[:, np.newaxis] != np.arange(members)).astype(np.float32)


def _dense(settings: Network, units: int, activation: str, seed: int, name: str, first: bool) -> keras.Layer:
    options = {
        "activation": _known(keras.activations, activation, "activation"),
        "kernel_regularizer": keras.regularizers.L2(settings.l2) if settings.l2 else None,
        "name": name,
    }
    if settings.ensemble_size == 1:
        return keras.layers.Dense(units, kernel_initializer=_initializer(settings, seed), **options)
    # Keras would take members for a part of the fan-in: kernels are set afterwards.
    return keras.layers.EinsumDense(
        "bi,mio->bmo" if first else "bmi,mio->bmo",
        output_shape=(settings.ensemble_size, units),
        bias_axes="mo",
        kernel_initializer="zeros",
        **options,
    )


def _initializer(settings: Network, seed: int) -> Any:
    return _known(keras.initializers, settings.initializer, "initializer", {"seed": seed})


def _known(module: Any, name: str, kind: str, config: dict[str, Any] | None = None) -> Any:
    try:
        if config is None:
            return module.get(name)
        accepted = module.get(name).get_config()
        return module.get({"class_name": name, "config": {key: config[key] for key in config if key in accepted}})
    except (ValueError, TypeError):
        raise InputError(f"params.yaml: network.{kind}: Keras knows no '{name}'") from None


def save_network(network: keras.Model, path: Path) -> None:
    """A .keras file for `keras.saving.load_model`, the same bytes for the same architecture and weights.

    Keras stamps its file with the date, and its config with ids of objects in memory: they are set to constants.
    """
    network.save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in sorted(archive.namelist())}
    contents["metadata.json"] = _edited(contents["metadata.json"], {"date_saved": ""})
    contents["config.json"] = _edited(contents["config.json"], {"shared_object_id": None})
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH_OF_ZIP), content)


def _edited(text: bytes, constants: dict[str, Any]) -> bytes:
    """JSON with the keys of `constants`, at any depth, set to their values, or removed where that is None."""

    def edit(node: Any) -> Any:
        if isinstance(node, list):
            return [edit(item) for item in node]
        if not isinstance(node, dict):
            return node
        kept = {key: edit(value) for key, value in node.items() if constants.get(key, "") is not None}
        return {key: constants.get(key, value) for key, value in kept.items()}

    return json.dumps(edit(json.loads(text)), sort_keys=True).encode()
