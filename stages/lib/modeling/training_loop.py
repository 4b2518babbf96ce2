"""Epochs of training, cut into calls of compiled loops."""

import math
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from stages.lib.dataset.matrix import chunk_rows, fits_in_memory
from stages.lib.modeling.backend import keras, tf
from stages.lib.modeling.compiled_loop import CompiledLoop, compiled_loop, loop_settings

STEPS_PER_CALL = 256  # at most; enough to hide the overhead of a call
# Calls may be padded to so many bytes of inputs, so that few rows need no compilation of their own for each number.
PADDED_BYTES = 2**22

# Layers that treat each row by itself, so that rows which pad a batch change nothing for the others.
ROWWISE_LAYERS = {
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.Concatenate,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.EinsumDense,
    keras.layers.Flatten,
    keras.layers.InputLayer,
    keras.layers.ReLU,
    keras.layers.Reshape,
}


class TrainingLoop:
    """Trains one model, an epoch at a time.

    The model's variables are written at the end of an epoch; in between they are tensors.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        batch_size: int,
        learning_rates: np.ndarray,
        shape: tuple[int, ...],
    ) -> None:
        """Choose how many steps a call makes, and how many rows are in memory at a time (`rows_per_chunk`).

        Args:
            model: to train in place.
            optimizer: built for the model, by `build_optimizer`.
            batch_size: rows per step.
            learning_rates: of all steps to come, in place of the optimizer's own.
            shape: of the inputs, (rows, …).
        """
        self.model, self.optimizer = model, optimizer
        self.learning_rates = learning_rates.astype(np.float32)
        self.variables = (model.trainable_variables, model.non_trainable_variables)
        self.optimizer_state = _values(optimizer.variables)
        self.settings = tf.constant(loop_settings(model, optimizer), tf.float32)
        self.loops: dict[tuple[int, int], CompiledLoop] = {}  # by batch size and steps
        self.can_pad = all(type(layer) in ROWWISE_LAYERS and not layer.activity_regularizer for layer in model.layers)
        self.batch_size = min(batch_size, shape[0])
        steps_in_epoch = math.ceil(self._rows_of_equal_batches(shape[0]) / self.batch_size)
        steps = max(1, steps_in_epoch, PADDED_BYTES // (4 * self.batch_size * math.prod(shape[1:])))
        if not fits_in_memory(shape):
            steps = max(1, chunk_rows(shape, 1) // self.batch_size)
        self.steps = min(STEPS_PER_CALL, steps)
        self.rows_per_chunk = chunk_rows(shape, self.batch_size * self.steps)

    def run_epoch(self, chunks: Iterable[tuple[list[np.ndarray | tf.Tensor], np.ndarray]]) -> float:
        """Train on all rows once.

        Args:
            chunks: each has inputs, (rows, …), targets, (rows, 1), and weights, (rows, outputs or 1), and the order in
                which to take their rows. It is faster to gather inputs from a tensor, if it is made only once.

        Returns:
            The mean loss of the rows, each when its batch was trained on.
        """
        trainable, non_trainable = map(_values, self.variables)
        losses, n_rows = [], 0
        for arrays, order in chunks:
            n_rows += len(order)
            for idx, batch_size, steps in self._calls(order):
                padded_idx = np.zeros(batch_size * steps, np.int32)
                padded_idx[: len(idx)] = idx
                used_steps = math.ceil(len(idx) / batch_size)
                rates, self.learning_rates = np.split(self.learning_rates, [used_steps])
                arguments = (
                    trainable,
                    non_trainable,
                    self.optimizer_state,
                    *[_gather(array, padded_idx) for array in arrays],
                    tf.constant(np.resize(rates, steps)),
                    self.settings,
                    tf.constant(len(idx)),
                )
                loop = self._loop(batch_size, steps, arguments)
                trainable, non_trainable, self.optimizer_state, loss = loop(*arguments)
                losses.append(loss)
        for variable, value in zip(chain(*self.variables), chain(trainable, non_trainable), strict=True):
            variable.assign(value)
        return sum(map(float, losses)) / n_rows

    def _rows_of_equal_batches(self, n_rows: int) -> int:
        """How many of `n_rows` rows are in batches of the one size.

        A smaller last batch is padded, which needs no second compiled loop, unless a layer uses statistics of the
        batch, such as BatchNormalization: then it has a loop of its own.
        """
        return n_rows if self.can_pad else n_rows - n_rows % self.batch_size

    def _calls(self, order: np.ndarray) -> Iterator[tuple[np.ndarray, int, int]]:
        """For each call of a compiled loop the row numbers, the batch size and the number of steps."""
        equal, per_call = self._rows_of_equal_batches(len(order)), self.batch_size * self.steps
        for start in range(0, equal, per_call):
            yield order[start : min(start + per_call, equal)], self.batch_size, self.steps
        if equal < len(order):
            yield order[equal:], len(order) - equal, 1

    def _loop(self, batch_size: int, steps: int, arguments: tuple) -> CompiledLoop:
        if (batch_size, steps) not in self.loops:
            self.loops[batch_size, steps] = compiled_loop(self.model, self.optimizer, batch_size, steps, arguments)
        return self.loops[batch_size, steps]


def _gather(array: np.ndarray | tf.Tensor, idx: np.ndarray) -> tf.Tensor:
    # TensorFlow is faster at wide rows, numpy at single numbers.
    return tf.gather(array, idx) if isinstance(array, tf.Tensor) else tf.constant(array.take(idx, axis=0))


def _values(variables: list[keras.Variable]) -> list[tf.Tensor]:
    return [tf.identity(variable.value) for variable in variables]
