"""A dense Keras network, or the mean of several, as a part of an ONNX graph."""

from collections.abc import Callable
from typing import Any

import numpy as np

from stages.lib.common.errors import InputError
from stages.lib.modeling.backend import keras
from stages.lib.onnx_export.graph import Graph


def _operator(name: str, **attributes: Any) -> Callable[[Graph, str], str]:
    return lambda graph, tensor: graph.add(name, tensor, **attributes)


# By their names in Keras
ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "elu": _operator("Elu"),
    "exponential": _operator("Exp"),
    "gelu": _operator("Gelu"),
    "hard_sigmoid": _operator("HardSigmoid", alpha=1 / 6),
    "leaky_relu": _operator("LeakyRelu", alpha=0.2),
    "linear": _operator("Identity"),
    "mish": _operator("Mish"),
    "relu": _operator("Relu"),
    "selu": _operator("Selu"),
    "sigmoid": _operator("Sigmoid"),
    "silu": lambda graph, tensor: graph.add("Mul", tensor, graph.add("Sigmoid", tensor)),
    "softplus": _operator("Softplus"),
    "softsign": _operator("Softsign"),
    "tanh": _operator("Tanh"),
}


def add_network(graph: Graph, network: keras.Model, inputs: str) -> str:
    """The probabilities, float32 of shape (rows, 1), from the inputs, float32 of shape (rows, inputs).

    Raises:
        InputError: an activation has no counterpart in ACTIVATIONS.
    """
    members = [layer for layer in network.layers if isinstance(layer, keras.Sequential)]
    outputs = [_add_layers(graph, member, inputs) for member in members or [network]]
    return graph.add("Mean", *outputs)


def _add_layers(graph: Graph, network: Any, tensor: str) -> str:
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dense):
            kernel, bias = (graph.constant(values, np.float32) for values in layer.get_weights())
            name = layer.activation.__name__
            if name not in ACTIVATIONS:
                raise InputError(f"activation '{name}' cannot be exported, only {', '.join(ACTIVATIONS)}")
            tensor = ACTIVATIONS[name](graph, graph.add("Gemm", tensor, kernel, bias))
    return tensor  # dropout does nothing outside of training
