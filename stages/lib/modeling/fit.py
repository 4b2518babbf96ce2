"""Training of a Keras model by compiled loops, with Keras' losses, optimizers and callbacks."""

from collections.abc import Sequence

import numpy as np

from stages.lib.common.model_params import Training
from stages.lib.common.progress import advance
from stages.lib.dataset.matrix import Matrix, shuffled_chunks
from stages.lib.modeling.backend import keras, tf
from stages.lib.modeling.optimizers import build_optimizer, learning_rates
from stages.lib.modeling.roc_auc import roc_auc
from stages.lib.modeling.training_loop import TrainingLoop

VALIDATION_ROWS = 2**16  # rows predicted at a time


def fit(
    model: keras.Model,
    inputs: Matrix,
    targets: np.ndarray,
    training: Training,
    *,
    seed: int,
    validation_data: tuple[Matrix, np.ndarray] | None = None,
    validation_freq: int = 1,
    sample_weight: np.ndarray | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, list[float]]:
    """Train `model` in place by binary cross-entropy, with the results of `model.compile` and `model.fit`.

    Epoch `e`, counted from 0, takes the rows in the order of `shuffled_chunks` with the generator
    `numpy.random.default_rng([seed, e])`; dropout masks depend on `seed` too. So the result is the same to the bit in
    every process on one machine, and for an array and a file with the same rows.

    Args:
        model: built, not compiled; sequential or functional. It ends in a sigmoid; several outputs are the members of
            an ensemble, each with a loss of its own. Its layers can be created from their configuration.
        inputs: (rows, inputs). If they are in a file, a chunk is in memory at a time.
        targets: (rows,) or (rows, 1), from 0 to 1.
        training: optimizer, epochs and so on.
        seed: see above.
        validation_data: inputs and targets to evaluate on after each epoch.
        validation_freq: epochs between two evaluations.
        sample_weight: (rows,) or (rows, outputs); multiplied by the class weights, if there are any.
        callbacks: called at the beginning and the end of training and of each epoch, but not of batches.

    Returns:
        For each epoch `loss`: the mean over rows of the loss when their batch was trained on, summed over the outputs,
        with regularization. For each evaluation `val_loss`, with regularization, and `val_auc`, of the mean output.

    Raises:
        InputError: Keras has no such optimizer.
        ValueError: settings, model and shapes do not go together.
        FloatingPointError: the loss is not finite.
    """
    if training.patience and validation_data is None:
        raise ValueError("early stopping (patience > 0) needs validation data")
    if training.patience and validation_freq != 1:
        raise ValueError("early stopping (patience > 0) needs an evaluation after each epoch")
    if not model.built:
        raise ValueError("the model is not built: start it with an Input")
    columns = _as_columns(inputs, *_weighted(targets, training.class_weight, sample_weight))
    validation = (validation_data[0], _as_columns(*validation_data)[0]) if validation_data else None
    _seed_dropout(model, seed)
    rates = learning_rates(training, len(inputs))
    loop = TrainingLoop(model, build_optimizer(training, model), training.batch_size, rates, inputs.shape)
    if len(inputs) <= loop.rows_per_chunk:
        inputs = tf.constant(inputs[:], tf.float32)
    if training.patience:
        early_stopping = keras.callbacks.EarlyStopping(
            "val_loss", 0, training.patience, mode="min", restore_best_weights=True
        )
        callbacks = [*callbacks, early_stopping]
    all_callbacks = keras.callbacks.CallbackList(list(callbacks), add_history=True, model=model, epochs=training.epochs)
    model.stop_training = False
    all_callbacks.on_train_begin()
    logs: dict[str, float] = {}
    for epoch in range(training.epochs):
        all_callbacks.on_epoch_begin(epoch)
        rng = np.random.default_rng([seed, epoch])
        logs = {"loss": loop.run_epoch(shuffled_chunks([inputs, *columns], loop.rows_per_chunk, rng))}
        if validation and (epoch + 1) % validation_freq == 0:
            logs |= _evaluate(model, *validation)
        if not np.isfinite([logs["loss"], logs.get("val_loss", 0)]).all():
            raise FloatingPointError(f"the loss is not finite in epoch {epoch + 1}: try a lower learning rate")
        all_callbacks.on_epoch_end(epoch, logs)
        advance()
        if model.stop_training:
            break
    advance(training.epochs - epoch - 1)  # those that early stopping has saved
    all_callbacks.on_train_end(logs)
    return model.history.history


def _weighted(
    targets: np.ndarray, class_weight: str, sample_weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Targets, (rows,), and weights, (rows, 1) or (rows, outputs).

    `balanced` gives both classes the same total. A target between 0 and 1 is a part of a row in each class.
    """
    targets = np.ravel(targets).astype(float)
    weights = np.ones(len(targets)) if sample_weight is None else np.asarray(sample_weight, float)
    weights = weights.reshape(len(weights), -1)
    if class_weight == "balanced":
        by_class = np.column_stack([1 - targets, targets])
        counts = by_class.sum(axis=0)
        by_class *= len(targets) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        in_total = by_class.sum(axis=1)
        targets, weights = by_class[:, 1] / in_total, weights * in_total[:, np.newaxis]
    return targets, weights


def _as_columns(inputs: Matrix, targets: np.ndarray, *weights: np.ndarray) -> list[np.ndarray]:
    """Targets, as (rows, 1), and weights, in float32."""
    if not len(inputs) or {len(inputs)} != {len(array) for array in (targets, *weights)}:
        raise ValueError(f"{len(inputs)} rows of inputs, {len(targets)} of targets: expected equal numbers, above 0")
    return [np.asarray(array, np.float32) for array in (np.reshape(targets, (len(inputs), -1)), *weights)]


def _seed_dropout(model: keras.Model, seed: int) -> None:
    """Seed the random generator of each dropout layer, each differently."""
    for i, variable in enumerate(model.non_trainable_variables):
        if variable.name == "seed_generator_state":
            variable.assign([np.random.default_rng([seed, i, 1]).integers(2**31), 0])


def _evaluate(model: keras.Model, inputs: Matrix, targets: np.ndarray) -> dict[str, float]:
    cross_entropy = keras.losses.BinaryCrossentropy(reduction="sum")
    loss, outputs = 0.0, []
    for start in range(0, len(inputs), VALIDATION_ROWS):
        part = slice(start, start + VALIDATION_ROWS)
        batch = tf.constant(inputs[part], tf.float32)
        outputs.append(tf.reduce_mean(model(batch, training=False), axis=1, keepdims=True))
        loss += float(cross_entropy(targets[part], outputs[-1]))
    loss = loss / len(inputs) + float(sum(model.losses))
    auc = roc_auc(targets, np.concatenate(outputs)) if np.isfinite(loss) else np.nan
    return {"val_loss": loss, "val_auc": float(auc)}
