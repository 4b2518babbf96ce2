"""The encoder: from features to the inputs of a network, with statistics of the training set only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from stages.lib.common.errors import InputError, file_errors
from stages.lib.common.files import write_json
from stages.lib.common.model_params import Encoding, Section
from stages.lib.dataset.matrix import Matrix, concatenate
from stages.lib.dataset.parquet import Frame, iter_chunks
from stages.lib.dataset.sessions import Sessions
from stages.lib.modeling.columns import INFREQUENT, CategoricalColumn, NumericColumn
from stages.lib.modeling.target_encoding import MANY_CATEGORIES, InnerFolds, TargetEncodedColumn, cross_fitted


@dataclass(frozen=True)
class Block:
    """Neighboring inputs, before they are centered and scaled.

    Attributes:
        names: of the inputs.
        columns: for each input, the column of the features that it comes from.
        source: the columns of `Encoder.ordinals` that they are computed from.
        compute: from these, (rows, width of `source`), to the block, (rows, len(names)).
    """

    names: list[str]
    columns: list[str]
    source: slice
    compute: Callable[[np.ndarray], np.ndarray]


class Encoder(Section):
    """Fitted by `fit_to_train`: `mean` and `scale` center and scale each input; `blocks` says what the inputs are.

    `target_encoded` are those of the categorical columns that have an input by the targets as well.
    """

    numeric: tuple[NumericColumn, ...]
    categorical: tuple[CategoricalColumn, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    target_encoded: tuple[TargetEncodedColumn, ...] = ()

    @model_validator(mode="after")
    def _target_encoded_are_categorical(self) -> Self:
        if not {column.name for column in self.target_encoded} <= {column.name for column in self.categorical}:
            raise ValueError("a target-encoded column is not categorical")
        return self

    @property
    def blocks(self) -> list[Block]:
        """All inputs, in order: numeric columns, target-encoded ones, missing indicators, bins, one-hot categories."""
        with_missing = [column.name for column in self.numeric if column.has_missing]
        n_numeric = len(self.numeric)
        n_numbers = n_numeric + len(self.target_encoded)
        n_noncategorical = n_numbers + len(with_missing)
        numeric = [(slice(i, i + 1), column) for i, column in enumerate(self.numeric)]
        categorical = [(slice(i, i + 1), column) for i, column in enumerate(self.categorical, start=n_noncategorical)]
        blocks = [Block([column.name], [column.name], source, column.scaled) for source, column in numeric]
        names, of_columns = [column.input_name for column in self.target_encoded], [c.name for c in self.target_encoded]
        blocks.append(Block(names, of_columns, slice(n_numeric, n_numbers), lambda log_odds: log_odds))
        names = [f"{name}=(missing)" for name in with_missing]
        blocks.append(Block(names, with_missing, slice(n_numbers, n_noncategorical), lambda indicators: indicators))
        for source, number in numeric:
            if number.bin_edges:
                names = [f"{number.name}[{bin_number}]" for bin_number in range(1, len(number.bin_edges))]
                blocks.append(Block(names, [number.name] * len(names), source, number.binned))
        for source, category in categorical:
            names = [f"{category.name}={name}" for name in category.categories[1:]]
            blocks.append(Block(names, [category.name] * len(names), source, category.one_hot))
        return blocks

    @property
    def input_names(self) -> list[str]:
        """Of each input: its column's, `column=(target)`, `column=(missing)`, `column[bin]` or `column=category`."""
        return [name for block in self.blocks for name in block.names]

    @property
    def input_columns(self) -> list[str]:
        """For each input, the column of the features that it comes from."""
        return [column for block in self.blocks for column in block.columns]

    def inputs(self, features: Frame) -> Matrix:
        """Inputs, float32 of shape (rows, inputs), computed by chunks; in a file if they exceed a chunk."""
        return concatenate((len(features), len(self.mean)), map(self.transform, iter_chunks(features)))

    def transform(self, features: pd.DataFrame) -> np.ndarray:
        """Inputs, float32 of shape (rows, inputs)."""
        return self.expand(self.ordinals(features))

    def ordinals(self, features: pd.DataFrame) -> np.ndarray:
        """Features as numbers, one column each, as trees and SMOTENC take them.

        Returns:
            float64 of shape (rows, columns): the standardized numeric columns, then the log-odds of target-encoded
            ones, then the missing indicators, 0 or 1, then the categorical columns, each value as its position in
            `categories`.

        Raises:
            InputError: a column is missing.
        """
        numeric_names = [column.name for column in self.numeric]
        _require_columns(features, [*numeric_names, *(column.name for column in self.categorical)])
        values = features[numeric_names].to_numpy(np.float64)
        missing = np.isnan(values)
        values = np.where(missing, [column.median for column in self.numeric], values)
        standardized = (values - [column.mean for column in self.numeric]) / [column.scale for column in self.numeric]
        indicators = missing[:, [column.has_missing for column in self.numeric]]
        ordinals = [column.ordinals(features[column.name]) for column in self.categorical]
        log_odds = [column.values(features) for column in self.target_encoded]
        return np.column_stack([standardized, *log_odds, indicators, *ordinals])

    @property
    def is_categorical(self) -> np.ndarray:
        """For each column of `ordinals`, whether it is a missing indicator or a categorical column."""
        n_indicators = sum(column.has_missing for column in self.numeric)
        n_numbers = len(self.numeric) + len(self.target_encoded)
        return np.repeat([False, True], [n_numbers, n_indicators + len(self.categorical)])

    @property
    def is_target_encoded(self) -> np.ndarray:
        """For each column of `ordinals`, whether it is the log-odds of a target-encoded column."""
        n_after = len(self.is_categorical) - len(self.numeric) - len(self.target_encoded)
        return np.repeat([False, True, False], [len(self.numeric), len(self.target_encoded), n_after])

    def expand(self, ordinals: np.ndarray) -> np.ndarray:
        """Inputs, float32 of shape (rows, inputs), from `ordinals`."""
        inputs, start = np.empty((len(ordinals), len(self.mean)), np.float32), 0
        for block in self.blocks:
            part = slice(start, start + len(block.names))
            values = block.compute(ordinals[:, block.source])
            inputs[:, part] = (values - np.array(self.mean[part])) / self.scale[part]
            start = part.stop
        return inputs

    def save(self, path: Path) -> None:
        write_json(path, self.model_dump(exclude_defaults=True))

    @classmethod
    def load(cls, path: Path) -> Self:
        with file_errors(path, "the encoder of a trained model", "expected the folder of a trained model"):
            return cls.model_validate_json(path.read_bytes())


def fit_to_train(sessions: Sessions, encoding: Encoding | Encoder, folds: InnerFolds) -> tuple[Encoder, Sessions]:
    """Fit the encoder to the rows that a model is trained on; no other rows may have a say in what it learns.

    Args:
        sessions: the rows to train on, with their targets.
        encoding: see `fit_encoder`; or an encoder, of which only target-encoded columns are fitted, to these rows.
        folds: of the rows, in which target-encoded columns are computed.

    Returns:
        The encoder, which encodes other rows; and the rows to train on, to be encoded by it as well, where no row's own
        target is in its inputs.

    Raises:
        InputError: there are too few rows for the folds.
    """
    encoder = encoding if isinstance(encoding, Encoder) else fit_encoder(sessions.features, encoding)
    if not encoder.target_encoded:
        return encoder, sessions
    fitted = tuple(column.fit(sessions) for column in encoder.target_encoded)
    return encoder.model_copy(update={"target_encoded": fitted}), cross_fitted(sessions, fitted, folds)


def mean_of_encoders(encoders: Sequence[Encoder]) -> Encoder:
    """Of encoders that differ in the rows that target-encoded columns were fitted to, if there are any."""
    columns = zip(*(encoder.target_encoded for encoder in encoders), strict=True)
    mean = tuple(TargetEncodedColumn.mean(of_encoders) for of_encoders in columns)
    return encoders[0].model_copy(update={"target_encoded": mean})


def fit_encoder(features: Frame, encoding: Encoding) -> Encoder:
    """Fit all of the encoder that takes no targets, with a column or a chunk of rows in memory at a time.

    Args:
        features: of the training set.
        encoding: scaling "standard" gives zero mean and unit variance; "quantile" gives numeric columns the normal
            score of a value's rank, within ±3, and only centers the other inputs. `bins` adds to each numeric column
            its piecewise-linear encoding (Gorishniy, Rubachev & Babenko 2022, "On Embeddings for Numerical Features
            in Tabular Deep Learning"), which is only centered if scaling is "quantile".
    """
    numeric_columns, categorical_columns, many = [], [], []
    for name, column in features.items():
        if pd.api.types.is_numeric_dtype(column):
            numeric_columns.append(NumericColumn.fit(column, encoding))
            continue
        categorical_columns.append(category := CategoricalColumn.fit(column, encoding))
        if column.nunique() > MANY_CATEGORIES and INFREQUENT in category.categories:
            frequent = tuple(each for each in category.categories if each != INFREQUENT)
            many.append(TargetEncodedColumn(name=str(name), frequent=frequent, log_odds={}))
    unscaled = Encoder(
        numeric=tuple(numeric_columns),
        categorical=tuple(categorical_columns),
        mean=(),
        scale=(),
        target_encoded=tuple(many),
    )
    mean, variance = _mean_and_variance(features, unscaled)
    scale = np.sqrt(variance) if encoding.scaling == "standard" else np.ones(len(mean))
    # Numeric columns are scaled already; to do it again would only change the last digits. Log-odds are not scaled.
    n_numbers = len(numeric_columns) + len(many)
    mean[:n_numbers], scale[:n_numbers] = 0.0, 1.0
    scale[scale == 0] = 1.0
    return unscaled.model_copy(update={"mean": tuple(mean.tolist()), "scale": tuple(scale.tolist())})


def _mean_and_variance(features: Frame, encoder: Encoder) -> tuple[np.ndarray, np.ndarray]:
    """Of each input before it is centered and scaled, combined from those of chunks."""
    moments, rows = [], []
    for chunk in iter_chunks(features):
        ordinals = encoder.ordinals(chunk)
        # A block at a time: all of them, as float64, take twice the memory of the inputs.
        blocks = (block.compute(ordinals[:, block.source]) for block in encoder.blocks)
        moments.append(np.hstack([(block.mean(axis=0), block.var(axis=0)) for block in blocks]))
        rows.append(len(chunk))
    weights = (np.array(rows) / sum(rows))[:, np.newaxis]
    means, variances = np.stack(moments, axis=1)
    mean = (weights * means).sum(axis=0)
    return mean, (weights * (variances + (means - mean) ** 2)).sum(axis=0)


def _require_columns(features: pd.DataFrame, names: list[str]) -> None:
    missing = [name for name in names if name not in features]
    if missing:
        known = ", ".join(map(str, features))
        raise InputError(f"no column '{missing[0]}', on which the model was trained; the columns are {known}")
