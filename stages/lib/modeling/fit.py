"""Training of Keras models at the speed of the processor, with Keras' losses, optimizers and callbacks."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from stages.lib.common.errors import InputError
from stages.lib.common.params import Training
from stages.lib.dataset.matrix import Matrix, shuffled_chunks
from stages.lib.modeling.backend import keras, tf
from stages.lib.modeling.compiled_loop import Loop, functional

VALIDATION_ROWS = 2**16  # rows predicted at a time


def fit(
    model: keras.Model,
    inputs: Matrix,
    targets: np.ndarray,
    settings: Training,
    *,
    seed: int,
    validation: tuple[Matrix, np.ndarray] | None = None,
    validation_freq: int = 1,
    sample_weight: np.ndarray | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, list[float]]:
    """Train `model` in place by binary cross-entropy, computing what `model.compile` and `model.fit` would.

    Epoch `e`, from 0, takes the rows in the order `numpy.random.default_rng([seed, e]).permutation(rows)`, or, of
    more inputs than `chunks.CHUNK_BYTES`, a chunk at a time in that of `chunks.shuffled`; an array and a file with the
    same rows are trained on alike. Dropout starts from `seed`: the result is the same to the bit in every process on
    one machine.
    Callbacks are called at the begin and end of training and of epochs, not of batches.

    Args:
        model: sequential or functional, built, not compiled, ending in one sigmoid or, as several networks with a
            loss each, in more, of layers which can be created from their configuration.
        inputs: (rows, features), of which a chunk is in memory at a time if they lie in a file.
        targets: (rows,) or (rows, 1), 0 or 1.
        validation: inputs and targets of rows to evaluate after each epoch.
        validation_freq: epochs from one evaluation to the next, where not all are wanted.
        sample_weight: (rows,) or (rows, outputs), multiplied by the class weights if there are any.

    Returns:
        For each epoch `loss`, with regularisation and as each batch was met, summed over outputs; for each evaluation
        `val_loss`, with regularisation, and `val_auc`, of the outputs' mean.

    Raises:
        InputError: Keras knows no such optimizer.
        ValueError: settings, model and shapes do not fit together.
        FloatingPointError: the loss is no longer finite.
    """
    if settings.patience and validation is None:
        raise ValueError("early stopping (patience > 0) needs validation rows")
    if settings.patience and validation_freq != 1:
        raise ValueError("early stopping (patience > 0) needs an evaluation after each epoch")
    columns = _columns(inputs, targets, _weights(targets, settings.class_weight, sample_weight))
    held_out = validation and (validation[0], _columns(*validation)[0])
    if not model.built:
        raise ValueError("the model is not built: start it with an Input")
    _seed_dropout(model, seed)
    loop = Loop(model, _optimizer(settings, model), settings.batch_size, _rates(settings, len(inputs)), inputs.shape)
    if len(inputs) <= loop.at_once:
        inputs = tf.constant(inputs[:], tf.float32)
    if settings.patience:
        stop = keras.callbacks.EarlyStopping("val_loss", 0, settings.patience, mode="min", restore_best_weights=True)
        callbacks = [*callbacks, stop]
    run = keras.callbacks.CallbackList(list(callbacks), add_history=True, model=model, epochs=settings.epochs)
    model.stop_training = False
    run.on_train_begin()
    logs: dict[str, float] = {}
    for epoch in range(settings.epochs):
        run.on_epoch_begin(epoch)
        random = np.random.default_rng([seed, epoch])
        logs = {"loss": loop.epoch(shuffled_chunks([inputs, *columns], loop.at_once, random))}
        if held_out and (epoch + 1) % validation_freq == 0:
            logs |= _evaluate(model, *held_out)
        if not np.isfinite([logs["loss"], logs.get("val_loss", 0)]).all():
            raise FloatingPointError(f"the loss is no longer finite in epoch {epoch + 1}: try a lower learning rate")
        run.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    run.on_train_end(logs)
    return model.history.history


def _weights(targets: np.ndarray, class_weights: str, sample_weight: np.ndarray | None) -> np.ndarray:
    """Weights, (rows, 1) or (rows, outputs); `balanced` gives both classes the same sum."""
    weights = np.ones(len(targets)) if sample_weight is None else np.asarray(sample_weight, float)
    weights = weights.reshape(len(weights), -1)
    if class_weights == "balanced":
        labels = np.ravel(targets).astype(int)
        counts = np.bincount(labels, minlength=2)
        balance = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        weights = weights * balance[labels][:, np.newaxis]
    return weights


def _columns(inputs: Matrix, targets: np.ndarray, *weights: np.ndarray) -> list[np.ndarray]:
    """Targets, shape (rows, 1), and weights, as float32 and as many as there are rows of inputs."""
    if not len(inputs) or {len(inputs)} != {len(part) for part in (targets, *weights)}:
        raise ValueError(f"{len(inputs)} rows of inputs, {len(targets)} of targets: expected as many, not none")
    columns = (np.reshape(targets, (len(inputs), -1)), *weights)
    return [np.asarray(column, np.float32) for column in columns]


def _seed_dropout(model: keras.Model, seed: int) -> None:
    """Start the generators of random numbers in the model's layers from `seed`, each its own."""
    for index, variable in enumerate(model.non_trainable_variables):
        if variable.name == "seed_generator_state":
            variable.assign([np.random.default_rng([seed, index, 1]).integers(2**31), 0])


def _optimizer(settings: Training, model: keras.Model) -> keras.optimizers.Optimizer:
    try:
        kind = keras.optimizers.get(settings.optimizer).__class__
    except ValueError:
        raise InputError(f"params.yaml: training.optimizer: Keras knows no '{settings.optimizer}'") from None
    # AdamW takes no None, and others would do for 0 what they need not.
    decay = settings.weight_decay if settings.weight_decay or kind is keras.optimizers.AdamW else None
    optimizer = functional(kind)(learning_rate=settings.learning_rate, weight_decay=decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(model.trainable_variables)
    return optimizer


def _rates(settings: Training, rows: int) -> np.ndarray:
    """The learning rate of each step; cosine as `keras.optimizers.schedules.CosineDecay` over all epochs."""
    done = np.linspace(0, 1, settings.epochs * -(-rows // settings.batch_size), endpoint=False)
    down = 0.5 * (1 + np.cos(np.pi * done)) if settings.schedule == "cosine" else np.ones_like(done)
    return settings.learning_rate * down


def _evaluate(model: keras.Model, inputs: Matrix, targets: np.ndarray) -> dict[str, float]:
    cross_entropy = keras.losses.BinaryCrossentropy(reduction="sum")
    loss, outputs = 0.0, []
    for start in range(0, len(inputs), VALIDATION_ROWS):
        part = slice(start, start + VALIDATION_ROWS)
        outputs.append(
            tf.reduce_mean(model(tf.constant(inputs[part], tf.float32), training=False), axis=1, keepdims=True)
        )
        loss += float(cross_entropy(targets[part], outputs[-1]))
    loss = loss / len(inputs) + float(sum(model.losses))
    auc = roc_auc_score(targets, np.concatenate(outputs)) if np.isfinite(loss) else np.nan
    return {"val_loss": loss, "val_auc": float(auc)}
