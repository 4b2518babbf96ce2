"""Milliseconds a training step by `model.fit`, by `stages.lib.training.fit`, and by a bare compiled loop.

The bare loop holds nothing but the arithmetic of this one network with Adam written by hand: the floor. The
three take turns, and medians are reported, because other programs may use the processor at the same time.

    python -m benchmarks.step [--threads 1] [--runs 7]
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from stages.lib import training
from stages.lib.backend import keras, tf
from stages.lib.params import Training

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


def measure(batch_size: int, runs: int) -> None:
    """Print the medians over `runs` turns of each way with this batch size."""
    inputs, targets = synthetic()
    steps = -(-len(inputs) // batch_size)
    floor = run_bare_loop(inputs, targets, batch_size)
    compiled = network()
    compiled.compile(keras.optimizers.Adam(LEARNING_RATE), "binary_crossentropy")
    compiled.fit(inputs[: 2 * batch_size], targets[: 2 * batch_size], batch_size, verbose=0)
    seconds: dict[str, list[float]] = {"model.fit": [], "training.fit": [], "bare loop": []}
    first = []
    for _ in range(runs):
        clock = _Clock()
        compiled.fit(inputs, targets, batch_size, verbose=0, callbacks=[clock])
        seconds["model.fit"] += clock.seconds
        clock = _Clock()
        settings = Training(
            optimizer="adam",
            learning_rate=LEARNING_RATE,
            batch_size=batch_size,
            epochs=4,
            patience=0,
            class_weights="none",
        )
        training.fit(network(), inputs, targets, settings, seed=1, callbacks=[clock])
        first.append(clock.seconds[0])
        seconds["training.fit"] += clock.seconds[1:]
        seconds["bare loop"] += [floor() for _ in range(3)]
    step = {way: 1000 * median(values) / steps for way, values in seconds.items()}
    compiling = first[0] - median(first[1:] or [0])
    print(f"batch {batch_size}: " + ", ".join(f"{way} {value:.4f} ms a step" for way, value in step.items()))
    print(
        f"  {step['model.fit'] / step['training.fit']:.1f} times as fast as model.fit,"
        f" {step['training.fit'] / step['bare loop']:.2f} times the bare loop; compiling {compiling:.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--batch", type=int, nargs="+", default=[24, 48])
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    print(f"{options.threads} threads, {ROWS} rows of {FEATURES}, medians of {options.runs} turns")
    for batch_size in options.batch:
        measure(batch_size, options.runs)


if __name__ == "__main__":
    main()
