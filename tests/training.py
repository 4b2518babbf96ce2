"""What tests of training share: a small network, rows, and the same training by `model.fit`."""

import hashlib
import math
from typing import Any

import numpy as np

from stages.lib.common.model_params import Training
from stages.lib.modeling.backend import keras
from stages.lib.modeling.fit import fit

SEED = 5
SETTINGS = Training(
    optimizer="adam",
    learning_rate=1e-3,
    schedule="constant",
    weight_decay=0.0,
    batch_size=8,
    epochs=3,
    patience=0,
    class_weight="none",
)
# Sums are computed in another order than by Keras. Weights, of the order of 0.1 to 1, then differ in their last digits,
# which optimizers that divide by small second moments enlarge.
RTOL, ATOL = 1e-5, 1e-6


def settings_with(**changes: object) -> Training:
    return Training(**SETTINGS.model_dump() | changes)


def make_rows(count: int = 99, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (count, 6), and targets that depend on the first of them."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((count, 6), np.float32)
    return inputs, (inputs[:, 0] + rng.standard_normal(count) > 0.5).astype(np.float32)


def make_network(*extra_layers: keras.layers.Layer, units: int = 7) -> keras.Model:
    """A network with the same initial weights every time."""
    keras.utils.set_random_seed(3)
    hidden = keras.layers.Dense(units, "relu", kernel_regularizer=keras.regularizers.L2(0.01))
    return keras.Sequential([keras.Input((6,)), hidden, *extra_layers, keras.layers.Dense(1, "sigmoid")])


def keras_fit(
    model: keras.Model,
    inputs: np.ndarray,
    targets: np.ndarray,
    settings: Training,
    *,
    validation_data: tuple[np.ndarray, np.ndarray] | None = None,
    sample_weight: np.ndarray | None = None,
    class_weight: dict[int, float] | None = None,
    orders: list[np.ndarray] | None = None,
) -> dict[str, list[float]]:
    """Train by `model.fit` on the same batches as `fit` does, an epoch per call, and return the history.

    `orders` are the rows of each epoch in order; by default they are permuted as all rows in memory are.
    """
    learning_rate: Any = settings.learning_rate
    if settings.schedule == "cosine":
        steps = settings.epochs * math.ceil(len(inputs) / settings.batch_size)
        learning_rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer_class = type(keras.optimizers.get(settings.optimizer))
    weight_decay = settings.weight_decay if settings.weight_decay or settings.optimizer == "adamw" else None
    optimizer = optimizer_class(learning_rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer, "binary_crossentropy")
    history: dict[str, list[float]] = {}
    for epoch in range(settings.epochs):
        order = orders[epoch] if orders else np.random.default_rng([SEED, epoch]).permutation(len(inputs))
        logs = model.fit(
            inputs[order],
            targets[order],
            settings.batch_size,
            verbose=0,
            shuffle=False,
            validation_data=validation_data,
            sample_weight=None if sample_weight is None else sample_weight[order],
            class_weight=class_weight,
        ).history
        for name, values in logs.items():
            history.setdefault(name, []).extend(values)
    return history


def assert_same_weights(actual: keras.Model, expected: keras.Model) -> None:
    for one, other in zip(actual.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=RTOL, atol=ATOL)


def hash_of_trained_weights() -> str:
    model = make_network(keras.layers.Dropout(0.2))
    fit(model, *make_rows(), SETTINGS, seed=SEED, validation_data=make_rows(40, 1))
    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()
