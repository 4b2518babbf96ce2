"""Training of Keras models at the speed of the processor.

`model.fit` returns to Python after each batch, which for a small network costs far more than the arithmetic. Here
many steps run inside one compiled loop (XLA). The loop holds all weights and the optimizer's state as plain
tensors: Keras' own stateless calls compute a step, and its variables are written once an epoch.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from stages.lib.backend import keras, tf
import numpy as np
from keras.src.optimizers.base_optimizer import BaseOptimizer
from sklearn.metrics import roc_auc_score

from stages.lib.params import Training

Program = Callable[..., tuple]

STEPS_PER_CALL = 256  # steps in one call of a compiled loop: enough to hide the call, few enough to stay in cache
PROGRAMS_KEPT = 16
VALIDATION_ROWS = 2**16  # rows predicted at a time

# Layers which treat each row alone, so that rows added to a batch change nothing for the others.
ROW_BY_ROW = {
    getattr(keras.layers, name)
    for name in "InputLayer Dense EinsumDense Dropout Activation ReLU LeakyReLU Flatten Reshape Concatenate Add".split()
}

_programs: dict[str, Program] = {}  # compiled loops by all that they depend on, the latest used last


class _Functional(keras.optimizers.Optimizer):
    """Mixin which gives an optimizer its `stateless_apply`, which Keras withholds on TensorFlow.

    Keras' TensorFlow optimizers write to `tf.Variable`s because of distribution strategies; the general versions of
    the same methods do not, and there is no distribution here.
    """

    assign = BaseOptimizer.assign
    assign_add = BaseOptimizer.assign_add
    assign_sub = BaseOptimizer.assign_sub
    stateless_apply = BaseOptimizer.stateless_apply
    _var_key = BaseOptimizer._var_key
    _apply_weight_decay = BaseOptimizer._apply_weight_decay
    _backend_update_step = BaseOptimizer._backend_update_step


class _Dropout(keras.layers.Dropout):
    """Dropout with a generator that XLA compiles well: microseconds a mask, where the default takes a millisecond."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or self.rate == 0:
            return inputs
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        return tf.nn.experimental.stateless_dropout(inputs, rate=self.rate, seed=seed, rng_alg="threefry")


def fit(
    model: keras.Model,
    inputs: np.ndarray,
    targets: np.ndarray,
    settings: Training,
    *,
    seed: int,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    sample_weight: np.ndarray | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, list[float]]:
    """Train `model` in place by binary cross-entropy, computing what `model.compile` and `model.fit` would.

    Epoch `e` (from 0) takes the rows in the order `numpy.random.default_rng([seed, e]).permutation(rows)`; dropout
    starts from `seed` too. The result is the same to the bit in every process with the same number of threads.
    Of the callbacks, those of training and of epochs are called, those of batches are not.

    Args:
        model: Sequential or functional, built, not compiled, ending in one sigmoid; made of layers which can be
            created from their configuration, as saving asks as well.
        inputs: (rows, features).
        targets: (rows,) or (rows, 1), 0 or 1.
        validation: inputs and targets of the rows to evaluate after each epoch.
        sample_weight: (rows,), multiplied by the class weights if there are any.

    Returns:
        One value per epoch of `loss` (with regularisation; mean over the rows, each as its batch was met) and, with
        validation, `val_loss` (with regularisation) and `val_auc`.

    Raises:
        ValueError: the settings or shapes do not fit together, or the loss is no longer finite.
    """
    if settings.patience and validation is None:
        raise ValueError("early stopping (patience > 0) needs validation rows")
    data = _tensors(inputs, targets, _weights(targets, settings.class_weights, sample_weight))
    held_out = validation and _tensors(*validation)
    _check(model)
    _seed_dropout(model, seed)
    optimizer = _optimizer(settings.optimizer, settings.learning_rate, model)
    loop = _Loop(model, optimizer, settings.batch_size)
    if settings.patience:
        stop = keras.callbacks.EarlyStopping("val_loss", patience=settings.patience, mode="min", restore_best_weights=True)
        callbacks = [*callbacks, stop]
    run = keras.callbacks.CallbackList(list(callbacks), add_history=True, model=model, epochs=settings.epochs)
    model.stop_training = False
    run.on_train_begin()
    logs: dict[str, float] = {}
    for epoch in range(settings.epochs):
        run.on_epoch_begin(epoch)
        order = np.random.default_rng([seed, epoch]).permutation(len(inputs))
        logs = {"loss": loop.epoch(data, order)}
        if held_out:
            logs |= _evaluate(model, *held_out)
        if not np.isfinite(list(logs.values())).all():
            raise FloatingPointError(f"the loss is no longer finite in epoch {epoch + 1}: try a lower learning rate")
        run.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    run.on_train_end(logs)
    return model.history.history


def _weights(targets: np.ndarray, class_weights: str, sample_weight: np.ndarray | None) -> np.ndarray:
    """One weight a row; `balanced` gives both classes the same sum."""
    weights = np.ones(len(targets)) if sample_weight is None else np.asarray(sample_weight, float)
    if class_weights == "balanced":
        labels = np.ravel(targets).astype(int)
        counts = np.bincount(labels, minlength=2)
        weights = weights * (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)))[labels]
    elif class_weights != "none":
        raise ValueError(f"class_weights is {class_weights!r}: expected none or balanced")
    return weights


def _tensors(inputs: np.ndarray, targets: np.ndarray, *weights: np.ndarray) -> tuple[tf.Tensor, ...]:
    """Rows as float32 tensors, all of the same length, the targets as a column."""
    if not len(inputs) or {len(inputs)} != {len(part) for part in (targets, *weights)}:
        raise ValueError(f"{len(inputs)} rows of inputs, {len(targets)} of targets: expected as many, and at least one")
    parts = (inputs, np.reshape(targets, (len(inputs), -1)), *weights)
    return tuple(tf.constant(part, dtype=tf.float32) for part in parts)


def _check(model: keras.Model) -> None:
    if not model.built:
        raise ValueError("the model is not built: start it with an Input")
    adapted = [layer.name for layer in _layers(model) if hasattr(layer, "adapt")]
    if adapted:  # its state is neither in the configuration nor read from variables
        raise ValueError(f"layer {adapted[0]} is adapted to data: apply it to the rows before training")


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _seed_dropout(model: keras.Model, seed: int) -> None:
    """Start the generators of random numbers in the model's layers from `seed`, each its own."""
    states = [variable for variable in model.non_trainable_variables if variable.name == "seed_generator_state"]
    for index, state in enumerate(states):
        state.assign([np.random.default_rng([seed, index, 1]).integers(2**31), 0])


@cache
def _functional(kind: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    return type(kind.__name__, (kind, _Functional), {})


def _optimizer(name: str, learning_rate: float, model: keras.Model) -> keras.optimizers.Optimizer:
    optimizer = _functional(type(keras.optimizers.get(name)))(learning_rate=learning_rate)
    optimizer.build(model.trainable_variables)
    return optimizer


class _Loop:
    """The compiled loops of one model and optimizer."""

    def __init__(self, model: keras.Model, optimizer: keras.optimizers.Optimizer, batch_size: int):
        self.model, self.optimizer, self.batch_size = model, optimizer, batch_size
        self.variables = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        self.description = _description(model, optimizer)
        self.padded = all(type(layer) in ROW_BY_ROW and not layer.activity_regularizer for layer in model.layers)

    def epoch(self, data: tuple[tf.Tensor, ...], order: np.ndarray) -> float:
        """Train on the rows of `data` in this order and return the mean loss."""
        values = tf.nest.map_structure(lambda variable: tf.identity(variable.value), self.variables)
        total = 0.0
        for chosen, batch, steps in self.calls(order):
            places = np.zeros(batch * steps, np.int64)  # the places after the last row are not trained on
            places[: len(chosen)] = chosen
            arguments = (*values, *(tf.gather(part, places) for part in data), tf.constant(len(chosen)))
            *values, loss = self.program(batch, steps, arguments)(*arguments)
            total += float(loss)
        tf.nest.map_structure(lambda variable, value: variable.assign(value), self.variables, tuple(values))
        return total / len(order)

    def calls(self, order: np.ndarray) -> Iterator[tuple[np.ndarray, int, int]]:
        """The rows, batch size and steps of each call of a compiled loop in an epoch.

        A smaller last batch is padded to the size of the others, which takes no other program, unless a layer looks
        at the batch as a whole, as BatchNormalization does: then it has a loop of its own.
        """
        batch = min(self.batch_size, len(order))
        whole = len(order) if self.padded else len(order) - len(order) % batch
        steps = min(STEPS_PER_CALL, -(-whole // batch))
        for start in range(0, whole, batch * steps):
            yield order[start : min(start + batch * steps, whole)], batch, steps
        if whole < len(order):
            yield order[whole:], len(order) - whole, 1

    def program(self, batch: int, steps: int, arguments: tuple) -> Program:
        """The loop compiled for these shapes, by an earlier `fit` if it can be."""
        shapes = tuple(tuple(part.shape) for part in tf.nest.flatten(arguments))
        key = f"{self.description} {batch} {steps} {shapes}"
        _programs[key] = _programs.pop(key, None) or _compile(self.model, self.optimizer, batch, steps, arguments)
        if len(_programs) > PROGRAMS_KEPT:
            del _programs[next(iter(_programs))]
        return _programs[key]


def _description(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> str:
    """All that a loop is compiled from, besides shapes: equal for models which differ in names and weights alone."""
    named = [model, *model.inputs, *_layers(model)]  # the input layers of a Sequential are not among its layers
    names = {part.name: f"layer {index}" for index, part in enumerate(named)}

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {key: part for key, part in value.items() if not key.endswith("_initializer")}
            return {key: names.get(part, part) if key == "name" else plain(part) for key, part in kept.items()}
        if isinstance(value, list):
            return [names.get(part, part) if isinstance(part, str) else plain(part) for part in value]
        return value

    rule = {key: value for key, value in optimizer.get_config().items() if key != "name"}
    if isinstance(rule["learning_rate"], float):
        rule["learning_rate"] = None  # a variable, so an argument of the loop
    rule["decayed"] = [optimizer._use_weight_decay(variable) for variable in model.trainable_variables]
    return json.dumps([plain(json.loads(model.to_json())), type(optimizer).__name__, rule], default=str)


def _twin(layer: keras.layers.Layer) -> keras.layers.Layer:
    kind = _Dropout if type(layer) is keras.layers.Dropout and layer.noise_shape is None else type(layer)
    return kind.from_config(layer.get_config())


def _compile(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, batch: int, steps: int, arguments: tuple
) -> Program:
    """Compile a loop over the first `rows` of `steps` batches, from and to the values of all variables.

    The loop takes (trainable, other and optimizer variables, inputs, targets, weights, rows) and returns the new
    values of the three groups and the sum over the rows of the loss of their batch.
    """
    twin = keras.models.clone_model(model, clone_function=_twin, recursive=True)
    cross_entropy = keras.losses.BinaryCrossentropy(reduction="sum")

    def loop(trainable: list, other: list, state: list, *data: tf.Tensor) -> tuple:
        *parts, rows = data
        batches = [tf.reshape(part, (steps, batch, *part.shape[1:])) for part in parts]

        def step(index: tf.Tensor, trainable: list, other: list, state: list, total: tf.Tensor) -> tuple:
            inputs, targets, weights = (part[index] for part in batches)
            taken = tf.minimum(batch, rows - index * batch)
            weights = tf.where(tf.range(batch) < taken, weights, 0)
            taken = tf.cast(taken, tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(trainable)
                outputs, other, penalties = twin.stateless_call(
                    trainable, other, inputs, training=True, return_losses=True
                )
                # Keras divides by the rows of the batch, whatever their weights.
                loss = cross_entropy(targets, outputs, weights) / taken + sum(penalties)
            gradients = tape.gradient(loss, trainable)
            trainable, state = optimizer.stateless_apply(state, gradients, trainable)
            return index + 1, trainable, other, state, total + loss * taken

        start = (tf.constant(0), trainable, other, state, tf.constant(0.0))
        return tf.while_loop(lambda index, *_: index * batch < rows, step, start)[1:]

    program = tf.function(loop, jit_compile=True, autograph=False).get_concrete_function(*arguments)
    if program.captured_inputs:
        raise ValueError("the model keeps values outside its own variables, which a compiled loop would not update")
    return program


def _evaluate(model: keras.Model, inputs: tf.Tensor, targets: tf.Tensor) -> dict[str, float]:
    cross_entropy = keras.losses.BinaryCrossentropy(reduction="sum")
    loss, outputs = 0.0, []
    for start in range(0, len(inputs), VALIDATION_ROWS):
        part = slice(start, start + VALIDATION_ROWS)
        outputs.append(model(inputs[part], training=False))
        loss += float(cross_entropy(targets[part], outputs[-1]))
    loss = loss / len(inputs) + float(sum(model.losses))
    auc = roc_auc_score(targets, np.concatenate(outputs)) if np.isfinite(loss) else np.nan
    return {"val_loss": loss, "val_auc": float(auc)}
