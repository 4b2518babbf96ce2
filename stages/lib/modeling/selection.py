"""The choice of a candidate by cross-validation: all are trained in two pilot folds, the best of them in all folds.

The predictions of a fold come from the candidate that the other folds prefer, so that no row has a say in which model
judges it: Varma & Simon (2006), Bias in error estimation when using cross-validation for model selection, BMC
Bioinformatics 7, and Cawley & Talbot (2010), On over-fitting in model selection, JMLR 11.
"""

from collections.abc import Callable, Sequence

import numpy as np

PILOT_FOLDS = 2

# From a candidate and a fold, by their numbers, in pairs, to the losses on the folds
Evaluate = Callable[[Sequence[tuple[int, int]]], Sequence[float]]


def evaluate_with_pilot(evaluate: Evaluate, n_candidates: int, n_folds: int) -> np.ndarray:
    """The loss of each candidate in each fold, (candidates, folds); NaN where it had no chance any more.

    Of five folds and four candidates, this trains 11 models: less than three times as many as one candidate does.
    """
    losses = np.full((n_candidates, n_folds), np.nan)

    def fill(candidates: Sequence[int], folds: Sequence[int]) -> None:
        pairs = [(candidate, fold) for fold in folds for candidate in candidates]
        for pair, loss in zip(pairs, evaluate(pairs), strict=True):
            losses[pair] = loss

    if n_candidates == 1 or not n_folds:
        fill([0], range(n_folds))
        return losses
    fill(range(n_candidates), range(n_folds)[:PILOT_FOLDS])
    best = losses[:, :PILOT_FOLDS].mean(axis=1).argmin()
    fill([int(best)], range(n_folds)[PILOT_FOLDS:])
    return losses


def choose(losses: np.ndarray) -> int:
    """The candidate with the lowest mean loss, of those that went on to all folds."""
    in_all = np.flatnonzero(~np.isnan(losses).any(axis=1))
    return int(in_all[losses[in_all].mean(axis=1).argmin()]) if losses.shape[1] else 0


def choose_without(losses: np.ndarray, fold: int) -> int:
    """The candidate that the other folds prefer, of those that were trained in this one.

    For a pilot fold, the other pilot fold alone says: a pilot fold has a say in what was trained in the later ones.
    """
    candidates = np.flatnonzero(~np.isnan(losses[:, fold]))
    n_asked = min(PILOT_FOLDS, losses.shape[1]) if fold < PILOT_FOLDS else losses.shape[1]
    others = [other for other in range(n_asked) if other != fold]
    if len(candidates) == 1 or not others:
        return int(candidates[0])
    return int(candidates[losses[candidates][:, others].mean(axis=1).argmin()])
