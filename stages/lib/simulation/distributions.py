"""Random numbers that are the same on every machine.

NumPy keeps the stream of uniform numbers of PCG64 stable between versions, but not its other distributions.
So only uniform numbers are drawn, and every other distribution is derived from them here, by inverse transform.
"""

import numpy as np


def new_generator(seed: int | list[int]) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def logistic(rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
    """Logistic distribution of mean 0 and standard deviation 1: nearly normal, but its inverse has a closed form."""
    uniform = np.clip(rng.random(size), 1e-9, 1 - 1e-9)
    return np.log(uniform / (1 - uniform)) * (np.sqrt(3) / np.pi)


def exponential(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    return -np.log(1 - rng.random(len(mean))) * mean


def geometric(rng: np.random.Generator, scale: np.ndarray) -> np.ndarray:
    """Counts from 0: exponential numbers of mean `scale`, rounded down, which is a geometric distribution."""
    return exponential(rng, scale).astype(np.int64)


def categorical(rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """A category per row, drawn by the weights in the row.

    Args:
        rng: the source of one uniform number per row.
        weights: of shape (rows, categories); they need not sum to 1.

    Returns:
        Category numbers of shape (rows,).
    """
    cumulative = np.cumsum(weights, axis=1)
    return (rng.random(len(cumulative))[:, None] * cumulative[:, -1:] >= cumulative).sum(axis=1)


def power_law_rank(uniform: np.ndarray, size: np.ndarray | int) -> np.ndarray:
    """Turn uniform numbers into ranks 0 .. size - 1, where a rank's probability is about 1 / (rank + 3.5)."""
    return np.minimum(3 * (size / 3 + 1) ** uniform - 3, size - 1).astype(np.int64)


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))
