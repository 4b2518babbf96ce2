"""The encoder as a part of an ONNX graph: from the columns of a session table to the inputs of the network."""

import numpy as np

from stages.lib.dataset.schema import Schema
from stages.lib.modeling.columns import MISSING, CategoricalColumn
from stages.lib.modeling.encoder import Encoder
from stages.lib.modeling.target_encoding import TargetEncodedColumn
from stages.lib.onnx_export.graph import DOUBLE, FLOAT, STRING, Graph
from stages.lib.preparation.nulls import missing_numbers, missing_texts
from stages.lib.preparation.numbers import FLAGS


def input_types(encoder: Encoder, schema: Schema) -> dict[str, int]:
    """The type of each column, in the order of the schema."""
    categorical = {column.name for column in encoder.categorical}
    return {name: STRING if name in categorical else DOUBLE for name in schema.features}


def encode(graph: Graph, encoder: Encoder, schema: Schema) -> str:
    """The inputs of the network, float32 of shape (rows, inputs): what `Encoder.transform` computes."""
    blocks = []
    if encoder.numeric:
        standardized, missing = _standardize(graph, encoder, schema)
        blocks += [_scale(graph, encoder, standardized)]
    blocks += [_log_odds(graph, column, schema) for column in encoder.target_encoded]
    if encoder.numeric:
        if indicators := [i for i, column in enumerate(encoder.numeric) if column.has_missing]:
            blocks.append(graph.columns(graph.add("Cast", missing, to=DOUBLE), indicators))
        edges = [(i, column.bin_edges) for i, column in enumerate(encoder.numeric) if column.bin_edges]
        if edges:
            repeated = graph.columns(standardized, np.repeat([i for i, _ in edges], [len(e) - 1 for _, e in edges]))
            low, high = (np.concatenate([each[part] for _, each in edges]) for part in (slice(-1), slice(1, None)))
            blocks.append(graph.ramps(repeated, low, high))
    blocks += [_one_hot(graph, column, schema) for column in encoder.categorical if len(column.categories) > 1]
    inputs = graph.add("Concat", *blocks, axis=1)
    centered = graph.add("Sub", inputs, graph.constant(encoder.mean))
    return graph.add("Cast", graph.add("Div", centered, graph.constant(encoder.scale)), to=FLOAT)


def _standardize(graph: Graph, encoder: Encoder, schema: Schema) -> tuple[str, str]:
    """The standardized numeric columns, and where they are missing, both (rows, numeric columns)."""
    columns = encoder.numeric
    together = graph.add("Concat", *(column.name for column in columns), axis=0)
    by_column = graph.add("Reshape", together, graph.constant([len(columns), -1], np.int64))
    values = graph.add("Transpose", by_column)
    missing = graph.add("IsNaN", values)
    for number in missing_numbers(schema.na_values):
        missing = graph.add("Or", missing, graph.add("Equal", values, graph.constant(number)))
    median, mean, scale = (
        graph.constant([getattr(column, name) for column in columns]) for name in ("median", "mean", "scale")
    )
    filled = graph.add("Where", missing, median, values)
    return graph.add("Div", graph.add("Sub", filled, mean), scale), missing


def _scale(graph: Graph, encoder: Encoder, standardized: str) -> str:
    if not any(column.knots for column in encoder.numeric):
        return standardized
    scaled = []
    for i, column in enumerate(encoder.numeric):
        value = graph.columns(standardized, [i])
        if column.knots:
            value = graph.interpolate(value, np.array(column.knots), np.array(column.scores))
        scaled.append(value)
    return graph.add("Concat", *scaled, axis=1)


def _log_odds(graph: Graph, column: TargetEncodedColumn, schema: Schema) -> str:
    """What `TargetEncodedColumn.values` looks up, (rows, 1)."""
    log_odds = dict.fromkeys(["", *missing_texts(schema.na_values)], column.log_odds.get(MISSING, 0.0))
    for category, value in column.log_odds.items():
        log_odds |= dict.fromkeys(_spellings(category), value)
    looked_up = graph.add(
        "LabelEncoder",
        column.name,
        keys_strings=[*log_odds],
        values_floats=[*log_odds.values()],
        default_float=0.0,
    )
    return graph.add("Cast", graph.add("Unsqueeze", looked_up, graph.constant([1], np.int64)), to=DOUBLE)


def _one_hot(graph: Graph, column: CategoricalColumn, schema: Schema) -> str:
    """A category by any of its spellings; an empty text is missing, since ONNX has no null."""
    unknown = column.categories.index(column.unknown)
    missing = column.categories.index(MISSING) if MISSING in column.categories else unknown
    ordinals = dict.fromkeys(["", *missing_texts(schema.na_values)], missing)
    for ordinal, category in enumerate(column.categories):
        ordinals |= dict.fromkeys(_spellings(category), ordinal)
    numbered = graph.add(
        "LabelEncoder",
        column.name,
        keys_strings=[*ordinals],
        values_int64s=[*ordinals.values()],
        default_int64=unknown,
    )
    as_column = graph.add("Unsqueeze", numbered, graph.constant([1], np.int64))
    positions = graph.constant(np.arange(1, len(column.categories)), np.int64)
    return graph.add("Cast", graph.add("Equal", as_column, positions), to=DOUBLE)


def _spellings(category: str) -> list[str]:
    """TRUE is also what is written true or True."""
    return [category, *(flag for flag in FLAGS if flag.upper() == category)]
