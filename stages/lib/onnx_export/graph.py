"""An ONNX graph that is built node by node: each operator takes and returns names of tensors."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from stages.lib.common.errors import InputError

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    raise InputError("the packages onnx and onnxruntime are missing: pip install -r requirements-onnx.txt") from None

IR_VERSION = 10  # that of onnx 1.16, so that older runtimes can read the file
OPSETS = {"": 20, "ai.onnx.ml": 3}
DOUBLE, FLOAT, INT64, BOOL, STRING = (
    TensorProto.DOUBLE,
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.BOOL,
    TensorProto.STRING,
)


class Graph:
    """Inputs and outputs have the shape (rows,)."""

    def __init__(self, input_types: dict[str, int]) -> None:
        self._inputs = input_types
        self._outputs: dict[str, int] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._names: set[str] = {*input_types}

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Apply an operator of ONNX; returns the name of its result."""
        output = output or self._unused(operator)
        domain = "ai.onnx.ml" if operator == "LabelEncoder" else ""
        self._nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def constant(self, values: Any, dtype: Any = np.float64) -> str:
        """A tensor of these values."""
        name = self._unused("constant")
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def columns(self, matrix: str, positions: Iterable[int]) -> str:
        """The columns of a matrix at these positions."""
        return self.add("Gather", matrix, self.constant([*positions], np.int64), axis=1)

    def clip(self, tensor: str, low: float, high: float) -> str:
        return self.add("Clip", tensor, self.constant(low), self.constant(high))

    def ramps(self, tensor: str, low: Any, high: Any) -> str:
        """From 0 at `low` to 1 at `high`, constant beyond."""
        risen = self.add("Sub", tensor, self.constant(low))
        return self.clip(self.add("Div", risen, self.constant(np.subtract(high, low))), 0, 1)

    def interpolate(self, column: str, knots: np.ndarray, values: np.ndarray) -> str:
        """What `np.interp` makes of a column (rows, 1): the sum of a ramp between each two knots."""
        if len(knots) == 1:
            return self.clip(column, values[0], values[0])
        steps = self.constant(np.diff(values)[:, np.newaxis])
        risen = self.add("MatMul", self.ramps(column, knots[:-1], knots[1:]), steps)
        return self.add("Add", risen, self.constant(values[0]))

    def output(self, column: str, name: str, dtype: int) -> None:
        """Name a column (rows, 1) as an output; if an input has that name, with an underscore."""
        while name in self._names:
            name += "_"
        self._names.add(name)
        self.add("Squeeze", column, self.constant([1], np.int64), output=name)
        self._outputs[name] = dtype

    def to_bytes(self, name: str) -> bytes:
        """The model file; the same graph gives the same bytes."""
        inputs, outputs = (
            [helper.make_tensor_value_info(key, dtype, ["rows"]) for key, dtype in types.items()]
            for types in (self._inputs, self._outputs)
        )
        graph = helper.make_graph(self._nodes, name, inputs, outputs, self._constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="stages.export")
        onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)

    def _unused(self, kind: str) -> str:
        name = f"{kind}_{len(self._nodes) + len(self._constants)}"
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name
