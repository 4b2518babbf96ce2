"""A saved network as one ONNX file: from the columns of a session table to calibrated probabilities and decisions."""

from pathlib import Path

import numpy as np

from stages.lib.common.errors import InputError
from stages.lib.dataset.schema import Schema
from stages.lib.modeling.calibration import MAX_PROBABILITY, MIN_PROBABILITY, Calibration
from stages.lib.modeling.decision import Decision
from stages.lib.onnx_export.features import encode, input_types
from stages.lib.onnx_export.graph import BOOL, DOUBLE, FLOAT, Graph


def export_model(folder: Path) -> bytes:
    """The network that was saved in the folder, with its encoder, calibration and threshold.

    Its inputs are the columns of the schema, each of shape (rows,): numbers as double, NaN where missing, dates as
    days since 1970, and categories as texts, empty where missing. Its outputs are `probability`, float32, and
    `decision`, bool, both (rows,): what `stages.score` writes, but for rounding.

    Raises:
        InputError: the folder holds no network, or one with an activation that cannot be exported.
    """
    schema, decision = Schema.load(folder / "schema.json"), Decision.load(folder / "decision.json")
    if not (folder / "network.keras").exists():
        raise InputError(f"{folder}: only a network can be exported, neither trees nor a blend")
    # Imported here, so that mistakes are reported before TensorFlow is loaded.
    from stages.lib.modeling.model import Model
    from stages.lib.onnx_export.network import add_network

    model = Model.load(folder)
    graph = Graph(input_types(model.encoder, schema))
    predicted = add_network(graph, model.network, encode(graph, model.encoder, schema))
    calibrated = _calibrate(graph, decision.calibration, predicted)
    exact = graph.add("Cast", calibrated, to=DOUBLE)
    graph.output(calibrated, "probability", FLOAT)
    graph.output(graph.add("GreaterOrEqual", exact, graph.constant(decision.threshold)), "decision", BOOL)
    return graph.to_bytes(folder.name)


def _calibrate(graph: Graph, calibration: Calibration, probabilities: str) -> str:
    """What `Calibration.apply` computes, (rows, 1)."""
    if calibration.method == "none":
        return probabilities
    exact = graph.add("Cast", probabilities, to=DOUBLE)
    if calibration.method == "sigmoid":
        clipped = graph.clip(exact, MIN_PROBABILITY, MAX_PROBABILITY)
        odds = graph.add("Div", clipped, graph.add("Sub", graph.constant(1.0), clipped))
        scaled = graph.add("Mul", graph.add("Log", odds), graph.constant(calibration.slope))
        calibrated = graph.add("Sigmoid", graph.add("Add", scaled, graph.constant(calibration.intercept)))
    else:
        calibrated = graph.interpolate(exact, np.array(calibration.knots), np.array(calibration.values))
    return graph.add("Cast", calibrated, to=FLOAT)
