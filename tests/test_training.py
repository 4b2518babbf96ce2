"""Training computes what `model.fit` computes, deterministically, and compiles once per kind of model."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stages.lib.common.errors import InputError
from stages.lib.common.params import Network, Training
from stages.lib.modeling import compiled_loop as compiled
from stages.lib.modeling.backend import keras
from stages.lib.modeling.fit import fit
from stages.lib.modeling.network import build_network, mean_of_members, member_weights

# Float32 sums taken in another order: weights are of the order of 0.1 to 1 and differ in their last digits,
# which optimizers that divide by small second moments enlarge.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
SETTINGS = Training(
    optimizer="adam", learning_rate=1e-3, schedule="constant", weight_decay=0.0, batch_size=8, epochs=3, patience=0,
    class_weights="none",
)  # fmt: skip
SEED = 5


def changed(**values: object) -> Training:
    return Training(**SETTINGS.model_dump() | values)


def rows(count: int = 99, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    inputs = generator.standard_normal((count, 6), np.float32)
    return inputs, (inputs[:, 0] + generator.standard_normal(count) > 0.5).astype(np.float32)


def network(*extra: keras.layers.Layer, units: int = 7) -> keras.Model:
    keras.utils.set_random_seed(3)
    hidden = keras.layers.Dense(units, "relu", kernel_regularizer=keras.regularizers.L2(0.01))
    return keras.Sequential([keras.Input((6,)), hidden, *extra, keras.layers.Dense(1, "sigmoid")])


def keras_fit(model, inputs, targets, settings, validation=None, sample_weight=None, class_weight=None, orders=None):
    """`model.fit` on the same batches: an epoch a call, its rows permuted beforehand, as `orders` say if given."""
    rate = settings.learning_rate
    if settings.schedule == "cosine":
        steps = settings.epochs * -(-len(inputs) // settings.batch_size)
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    kind = type(keras.optimizers.get(settings.optimizer))
    decay = settings.weight_decay if settings.weight_decay or settings.optimizer == "adamw" else None
    optimizer = kind(rate, weight_decay=decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer, "binary_crossentropy")
    history: dict[str, list[float]] = {}
    for epoch in range(settings.epochs):
        order = orders[epoch] if orders else np.random.default_rng([SEED, epoch]).permutation(len(inputs))
        weights = None if sample_weight is None else sample_weight[order]
        logs = model.fit(
            inputs[order], targets[order], settings.batch_size, verbose=0, shuffle=False,
            validation_data=validation, sample_weight=weights, class_weight=class_weight,
        ).history  # fmt: skip
        for name, values in logs.items():
            history.setdefault(name, []).extend(values)
    return history


def assert_same_weights(ours: keras.Model, theirs: keras.Model) -> None:
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, **TOLERANCE)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop", "adamw", "nadam"])
def test_same_as_keras_with_every_optimizer(optimizer) -> None:
    settings = changed(optimizer=optimizer)
    ours, theirs = network(), network()
    history = fit(ours, *rows(), settings, seed=SEED, validation=rows(40, 1))
    expected = keras_fit(theirs, *rows(), settings, validation=rows(40, 1))
    assert_same_weights(ours, theirs)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"], expected["val_loss"], rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_same_as_keras_with_decay_of_kernels_and_a_schedule(optimizer, schedule) -> None:
    settings = changed(optimizer=optimizer, schedule=schedule, weight_decay=5.0, learning_rate=0.01)
    ours, theirs, without = network(), network(), network()
    fit(ours, *rows(), settings, seed=SEED)
    keras_fit(theirs, *rows(), settings)
    assert_same_weights(ours, theirs)
    fit(without, *rows(), changed(optimizer=optimizer, schedule=schedule, learning_rate=0.01), seed=SEED)
    assert np.abs(ours.get_weights()[0]).sum() < 0.9 * np.abs(without.get_weights()[0]).sum()


def test_members_are_networks_of_their_own_with_rows_of_their_own() -> None:
    settings = changed(epochs=2)
    shape = Network(layers=[7, 5], activation="relu", l2=0.01, dropout=0.0, initializer="he_normal", members=3)
    inputs, targets = rows()
    together = build_network(shape, 6, SEED)
    weights = member_weights(len(inputs), 3, SEED)
    assert (weights.sum(axis=1) == 2).all() and np.ptp(weights.sum(axis=0)) <= 1
    alone = []
    for member in range(3):
        one = build_network(shape.model_copy(update={"ensemble_size": 1}), 6, SEED + member)
        keras_fit(one, inputs, targets, settings, sample_weight=weights[:, member])
        alone.append(one)
    fit(together, inputs, targets, settings, seed=SEED, sample_weight=weights)
    for place, found in enumerate(together.get_weights()):
        expected = np.stack([one.get_weights()[place] for one in alone])
        np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-4, atol=1e-5)
    mean = np.mean([one.predict(inputs, verbose=0) for one in alone], axis=0)
    np.testing.assert_allclose(mean_of_members(together).predict(inputs, verbose=0), mean, rtol=1e-4)


@pytest.mark.parametrize(("count", "batch_size"), [(96, 8), (5, 8), (20, 1)])
def test_same_as_keras_with_other_batches(count, batch_size) -> None:
    """Whole batches alone; fewer rows than a batch; single rows. Other tests have a smaller last batch."""
    settings = changed(batch_size=batch_size)
    ours, theirs = network(), network()
    history = fit(ours, *rows(count), settings, seed=SEED)
    expected = keras_fit(theirs, *rows(count), settings)
    assert_same_weights(ours, theirs)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)


def test_same_as_keras_over_several_calls_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "STEPS_PER_CALL", 5)
    ours, theirs = network(), network()
    fit(ours, *rows(), SETTINGS, seed=SEED)
    keras_fit(theirs, *rows(), SETTINGS)
    assert_same_weights(ours, theirs)


def test_same_as_keras_with_sample_weights() -> None:
    weights = np.random.default_rng(2).uniform(0, 3, 99)
    ours, theirs = network(), network()
    history = fit(ours, *rows(), SETTINGS, seed=SEED, sample_weight=weights)
    expected = keras_fit(theirs, *rows(), SETTINGS, sample_weight=weights)
    assert_same_weights(ours, theirs)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)


def test_same_as_keras_with_class_weights() -> None:
    inputs, targets = rows()
    balanced = {label: 99 / (2 * np.sum(targets == label)) for label in (0, 1)}
    ours, theirs = network(), network()
    fit(ours, inputs, targets, changed(class_weights="balanced"), seed=SEED)
    keras_fit(theirs, inputs, targets, SETTINGS, class_weight=balanced)
    assert_same_weights(ours, theirs)


def test_same_as_keras_with_batch_normalization() -> None:
    """Its moving statistics too, and a smaller last batch, whose statistics are those of its own rows."""
    ours, theirs = (network(keras.layers.BatchNormalization()) for _ in range(2))
    fit(ours, *rows(), SETTINGS, seed=SEED)
    keras_fit(theirs, *rows(), SETTINGS)
    assert_same_weights(ours, theirs)


def test_early_stopping_as_keras() -> None:
    """`model.fit` in one call, with one batch an epoch, so that the order of the rows changes nothing."""
    inputs, targets = rows(96)
    settings = changed(optimizer="sgd", learning_rate=0.5, batch_size=96, epochs=60, patience=2)
    ours, theirs = network(units=40), network(units=40)
    history = fit(ours, inputs, targets, settings, seed=SEED, validation=rows(40, 1))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    theirs.compile(keras.optimizers.SGD(0.5), "binary_crossentropy")
    expected = theirs.fit(inputs, targets, 96, 60, verbose=0, callbacks=[stop], validation_data=rows(40, 1)).history
    assert 3 < len(history["val_loss"]) < 60
    assert len(history["val_loss"]) == len(expected["val_loss"])
    assert_same_weights(ours, theirs)


def test_validation_auc_and_callbacks() -> None:
    class Seen(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, logs))
            self.model.stop_training = epoch == 1

    seen: list[tuple[int, dict]] = []
    model = network()
    history = fit(model, *rows(), SETTINGS, seed=SEED, validation=rows(40, 1), callbacks=[Seen()])
    assert [epoch for epoch, _ in seen] == [0, 1]
    assert set(history) == {"loss", "val_loss", "val_auc"}
    scores, targets = model.predict(rows(40, 1)[0], verbose=0).ravel(), rows(40, 1)[1]
    higher = scores[targets == 1][:, None] > scores[targets == 0]
    assert history["val_auc"][-1] == pytest.approx(higher.mean(), abs=1e-3)


def test_dropout_takes_a_new_mask_each_step_and_is_deterministic() -> None:
    settings = changed(optimizer="sgd", learning_rate=1e-30, batch_size=99, epochs=20)

    def losses(seed: int) -> list[float]:
        return fit(network(keras.layers.Dropout(0.5)), *rows(), settings, seed=seed)["loss"]

    assert len(set(losses(1))) == 20  # the weights stay, so the masks alone differ
    assert losses(1) == losses(1)
    assert losses(1) != losses(2)
    undropped = fit(network(), *rows(), settings, seed=1)["loss"][0]
    assert np.mean(losses(1)) == pytest.approx(undropped, abs=0.1)


def test_compiles_once_for_all_learning_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = compiled._compile
    monkeypatch.setattr(compiled, "_compile", lambda *arguments: calls.append(1) or original(*arguments))
    monkeypatch.setattr(compiled, "_programs", {})
    for batch_size in (8, 16):
        for learning_rate in (1e-2, 1e-3, 1e-4):
            settings = changed(learning_rate=learning_rate, batch_size=batch_size)
            fit(network(), *rows(), settings, seed=SEED)
    assert len(calls) == 2
    fit(network(units=8), *rows(), SETTINGS, seed=SEED)
    fit(network(), *rows(), changed(optimizer="sgd"), seed=SEED)
    assert len(calls) == 4


def test_learning_rate_counts_though_compiled_once() -> None:
    models = [network(), network()]
    for model, learning_rate in zip(models, (1e-2, 1e-3), strict=True):
        fit(model, *rows(), changed(learning_rate=learning_rate), seed=SEED)
    theirs = network()
    keras_fit(theirs, *rows(), SETTINGS)
    assert_same_weights(models[1], theirs)
    assert not np.array_equal(models[0].get_weights()[0], models[1].get_weights()[0])


def test_keeps_a_bounded_number_of_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_programs", {})
    monkeypatch.setattr(compiled, "PROGRAMS_KEPT", 1)
    for optimizer in ("adam", "sgd"):
        fit(network(), *rows(), changed(optimizer=optimizer, epochs=1), seed=SEED)
    assert len(compiled._programs) == 1


def trained_bytes() -> str:
    model = network(keras.layers.Dropout(0.2))
    fit(model, *rows(), SETTINGS, seed=SEED, validation=rows(40, 1))
    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()


def test_same_bytes_in_another_process() -> None:
    code = "from tests.test_training import trained_bytes; print(trained_bytes())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.split()[-1] == trained_bytes()


def test_trained_model_is_saved_as_plain_keras(tmp_path: Path) -> None:
    model = network(keras.layers.Dropout(0.2))
    fit(model, *rows(), SETTINGS, seed=SEED)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"keras"}
    inputs = rows(40, 1)[0]
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0))


def test_functional_model_with_two_branches() -> None:
    def branches() -> keras.Model:
        keras.utils.set_random_seed(4)
        inputs = keras.Input((6,))
        parts = [keras.layers.Dense(3, activation)(inputs) for activation in ("relu", "tanh")]
        return keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(keras.layers.Concatenate()(parts)))

    ours, theirs = branches(), branches()
    fit(ours, *rows(), SETTINGS, seed=SEED)
    keras_fit(theirs, *rows(), SETTINGS)
    assert_same_weights(ours, theirs)


def test_diverging_loss_is_an_error() -> None:
    settings = changed(optimizer="sgd", learning_rate=1e30, epochs=5)
    with pytest.raises(FloatingPointError, match="no longer finite in epoch 1: try a lower learning rate"):
        fit(network(), *rows(), settings, seed=SEED)


def test_evaluations_now_and_then_are_those_of_every_epoch() -> None:
    settings = changed(epochs=5)
    every = fit(network(), *rows(), settings, seed=SEED, validation=rows(40, 1))
    every_other = fit(network(), *rows(), settings, seed=SEED, validation=rows(40, 1), validation_freq=2)
    assert every_other["loss"] == every["loss"]
    assert every_other["val_auc"] == every["val_auc"][1::2]
    stopping = changed(epochs=5, patience=1)
    with pytest.raises(ValueError, match="after each epoch"):
        fit(network(), *rows(), stopping, seed=SEED, validation=rows(40, 1), validation_freq=2)


def test_early_stopping_without_validation_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs validation rows"):
        fit(network(), *rows(), changed(patience=2), seed=SEED)


def test_an_optimizer_that_keras_does_not_know_is_an_error_of_one_line() -> None:
    with pytest.raises(InputError, match=r"^params.yaml: training\.optimizer: Keras knows no 'unheard'$"):
        fit(network(), *rows(), changed(optimizer="unheard"), seed=SEED)


def test_unequal_numbers_of_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match="99 rows of inputs, 98 of targets"):
        fit(network(), rows()[0], rows()[1][1:], SETTINGS, seed=SEED)


def test_adapted_layer_is_an_error() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Normalization(), keras.layers.Dense(1, "sigmoid")])
    with pytest.raises(ValueError, match="apply it to the rows before training"):
        fit(model, *rows(), SETTINGS, seed=SEED)
