"""The network that params describe, and the file that holds it."""

import json
import zipfile
from pathlib import Path
from typing import Any

from stages.lib.backend import keras
from stages.lib.files import InputError
from stages.lib.params import Network

EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)


def build(settings: Network, inputs: int, seed: int) -> keras.Sequential:
    """Dense layers from `inputs` numbers to the probability of a purchase.

    Kernels start as `settings.initializer` with `seed`, biases at zero; l2 is on the kernels.
    Raises InputError for an activation or initializer that Keras doesn't know.
    """
    # The second model of a process would get other names for the same layers.
    keras.backend.clear_session()
    layers: list[keras.Layer] = [keras.Input((inputs,), name="inputs")]
    for place, units in enumerate(settings.layers, start=1):
        layers.append(_dense(settings, units, settings.activation, seed, f"dense_{place}"))
        if settings.dropout:
            layers.append(keras.layers.Dropout(settings.dropout, seed=seed + place, name=f"dropout_{place}"))
    layers.append(_dense(settings, 1, "sigmoid", seed, "purchase"))
    return keras.Sequential(layers, name="network")


def _dense(settings: Network, units: int, activation: str, seed: int, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(
        units,
        activation=_known(keras.activations, activation, "activation"),
        kernel_initializer=_known(keras.initializers, settings.initializer, "initializer", {"seed": seed}),
        kernel_regularizer=keras.regularizers.L2(settings.l2) if settings.l2 else None,
        name=name,
    )


def _known(module: Any, name: str, kind: str, config: dict[str, Any] | None = None) -> Any:
    try:
        if config is None:
            return module.get(name)
        accepted = module.get(name).get_config()
        return module.get({"class_name": name, "config": {key: config[key] for key in config if key in accepted}})
    except (ValueError, TypeError):
        raise InputError(f"params.yaml: train_base.network.{kind}: Keras knows no '{name}'") from None


def save(network: keras.Model, path: Path) -> None:
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
