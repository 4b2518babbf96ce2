"""The network that params describe."""

from typing import Any

from stages.lib.backend import keras
from stages.lib.files import InputError
from stages.lib.params import Network


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
