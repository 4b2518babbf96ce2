"""Milliseconds a training step by `model.fit`, by `stages.lib.training.fit`, and by a bare compiled loop.

The bare loop holds nothing but the arithmetic of this one network with Adam written by hand: the floor. The
three take turns, and medians are reported, because other programs may use the processor at the same time. Ours and
the bare loop run on one thread, `model.fit` in a process of its own, on those that TensorFlow takes by itself.

    python -m benchmarks.step [--runs 5]
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from stages.lib.common.params import load
from stages.lib.modeling import fit as training
from stages.lib.modeling.backend import keras, tf

ROOT = Path(__file__).parents[1]
ROWS, FEATURES, HIDDEN = 28_755, 125, (80, 40, 10)
L2, LEARNING_RATE = 0.01, 5e-5


def synthetic(rows: int = ROWS, features: int = FEATURES) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal inputs (rows, features) and targets (rows,), of which a third are 1."""
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((rows, features), np.float32)
    return inputs, (inputs[:, :5].sum(1) + generator.standard_normal(rows) > 1).astype(np.float32)


def network(features: int = FEATURES) -> keras.Model:
    """The dense network that is measured."""
    l2 = keras.regularizers.L2(L2)
    hidden = [keras.layers.Dense(units, "relu", True, "glorot_normal", kernel_regularizer=l2) for units in HIDDEN]
    return keras.Sequential([keras.Input((features,)), *hidden, keras.layers.Dense(1, "sigmoid")])


def _loss(weights: list[tf.Tensor], inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    *hidden, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
    for k, b in hidden:
        inputs = tf.nn.relu(inputs @ k + b)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=inputs @ kernel + bias)
    return tf.reduce_mean(entropy) + L2 * sum(tf.reduce_sum(tf.square(k)) for k, _ in hidden)


@tf.function(jit_compile=True, autograph=False)
def bare_loop(
    weights: list[tf.Tensor], inputs: tf.Tensor, targets: tf.Tensor, learning_rate: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """One epoch with Adam from its initial state: the trained weights and the sum of the losses of the steps.

    Args:
        weights: kernels and biases in turn, of the hidden layers (relu, l2) and of the output (sigmoid).
        inputs: (steps, batch, features).
        targets: (steps, batch, 1).
        learning_rate: a scalar.
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
        moved = [w - m * rate / (tf.sqrt(s) + 1e-7) for w, m, s in zip(weights, means, squares, strict=True)]
        return index + 1, moved, means, squares, total + loss

    zeros = [tf.zeros_like(weight) for weight in weights]
    start = (tf.constant(0), weights, zeros, zeros, tf.constant(0.0))
    steps = inputs.shape[0]
    _, weights, _, _, total = tf.while_loop(lambda index, *_: index < steps, step, start)
    return weights, total


def run_bare_loop(inputs: np.ndarray, targets: np.ndarray, batch_size: int) -> Callable[[], float]:
    """A compiled function that trains a new network in the bare loop for an epoch and returns its seconds."""
    steps = len(inputs) // batch_size
    batches = tf.constant(inputs[: steps * batch_size].reshape(steps, batch_size, -1))
    labels = tf.constant(targets[: steps * batch_size].reshape(steps, batch_size, 1))
    weights = [tf.convert_to_tensor(weight.value) for weight in network(inputs.shape[1]).weights]

    def run() -> float:
        start = time.perf_counter()
        bare_loop(weights, batches, labels, tf.constant(LEARNING_RATE))[1].numpy()
        return time.perf_counter() - start

    run()
    return run


class _Clock(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def keras_steps(batch_size: int) -> None:
    """Print the milliseconds a step of `model.fit`, compiled as the study did, in a process of its own."""
    tf.config.threading.set_intra_op_parallelism_threads(0)
    tf.config.threading.set_inter_op_parallelism_threads(0)
    inputs, targets = synthetic()
    model = network()
    model.compile(keras.optimizers.Adam(LEARNING_RATE), "binary_crossentropy", metrics=["accuracy"])
    clock = _Clock()
    model.fit(inputs, targets, batch_size, epochs=3, verbose=0, callbacks=[clock])
    print(1000 * median(clock.seconds[1:]) / -(-len(inputs) // batch_size))


def measure(batch_size: int, runs: int) -> dict[str, float]:
    """Medians over `runs` turns of each way: milliseconds a step, and seconds of compiling ours."""
    inputs, targets = synthetic()
    steps = -(-len(inputs) // batch_size)
    floor = run_bare_loop(inputs, targets, batch_size)
    (base,) = load("train_base", path=ROOT / "params.yaml")
    settings = base.with_point({"learning_rate": LEARNING_RATE, "batch_size": batch_size, "epochs": 6}).training
    fit, ours, bare, first = [], [], [], []
    for _ in range(runs):
        command = [sys.executable, "-m", "benchmarks.step", "--fit", str(batch_size)]
        fit.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]))
        clock = _Clock()
        training.fit(network(), inputs, targets, settings, seed=1, callbacks=[clock])
        first.append(clock.seconds[0])
        ours += [1000 * seconds / steps for seconds in clock.seconds[1:]]
        bare += [1000 * floor() / (len(inputs) // batch_size) for _ in range(5)]
    return {
        "model.fit": median(fit),
        "training.fit": median(ours),
        "bare loop": median(bare),
        "compiling": first[0] - median(first[1:] or [0]),
    }


def report(runs: int) -> None:
    """Print a table of both batch sizes of the study's grid."""
    print(f"milliseconds a step, {ROWS} rows of {FEATURES}, medians of {runs} turns")
    print("batch  model.fit  ours    bare loop  model.fit/ours  ours/bare loop  compiling, s")
    for batch_size in (24, 48):
        found = measure(batch_size, runs)
        fit, ours, bare, compiling = found.values()
        ratios = f"{fit / ours:14.1f}  {ours / bare:14.2f}"
        print(f"{batch_size:5}  {fit:9.3f}  {ours:.4f}  {bare:9.4f}  {ratios}  {compiling:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--fit", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fit:
        keras_steps(options.fit)
    else:
        report(options.runs)


if __name__ == "__main__":
    main()
