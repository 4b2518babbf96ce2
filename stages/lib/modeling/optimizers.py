"""Keras' optimizers in the form that compiled loops need, and the learning rate of each step."""

import math
from functools import cache

import numpy as np

from stages.lib.common.errors import InputError
from stages.lib.common.model_params import Training
from stages.lib.modeling.backend import keras

# The only part of Keras used here that is not public. requirements.txt pins Keras, and tests would show a change.
BaseOptimizer = keras.src.optimizers.base_optimizer.BaseOptimizer


class _StatelessMethods(keras.optimizers.Optimizer):
    """The methods of Keras' optimizers before the TensorFlow backend overrides them.

    Its own methods write to `tf.Variable`s, for distribution strategies, which are not used here, and so do not
    support `stateless_apply`.
    """

    assign = BaseOptimizer.assign
    assign_add = BaseOptimizer.assign_add
    assign_sub = BaseOptimizer.assign_sub
    stateless_apply = BaseOptimizer.stateless_apply
    _var_key = BaseOptimizer._var_key
    _apply_weight_decay = BaseOptimizer._apply_weight_decay
    _backend_update_step = BaseOptimizer._backend_update_step


@cache
def with_stateless_apply(optimizer: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """A subclass, with the same name, of an optimizer such as Adam."""
    # The second base overrides only what the first one inherits: methods of Adam itself are not overridden.
    return type(optimizer.__name__, (optimizer, _StatelessMethods), {})


def build_optimizer(training: Training, model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer that params describe, built for the model's variables.

    Raises:
        InputError: Keras has no such optimizer.
    """
    try:
        optimizer_class = keras.optimizers.get(training.optimizer).__class__
    except ValueError:
        raise InputError(f"params.yaml: training.optimizer: Keras has no optimizer '{training.optimizer}'") from None
    # None skips the computation, but AdamW does not accept it.
    no_decay = 0.0 if optimizer_class is keras.optimizers.AdamW else None
    optimizer = with_stateless_apply(optimizer_class)(
        learning_rate=training.learning_rate, weight_decay=training.weight_decay or no_decay
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(model.trainable_variables)
    return optimizer


def learning_rates(training: Training, n_rows: int) -> np.ndarray:
    """The learning rate of each step of all epochs; cosine as in `keras.optimizers.schedules.CosineDecay`."""
    steps = training.epochs * math.ceil(n_rows / training.batch_size)
    progress = np.linspace(0, 1, steps, endpoint=False)
    decay = 0.5 * (1 + np.cos(np.pi * progress)) if training.schedule == "cosine" else np.ones(steps)
    return training.learning_rate * decay
