"""Random numbers that are the same on every machine.

NumPy keeps the stream of uniform numbers of PCG64 stable between versions, but not its other distributions.
So only uniform numbers are drawn, and every other distribution is derived from them here, by its inverse.
"""

from __future__ import annotations

import numpy as np


def generator(seed: int | list[int]) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def bell(rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
    """Bell-shaped numbers of mean 0 and deviation 1 (the logistic distribution has a closed inverse)."""
    uniform = np.clip(rng.random(size), 1e-9, 1 - 1e-9)
    return np.log(uniform / (1 - uniform)) * (np.sqrt(3) / np.pi)


def exponential(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    return -np.log(1 - rng.random(len(mean))) * mean


def count(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 on; those of an exponential, rounded down."""
    return exponential(rng, mean).astype(np.int64)


def chance(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


def pick(rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """A column for each row, by the weights in the row."""
    total = np.cumsum(weights, axis=1)
    return (rng.random(len(total))[:, None] * total[:, -1:] >= total).sum(axis=1)


def rank(uniform: np.ndarray, size: np.ndarray | int) -> np.ndarray:
    """Ranks 0 .. size - 1 by a power law: the chance of a rank is about 1 / (rank + 3.5)."""
    return np.minimum(3 * (size / 3 + 1) ** uniform - 3, size - 1).astype(np.int64)
