"""Epochs of training in compiled loops.

`model.fit` returns to Python after each batch, which for a small network costs far more than the arithmetic.
Here many steps run inside one compiled loop (XLA), which holds the weights and the optimizer's state as plain
tensors: Keras' own stateless calls compute a step, and the model's variables are written once an epoch.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain
from typing import Any

import numpy as np

from stages.lib.dataset.matrix import chunk_rows
from stages.lib.modeling.backend import keras, tf

# Not public, and the only part of Keras here that isn't: the lock file pins it, and a test would tell.
BaseOptimizer = keras.src.optimizers.base_optimizer.BaseOptimizer
layers = keras.layers

STEPS_PER_CALL = 256  # steps in a call of a compiled loop: enough to hide what a call costs
PROGRAMS_KEPT = 16

# Layers which treat each row alone: rows added to a batch change nothing for the others.
DENSE = {layers.Dense, layers.EinsumDense, layers.InputLayer, layers.Flatten, layers.Reshape}
ROW_BY_ROW = DENSE | {layers.Dropout, layers.Activation, layers.ReLU, layers.Concatenate, layers.Add}

Program = Callable[..., tuple]
_programs: dict[str, Program] = {}  # compiled loops by all that they depend on, the latest used last

# Keras' TensorFlow optimizers write to `tf.Variable`s, for the sake of distribution, which is not used here,
# and so refuse `stateless_apply`. This mixin brings back the general methods.
_GENERAL = ("assign", "assign_add", "assign_sub", "stateless_apply", "_var_key", "_apply_weight_decay")
_Functional = type(
    "_Functional",
    (keras.optimizers.Optimizer,),
    {name: getattr(BaseOptimizer, name) for name in (*_GENERAL, "_backend_update_step")},
)


@cache
def functional(kind: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    return type(kind.__name__, (kind, _Functional), {})


class _Dropout(keras.layers.Dropout):
    """Dropout by a generator that XLA compiles well: microseconds a mask; the default takes a millisecond."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or self.rate == 0:
            return inputs
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        return tf.nn.experimental.stateless_dropout(inputs, rate=self.rate, seed=seed, rng_alg="threefry")


class _L2(keras.regularizers.L2):
    """The same penalty: sums by a matrix product, where XLA would add up one by one, for a fifth of a step's time."""

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        squares = tf.reshape(tf.square(x), (-1, x.shape[-1]))
        return self.l2 * tf.reduce_sum(squares @ tf.ones((squares.shape[1], 1)))


class Loop:
    """The training of one model, an epoch at a time, by compiled loops."""

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        batch_size: int,
        rates: np.ndarray,
        shape: tuple[int, ...],
    ):
        """`rates` are the learning rates of all steps to come, in place of the optimizer's own; `shape` is the inputs'.

        `at_once` of their rows, or the rest of them, are to be in memory at a time: whole calls of compiled loops.
        """
        self.model, self.optimizer = model, optimizer
        self.rates = rates.astype(np.float32)
        self.variables = (model.trainable_variables, model.non_trainable_variables)
        self.state = _values(optimizer.variables)
        self.programs: dict[tuple[int, int], Program] = {}
        self.description = _description(model, optimizer)
        self.padded = all(type(part) in ROW_BY_ROW and not part.activity_regularizer for part in model.layers)
        self.batch = min(batch_size, shape[0])
        most = max(1, chunk_rows(shape, 1) // self.batch)
        self.steps = min(STEPS_PER_CALL, most, -(-self.whole(shape[0]) // self.batch))
        self.at_once = chunk_rows(shape, self.batch * self.steps)

    def epoch(self, parts: Iterable[tuple[list[np.ndarray], np.ndarray]]) -> float:
        """Train on the rows of arrays, of inputs, targets and weights, in the order beside these; the mean loss.

        The inputs may be a tensor, which is worth its making if they are the same each time.
        """
        values, losses, rows = list(map(_values, self.variables)), [], 0
        for arrays, order in parts:
            rows += len(order)
            for chosen, batch, steps in self.calls(order):
                places = np.zeros(batch * steps, np.int32)  # those after the last row are not trained on
                places[: len(chosen)] = chosen
                taken = -(-len(chosen) // batch)
                rates, self.rates = np.resize(self.rates[:taken], steps), self.rates[taken:]
                data = [_gather(array, places) for array in arrays]
                arguments = (*values, self.state, *data, tf.constant(rates), tf.constant(len(chosen)))
                *values, self.state, loss = self.program(batch, steps, arguments)(*arguments)
                losses.append(loss)
        for variable, value in zip(chain(*self.variables), chain(*values), strict=True):
            variable.assign(value)
        return sum(map(float, losses)) / rows

    def whole(self, rows: int) -> int:
        """How many of so many rows make batches of one size.

        A smaller last batch is padded to the size of the others, which needs no other program, unless a layer
        looks at the batch as a whole, as BatchNormalization does: then it gets a loop of its own.
        """
        return rows if self.padded else rows - rows % self.batch

    def calls(self, order: np.ndarray) -> Iterator[tuple[np.ndarray, int, int]]:
        """The rows, batch size and steps of each call of a compiled loop."""
        whole = self.whole(len(order))
        for start in range(0, whole, self.batch * self.steps):
            yield order[start : min(start + self.batch * self.steps, whole)], self.batch, self.steps
        if whole < len(order):
            yield order[whole:], len(order) - whole, 1

    def program(self, batch: int, steps: int, arguments: tuple) -> Program:
        """The loop compiled for these shapes, by an earlier `fit` if it can be."""
        if (batch, steps) not in self.programs:
            self.programs[batch, steps] = self._program(batch, steps, arguments)
        return self.programs[batch, steps]

    def _program(self, batch: int, steps: int, arguments: tuple) -> Program:
        shapes = [tuple(part.shape) for part in tf.nest.flatten(arguments)]
        key = f"{self.description} {batch} {steps} {shapes}"
        program = _programs.pop(key, None) or _compile(self.model, self.optimizer, batch, steps, arguments)
        _programs[key] = program
        if len(_programs) > PROGRAMS_KEPT:
            del _programs[next(iter(_programs))]
        return program


def _gather(array: np.ndarray | tf.Tensor, places: np.ndarray) -> tf.Tensor:
    # TensorFlow gathers wide rows faster, and numpy single numbers.
    return tf.gather(array, places) if isinstance(array, tf.Tensor) else tf.constant(array.take(places, axis=0))


def _values(variables: list[keras.Variable]) -> list[tf.Tensor]:
    return [tf.identity(variable.value) for variable in variables]


def _description(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> str:
    """All that a loop is compiled from, besides shapes: equal for models that differ in names or weights."""

    def layer_names(config: dict[str, Any]) -> Iterator[str]:
        yield config["name"]
        for layer in config.get("layers", ()):
            yield from layer_names(layer["config"])

    architecture = json.loads(model.to_json())
    names = {name: f"layer {index}" for index, name in enumerate(layer_names(architecture["config"]))}

    def plain(value: Any) -> Any:
        """`value` with places for layers' names, and without the initializers of weights."""
        if isinstance(value, dict):
            kept = {key: plain(part) for key, part in value.items() if not key.endswith("_initializer")}
            return kept | {"name": names.get(kept["name"], kept["name"])} if "name" in kept else kept
        if isinstance(value, list):
            return [names.get(part, part) if isinstance(part, str) else plain(part) for part in value]
        return value

    rule = {key: value for key, value in optimizer.get_config().items() if key not in ("name", "learning_rate")}
    rule["decayed"] = [optimizer._use_weight_decay(variable) for variable in model.trainable_variables]
    return json.dumps([plain(architecture), type(optimizer).__name__, rule], default=str)


def _twin(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A copy of the layer for a program to hold, so that the model itself is neither held nor changed."""
    if hasattr(layer, "adapt"):  # its state is neither in its configuration nor read from variables
        raise ValueError(f"layer {layer.name} is adapted to data: apply it to the rows before training")
    kind = _Dropout if type(layer) is layers.Dropout and layer.noise_shape is None else type(layer)
    twin = kind.from_config(layer.get_config())
    for name in ("kernel_regularizer", "bias_regularizer"):
        regularizer: Any = getattr(twin, name, None)
        if type(regularizer) is keras.regularizers.L2:
            setattr(twin, name, _L2(regularizer.l2))
    return twin


def _compile(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, batch: int, steps: int, arguments: tuple
) -> Program:
    """Compile a loop over the first `rows` rows of `steps` batches.

    It takes the values of the trainable, the other and the optimizer's variables, inputs, targets, weights, a
    learning rate a step and `rows`, and returns the new values of the three and the sum over the rows of the loss of
    their batch.
    """
    twin = keras.models.clone_model(model, clone_function=_twin, recursive=True)
    rate = next(place for place, one in enumerate(optimizer.variables) if one is optimizer._learning_rate)

    def loop(trainable: list, other: list, state: list, *data: tf.Tensor) -> tuple:
        *parts, rates, rows = data
        batches = [tf.reshape(part, (steps, batch, *part.shape[1:])) for part in parts]

        def step(index: tf.Tensor, trainable: list, other: list, state: list, total: tf.Tensor) -> tuple:
            inputs, targets, weights = (part[index] for part in batches)
            taken = tf.minimum(batch, rows - index * batch)
            weights = tf.where((tf.range(batch) < taken)[:, tf.newaxis], weights, 0)
            taken = tf.cast(taken, tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(trainable)
                outputs, other, penalties = twin.stateless_call(
                    trainable, other, inputs, training=True, return_losses=True
                )
                # Of each output by itself, as of several networks. Keras divides by the rows, whatever their weights.
                targets = tf.broadcast_to(targets, outputs.shape)
                losses = keras.losses.binary_crossentropy(targets[..., tf.newaxis], outputs[..., tf.newaxis])
                loss = tf.reduce_sum(losses * weights) / taken + sum(penalties)
            gradients = tape.gradient(loss, trainable)
            state = [*state[:rate], rates[index], *state[rate + 1 :]]
            trainable, state = optimizer.stateless_apply(state, gradients, trainable)
            return index + 1, trainable, other, state, total + loss * taken

        start = (tf.constant(0), trainable, other, state, tf.constant(0.0))
        return tf.while_loop(lambda index, *_: index * batch < rows, step, start)[1:]

    program = tf.function(loop, jit_compile=True, autograph=False).get_concrete_function(*arguments)
    if program.captured_inputs:
        raise ValueError("the model keeps values outside its own variables: a compiled loop would not update them")
    return program
