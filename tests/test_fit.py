"""Training gives the results of `model.fit`, deterministically, and compiles once per kind of model."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from training import (
    SEED,
    SETTINGS,
    assert_same_weights,
    hash_of_trained_weights,
    keras_fit,
    make_network,
    make_rows,
    settings_with,
)

from stages.lib.common.errors import InputError
from stages.lib.modeling import compiled_loop, training_loop
from stages.lib.modeling.backend import keras
from stages.lib.modeling.fit import fit

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop", "adamw", "nadam"])
def test_results_are_those_of_keras_with_every_optimizer(optimizer: str) -> None:
    settings = settings_with(optimizer=optimizer)
    model, keras_model = make_network(), make_network()
    history = fit(model, *make_rows(), settings, seed=SEED, validation_data=make_rows(40, 1))
    expected = keras_fit(keras_model, *make_rows(), settings, validation_data=make_rows(40, 1))
    assert_same_weights(model, keras_model)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"], expected["val_loss"], rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_results_are_those_of_keras_with_weight_decay_and_a_schedule(optimizer: str, schedule: str) -> None:
    settings = settings_with(optimizer=optimizer, schedule=schedule, weight_decay=5.0, learning_rate=0.01)
    model, keras_model, without = make_network(), make_network(), make_network()
    fit(model, *make_rows(), settings, seed=SEED)
    keras_fit(keras_model, *make_rows(), settings)
    assert_same_weights(model, keras_model)
    fit(without, *make_rows(), settings_with(optimizer=optimizer, schedule=schedule, learning_rate=0.01), seed=SEED)
    assert np.abs(model.get_weights()[0]).sum() < 0.9 * np.abs(without.get_weights()[0]).sum()


@pytest.mark.parametrize(("count", "batch_size"), [(96, 8), (5, 8), (20, 1)])
def test_results_are_those_of_keras_with_other_batches(count: int, batch_size: int) -> None:
    """Equal batches only; fewer rows than a batch; single rows. Other tests have a smaller last batch."""
    settings = settings_with(batch_size=batch_size)
    model, keras_model = make_network(), make_network()
    history = fit(model, *make_rows(count), settings, seed=SEED)
    expected = keras_fit(keras_model, *make_rows(count), settings)
    assert_same_weights(model, keras_model)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)


def test_results_are_those_of_keras_over_several_calls_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_loop, "STEPS_PER_CALL", 5)
    model, keras_model = make_network(), make_network()
    fit(model, *make_rows(), SETTINGS, seed=SEED)
    keras_fit(keras_model, *make_rows(), SETTINGS)
    assert_same_weights(model, keras_model)


def test_results_are_those_of_keras_with_sample_weights() -> None:
    weights = np.random.default_rng(2).uniform(0, 3, 99)
    model, keras_model = make_network(), make_network()
    history = fit(model, *make_rows(), SETTINGS, seed=SEED, sample_weight=weights)
    expected = keras_fit(keras_model, *make_rows(), SETTINGS, sample_weight=weights)
    assert_same_weights(model, keras_model)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)


def test_results_are_those_of_keras_with_class_weights() -> None:
    inputs, targets = make_rows()
    balanced = {label: 99 / (2 * np.sum(targets == label)) for label in (0, 1)}
    model, keras_model = make_network(), make_network()
    fit(model, inputs, targets, settings_with(class_weight="balanced"), seed=SEED)
    keras_fit(keras_model, inputs, targets, SETTINGS, class_weight=balanced)
    assert_same_weights(model, keras_model)


def test_a_soft_target_counts_in_both_classes_for_their_weights() -> None:
    inputs, _ = make_rows()
    soft = np.random.default_rng(3).uniform(0, 0.4, 99)
    of_purchases, of_others = 99 / 2 * soft / soft.sum(), 99 / 2 * (1 - soft) / (1 - soft).sum()
    weights = of_purchases + of_others
    model, keras_model = make_network(), make_network()
    fit(model, inputs, soft, settings_with(class_weight="balanced"), seed=SEED)
    keras_fit(keras_model, inputs, of_purchases / weights, SETTINGS, sample_weight=weights)
    assert_same_weights(model, keras_model)


def test_results_are_those_of_keras_with_batch_normalization() -> None:
    """Including moving statistics, and a smaller last batch, whose statistics are those of its own rows."""
    model, keras_model = (make_network(keras.layers.BatchNormalization()) for _ in range(2))
    fit(model, *make_rows(), SETTINGS, seed=SEED)
    keras_fit(keras_model, *make_rows(), SETTINGS)
    assert_same_weights(model, keras_model)


def test_early_stopping_is_that_of_keras() -> None:
    """By `model.fit` in one call, with one batch per epoch, so that the order of the rows does not matter."""
    inputs, targets = make_rows(96)
    settings = settings_with(optimizer="sgd", learning_rate=0.5, batch_size=96, epochs=60, patience=2)
    model, keras_model = make_network(units=40), make_network(units=40)
    history = fit(model, inputs, targets, settings, seed=SEED, validation_data=make_rows(40, 1))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    keras_model.compile(keras.optimizers.SGD(0.5), "binary_crossentropy")
    expected = keras_model.fit(
        inputs, targets, 96, 60, verbose=0, callbacks=[stop], validation_data=make_rows(40, 1)
    ).history
    assert 3 < len(history["val_loss"]) < 60
    assert len(history["val_loss"]) == len(expected["val_loss"])
    assert_same_weights(model, keras_model)


def test_callbacks_are_called_and_can_stop_training() -> None:
    class StopAfterTwo(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            calls.append((epoch, logs))
            self.model.stop_training = epoch == 1

    calls: list[tuple[int, dict[str, float] | None]] = []
    history = fit(make_network(), *make_rows(), SETTINGS, seed=SEED, callbacks=[StopAfterTwo()])
    assert calls == [(0, {"loss": history["loss"][0]}), (1, {"loss": history["loss"][1]})]
    assert len(history["loss"]) == 2


def test_validation_auc_is_the_share_of_concordant_pairs() -> None:
    model = make_network()
    history = fit(model, *make_rows(), SETTINGS, seed=SEED, validation_data=make_rows(40, 1))
    assert set(history) == {"loss", "val_loss", "val_auc"}
    scores, targets = model.predict(make_rows(40, 1)[0], verbose=0).ravel(), make_rows(40, 1)[1]
    higher = scores[targets == 1][:, None] > scores[targets == 0]
    assert history["val_auc"][-1] == pytest.approx(higher.mean(), abs=1e-3)


def test_dropout_has_a_new_mask_in_each_step_and_is_deterministic() -> None:
    settings = settings_with(optimizer="sgd", learning_rate=1e-30, batch_size=99, epochs=20)

    def losses(seed: int) -> list[float]:
        return fit(make_network(keras.layers.Dropout(0.5)), *make_rows(), settings, seed=seed)["loss"]

    assert len(set(losses(1))) == 20  # the weights hardly change, so only the masks differ
    assert losses(1) == losses(1)
    assert losses(1) != losses(2)
    without_dropout = fit(make_network(), *make_rows(), settings, seed=1)["loss"][0]
    assert np.mean(losses(1)) == pytest.approx(without_dropout, abs=0.1)


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The arguments of each compilation from here on; nothing has been compiled before."""
    calls: list[tuple] = []
    original = compiled_loop.compile_loop

    def compile_loop(*arguments: Any) -> compiled_loop.CompiledLoop:
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(compiled_loop, "compile_loop", compile_loop)
    compiled_loop.clear_cache()
    return calls


def test_a_loop_is_compiled_once_for_all_learning_rates(compilations: list[tuple]) -> None:
    for batch_size in (8, 16):
        for learning_rate in (1e-2, 1e-3, 1e-4):
            settings = settings_with(learning_rate=learning_rate, batch_size=batch_size)
            fit(make_network(), *make_rows(), settings, seed=SEED)
    assert len(compilations) == 2
    fit(make_network(units=8), *make_rows(), SETTINGS, seed=SEED)
    fit(make_network(), *make_rows(), settings_with(optimizer="sgd"), seed=SEED)
    assert len(compilations) == 4


def test_a_loop_is_compiled_once_for_all_weight_decays_and_dropout_rates(compilations: list[tuple]) -> None:
    weights = []
    for weight_decay, dropout in ((0.1, 0.1), (0.1, 0.5), (1.0, 0.5)):
        settings = settings_with(optimizer="adamw", weight_decay=weight_decay)
        for compiled_for_others in (True, False):
            if not compiled_for_others:
                compiled_loop.clear_cache()
            network = make_network(keras.layers.Dropout(dropout))
            fit(network, *make_rows(), settings, seed=SEED)
            weights.append(network.get_weights())
    assert len(compilations) == 4
    for shared, own in zip(weights[::2], weights[1::2], strict=True):
        for left, right in zip(shared, own, strict=True):
            np.testing.assert_array_equal(left, right)
    assert len({weights[i][0].tobytes() for i in range(0, 6, 2)}) == 3


def test_the_learning_rate_is_not_compiled_in() -> None:
    models = [make_network(), make_network()]
    for model, learning_rate in zip(models, (1e-2, 1e-3), strict=True):
        fit(model, *make_rows(), settings_with(learning_rate=learning_rate), seed=SEED)
    keras_model = make_network()
    keras_fit(keras_model, *make_rows(), SETTINGS)
    assert_same_weights(models[1], keras_model)
    assert not np.array_equal(models[0].get_weights()[0], models[1].get_weights()[0])


def test_only_the_most_recently_used_loops_are_cached(
    compilations: list[tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_loop, "MAX_CACHED", 2)
    numbers = []
    for optimizer in ("adam", "sgd", "adam", "rmsprop", "adam", "sgd"):
        fit(make_network(), *make_rows(), settings_with(optimizer=optimizer, epochs=1), seed=SEED)
        numbers.append(len(compilations))
    assert numbers == [1, 2, 2, 3, 3, 4]


def test_weights_are_the_same_bytes_in_another_process() -> None:
    program = "from training import hash_of_trained_weights; print(hash_of_trained_weights())"
    other = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.split()[-1] == hash_of_trained_weights()


def test_a_trained_model_is_saved_as_plain_keras(tmp_path: Path) -> None:
    model = make_network(keras.layers.Dropout(0.2))
    fit(model, *make_rows(), SETTINGS, seed=SEED)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"keras"}
    inputs = make_rows(40, 1)[0]
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0))


def test_results_are_those_of_keras_for_a_functional_model_with_two_branches() -> None:
    def branches() -> keras.Model:
        keras.utils.set_random_seed(4)
        inputs = keras.Input((6,))
        parts = [keras.layers.Dense(3, activation)(inputs) for activation in ("relu", "tanh")]
        return keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(keras.layers.Concatenate()(parts)))

    model, keras_model = branches(), branches()
    fit(model, *make_rows(), SETTINGS, seed=SEED)
    keras_fit(keras_model, *make_rows(), SETTINGS)
    assert_same_weights(model, keras_model)


def test_a_diverging_loss_is_an_error() -> None:
    settings = settings_with(optimizer="sgd", learning_rate=1e30, epochs=5)
    with pytest.raises(FloatingPointError, match="not finite in epoch 1: try a lower learning rate"):
        fit(make_network(), *make_rows(), settings, seed=SEED)


def test_less_frequent_evaluations_give_the_same_values() -> None:
    settings = settings_with(epochs=5)
    every = fit(make_network(), *make_rows(), settings, seed=SEED, validation_data=make_rows(40, 1))
    every_other = fit(
        make_network(), *make_rows(), settings, seed=SEED, validation_data=make_rows(40, 1), validation_freq=2
    )
    assert every_other["loss"] == every["loss"]
    assert every_other["val_auc"] == every["val_auc"][1::2]
    stopping = settings_with(epochs=5, patience=1)
    with pytest.raises(ValueError, match="after each epoch"):
        fit(make_network(), *make_rows(), stopping, seed=SEED, validation_data=make_rows(40, 1), validation_freq=2)


def test_early_stopping_without_validation_data_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs validation data"):
        fit(make_network(), *make_rows(), settings_with(patience=2), seed=SEED)


def test_an_unknown_optimizer_is_an_error_of_one_line() -> None:
    with pytest.raises(InputError, match=r"^params.yaml: training\.optimizer: Keras has no optimizer 'unheard'$"):
        fit(make_network(), *make_rows(), settings_with(optimizer="unheard"), seed=SEED)


def test_unequal_numbers_of_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match="99 rows of inputs, 98 of targets"):
        fit(make_network(), make_rows()[0], make_rows()[1][1:], SETTINGS, seed=SEED)


def test_a_layer_that_is_adapted_to_data_is_an_error() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Normalization(), keras.layers.Dense(1, "sigmoid")])
    with pytest.raises(ValueError, match="apply it to the rows before training"):
        fit(model, *make_rows(), SETTINGS, seed=SEED)
