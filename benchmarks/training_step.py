"""Milliseconds per training step of `model.fit`, of `stages.lib.modeling.fit`, and of a bare compiled loop.

    python -m benchmarks.training_step [--runs 5]

The bare loop is nothing but the arithmetic of this one network with Adam written by hand: the lower bound. The three
are measured in turns and medians are reported, because other programs may use the processor at the same time. `fit` and
the bare loop run on one thread; `model.fit` runs in a process of its own, on as many threads as TensorFlow chooses.
"""

import argparse
import math
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.processes import measure_module
from benchmarks.tools import PARAMS, ROOT
from stages.lib.common.params import Params
from stages.lib.modeling.backend import keras, tf
from stages.lib.modeling.fit import fit

ROWS, FEATURES, HIDDEN = 28_755, 125, (80, 40, 10)
L2, LEARNING_RATE = 0.01, 5e-5
BATCH_SIZES = (24, 48)  # of the study's grid


class StepTimes(NamedTuple):
    """Medians: milliseconds per step, and the seconds in which `fit` compiles."""

    model_fit: float
    fit: float
    bare_loop: float
    compiling: float


def random_rows(rows: int, features: int = FEATURES) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal inputs (rows, features) and targets (rows,), of which a third are 1."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((rows, features), np.float32)
    return inputs, (inputs[:, :5].sum(1) + rng.standard_normal(rows) > 1).astype(np.float32)


def study_network() -> keras.Model:
    """The study's dense network, built."""
    l2 = keras.regularizers.L2(L2)
    hidden = [keras.layers.Dense(units, "relu", True, "glorot_normal", kernel_regularizer=l2) for units in HIDDEN]
    return keras.Sequential([keras.Input((FEATURES,)), *hidden, keras.layers.Dense(1, "sigmoid")])


class EpochTimer(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def time_model_fit(batch_size: int) -> float:
    """Milliseconds per step of `model.fit`, compiled as in the study, in this process."""
    tf.config.threading.set_intra_op_parallelism_threads(0)
    tf.config.threading.set_inter_op_parallelism_threads(0)
    inputs, targets = random_rows(ROWS)
    model, timer = study_network(), EpochTimer()
    model.compile(keras.optimizers.Adam(LEARNING_RATE), "binary_crossentropy", metrics=["accuracy"])
    model.fit(inputs, targets, batch_size, epochs=3, verbose=0, callbacks=[timer])
    return 1000 * median(timer.seconds[1:]) / math.ceil(len(inputs) / batch_size)


def time_model_fit_apart(batch_size: int) -> float:
    """The same in a process of its own."""
    measured = measure_module("benchmarks.training_step", "--model-fit", str(batch_size), folder=ROOT)
    return float(measured.output.split()[-1])


def compile_bare_loop(inputs: np.ndarray, targets: np.ndarray, batch_size: int) -> Callable[[], float]:
    """A function that trains a new network in the bare loop for an epoch, and returns its milliseconds per step."""
    steps = len(inputs) // batch_size
    batches = tf.constant(inputs[: steps * batch_size].reshape(steps, batch_size, -1))
    labels = tf.constant(targets[: steps * batch_size].reshape(steps, batch_size, 1))
    weights = [tf.convert_to_tensor(weight.value) for weight in study_network().weights]
    epoch = tf.function(_bare_epoch, jit_compile=True, autograph=False)

    def run() -> float:
        start = time.perf_counter()
        epoch(weights, batches, labels, tf.constant(LEARNING_RATE))[1].numpy()
        return 1000 * (time.perf_counter() - start) / steps

    run()
    return run


def _bare_epoch(
    weights: list[tf.Tensor], inputs: tf.Tensor, targets: tf.Tensor, learning_rate: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """One epoch with Adam from its initial state.

    Args:
        weights: the kernel and bias of each hidden layer (relu, l2) and of the output (sigmoid).
        inputs: of shape (steps, batch, features).
        targets: of shape (steps, batch, 1).
        learning_rate: a scalar.

    Returns:
        The trained weights and the sum of the losses of the steps.
    """

    def step(index: tf.Tensor, weights: list, means: list, squares: list, total: tf.Tensor) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = _loss(weights, inputs[index], targets[index])
        gradients = tape.gradient(loss, weights)
        time_step = tf.cast(index + 1, tf.float32)
        rate = learning_rate * tf.sqrt(1 - 0.999**time_step) / (1 - 0.9**time_step)
        means = [m + (g - m) * 0.1 for m, g in zip(means, gradients, strict=True)]
        squares = [s + (g * g - s) * 0.001 for s, g in zip(squares, gradients, strict=True)]
        updated = [w - m * rate / (tf.sqrt(s) + 1e-7) for w, m, s in zip(weights, means, squares, strict=True)]
        return index + 1, updated, means, squares, total + loss

    zeros = [tf.zeros_like(weight) for weight in weights]
    start = (tf.constant(0), weights, zeros, zeros, tf.constant(0.0))
    steps = inputs.shape[0]
    _, weights, _, _, total = tf.while_loop(lambda index, *_: index < steps, step, start)
    return weights, total


def _loss(weights: list[tf.Tensor], inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    *hidden, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
    for k, b in hidden:
        inputs = tf.nn.relu(inputs @ k + b)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=inputs @ kernel + bias)
    return tf.reduce_mean(entropy) + L2 * sum(tf.reduce_sum(tf.square(k)) for k, _ in hidden)


def measure_steps(batch_size: int, runs: int, rows: int = ROWS) -> StepTimes:
    """Measure the three in turns.

    Args:
        batch_size: rows per step.
        runs: how many turns.
        rows: how many to train `fit` and the bare loop on.
    """
    inputs, targets = random_rows(rows)
    steps = math.ceil(len(inputs) / batch_size)
    run_bare_loop = compile_bare_loop(inputs, targets, batch_size)
    point = {"learning_rate": LEARNING_RATE, "batch_size": batch_size, "epochs": 6}
    settings = Params.load(PARAMS).train_base.with_point(point).training
    by_model_fit, by_fit, by_bare_loop, first_epochs = [], [], [], []
    for _ in range(runs):
        by_model_fit.append(time_model_fit_apart(batch_size))
        timer = EpochTimer()
        fit(study_network(), inputs, targets, settings, seed=1, callbacks=[timer])
        first_epochs.append(timer.seconds[0])
        by_fit += [1000 * seconds / steps for seconds in timer.seconds[1:]]
        by_bare_loop += [run_bare_loop() for _ in range(5)]
    # The first fit compiles; later ones use its program.
    compiling = first_epochs[0] - (median(first_epochs[1:]) if runs > 1 else 0)
    return StepTimes(median(by_model_fit), median(by_fit), median(by_bare_loop), compiling)


def report(runs: int) -> None:
    """Print a table of the study's batch sizes."""
    print(f"milliseconds per step, {ROWS} rows of {FEATURES}, medians of {runs} turns")
    print("batch  model.fit  fit     bare loop  model.fit/fit  fit/bare loop  compiling, s")
    for batch_size in BATCH_SIZES:
        times = measure_steps(batch_size, runs)
        ratios = f"{times.model_fit / times.fit:13.1f}  {times.fit / times.bare_loop:13.2f}"
        print(
            f"{batch_size:5}  {times.model_fit:9.3f}  {times.fit:.4f}  {times.bare_loop:9.4f}  {ratios}  "
            f"{times.compiling:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model-fit", type=int, metavar="BATCH_SIZE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.model_fit:
        print(time_model_fit(options.model_fit))
    else:
        report(options.runs)


if __name__ == "__main__":
    main()
