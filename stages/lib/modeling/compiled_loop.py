"""Where the step of training is compiled: many steps in one XLA program.

`model.fit` returns to Python after each batch, which for a small network costs far more than the arithmetic. Here a
loop over many batches is compiled as a whole. The weights and the optimizer's state are tensors inside it, and Keras'
own stateless calls compute a step.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from stages.lib.modeling.backend import keras, tf

MAX_CACHED = 16

CompiledLoop = Callable[..., tuple]
_cache: dict[str, CompiledLoop] = {}  # the most recently used loop is the last


def compiled_loop(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, batch_size: int, steps: int, arguments: tuple
) -> CompiledLoop:
    """The loop that `compile_loop` compiles, or an equal one that an earlier training has left in the cache."""
    shapes = [tuple(tensor.shape) for tensor in tf.nest.flatten(arguments)]
    key = f"{_describe(model, optimizer)} {batch_size} {steps} {shapes}"
    loop = _cache.pop(key, None) or compile_loop(model, optimizer, batch_size, steps, arguments)
    _cache[key] = loop
    if len(_cache) > MAX_CACHED:
        least_recent = next(iter(_cache))
        del _cache[least_recent]
    return loop


def clear_cache() -> None:
    """Forget all compiled loops."""
    _cache.clear()


def loop_settings(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[float]:
    """The weight decay and the dropout rates: arguments of a loop, so that models that differ in them share one."""
    return [optimizer.weight_decay or 0.0, *(layer.rate for layer in model.layers if _has_dropout(layer))]


def compile_loop(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, batch_size: int, steps: int, arguments: tuple
) -> CompiledLoop:
    """Compile a loop over batches.

    Args:
        model: its layers and their regularizers; its weights do not matter.
        optimizer: built for the model, by `build_optimizer`.
        batch_size: rows per step.
        steps: the most that one call makes.
        arguments: tensors of the shapes that the loop will be called with. These are the values of the trainable,
            the non-trainable and the optimizer's variables; inputs, (steps · batch_size, …), targets and weights,
            (steps · batch_size, outputs or 1); a learning rate per step; the `loop_settings`; and n_rows, how many rows
            to train on: those after them are padding.

    Returns:
        A function of such arguments. It returns the new values of the three lists of variables, and the sum over the
        rows of the loss of their batch.

    Raises:
        ValueError: a layer has state that is not in the model's variables.
    """
    twin = keras.models.clone_model(model, clone_function=_clone_for_xla, recursive=True)
    rate_idx = next(i for i, variable in enumerate(optimizer.variables) if variable is optimizer._learning_rate)

    weight_decay = optimizer.weight_decay

    def loop(trainable: list, non_trainable: list, state: list, *data: tf.Tensor) -> tuple:
        *arrays, rates, settings, n_rows = data
        optimizer.weight_decay = None if weight_decay is None else settings[0]
        for i, layer in enumerate(filter(_has_dropout, twin.layers), start=1):
            layer.rate_argument = settings[i]
        batches = [tf.reshape(array, (steps, batch_size, *array.shape[1:])) for array in arrays]

        def step(i: tf.Tensor, trainable: list, non_trainable: list, state: list, total_loss: tf.Tensor) -> tuple:
            inputs, targets, weights = (batch[i] for batch in batches)
            n_real = tf.minimum(batch_size, n_rows - i * batch_size)  # the others pad the last batch
            weights = tf.where((tf.range(batch_size) < n_real)[:, tf.newaxis], weights, 0)
            n_real = tf.cast(n_real, tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(trainable)
                outputs, non_trainable, penalties = twin.stateless_call(
                    trainable, non_trainable, inputs, training=True, return_losses=True
                )
                # Each output has its own loss, so that members of an ensemble are independent. As in Keras, the sum
                # is divided by the number of rows, whatever their weights.
                targets = tf.broadcast_to(targets, outputs.shape)
                losses = keras.losses.binary_crossentropy(targets[..., tf.newaxis], outputs[..., tf.newaxis])
                loss = tf.reduce_sum(losses * weights) / n_real + sum(penalties)
            gradients = tape.gradient(loss, trainable)
            state = [*state[:rate_idx], rates[i], *state[rate_idx + 1 :]]
            trainable, state = optimizer.stateless_apply(state, gradients, trainable)
            return i + 1, trainable, non_trainable, state, total_loss + loss * n_real

        start = (tf.constant(0), trainable, non_trainable, state, tf.constant(0.0))
        return tf.while_loop(lambda i, *_: i * batch_size < n_rows, step, start)[1:]

    compiled = tf.function(loop, jit_compile=True, autograph=False).get_concrete_function(*arguments)
    optimizer.weight_decay = weight_decay
    if compiled.captured_inputs:
        raise ValueError("the model keeps state outside its variables, which a compiled loop would not update")
    return compiled


class _FastDropout(keras.layers.Dropout):
    """Dropout by a generator that XLA compiles well: a mask takes microseconds, by the default one a millisecond."""

    rate_argument: tf.Tensor | None = None  # in place of the rate

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or self.rate == 0:
            return inputs
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        rate = self.rate if self.rate_argument is None else self.rate_argument
        return tf.nn.experimental.stateless_dropout(inputs, rate=rate, seed=seed, rng_alg="threefry")


class _FastL2(keras.regularizers.L2):
    """The same penalty, summed by a matrix product: XLA's own sum would take a fifth of a step's time."""

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        squares = tf.reshape(tf.square(x), (-1, x.shape[-1]))
        return self.l2 * tf.reduce_sum(squares @ tf.ones((squares.shape[1], 1)))


def _clone_for_xla(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A copy of the layer, with faster dropout and regularizers, so that a cached loop does not refer to the model."""
    if hasattr(layer, "adapt"):  # the result of `adapt` is neither in the layer's configuration nor in its variables
        raise ValueError(f"layer {layer.name} is adapted to data: apply it to the rows before training")
    clone = (_FastDropout if _is_plain_dropout(layer) else type(layer)).from_config(layer.get_config())
    for name in ("kernel_regularizer", "bias_regularizer"):
        regularizer: Any = getattr(clone, name, None)
        if type(regularizer) is keras.regularizers.L2:
            setattr(clone, name, _FastL2(regularizer.l2))
    return clone


def _is_plain_dropout(layer: keras.layers.Layer) -> bool:
    return type(layer) in (keras.layers.Dropout, _FastDropout) and layer.noise_shape is None


def _has_dropout(layer: keras.layers.Layer) -> bool:
    return _is_plain_dropout(layer) and layer.rate > 0


def _describe(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> str:
    """All that a loop depends on, besides shapes: models that differ only in names, weights or settings are equal."""

    def layer_names(config: dict[str, Any]) -> Iterator[str]:
        yield config["name"]
        for layer in config.get("layers", ()):
            yield from layer_names(layer["config"])

    architecture = json.loads(model.to_json())
    with_dropout = {layer.name for layer in model.layers if _has_dropout(layer)}
    for layer in architecture["config"]["layers"]:
        if layer["config"]["name"] in with_dropout:
            del layer["config"]["rate"]
    numbered = {name: f"layer {i}" for i, name in enumerate(layer_names(architecture["config"]))}

    def normalize(node: Any) -> Any:
        """Replace layers' names by their numbers, and drop initializers."""
        if isinstance(node, dict):
            node = {key: normalize(value) for key, value in node.items() if not key.endswith("_initializer")}
            return node | {"name": numbered.get(node["name"], node["name"])} if "name" in node else node
        if isinstance(node, list):
            return [numbered.get(item, item) if isinstance(item, str) else normalize(item) for item in node]
        return node

    settings = {key: value for key, value in optimizer.get_config().items() if key not in ("name", "learning_rate")}
    settings["weight_decay"] = settings["weight_decay"] is not None
    settings["decayed"] = [optimizer._use_weight_decay(variable) for variable in model.trainable_variables]
    return json.dumps([normalize(architecture), type(optimizer).__name__, settings], default=str)
