"""Cross-validation chooses a candidate, and no row has a say in which candidate predicts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, as_sessions, standard_encoding
from scipy.special import expit
from sklearn.metrics import log_loss

from stages.lib.common.params import Params
from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.sessions import Sessions, read_sessions, write_sessions
from stages.lib.modeling.cross_validation import OutOfFold, ValidatedFold
from stages.lib.modeling.encoder import Encoder
from stages.lib.modeling.roc_auc import roc_auc
from stages.lib.modeling.selection import choose, choose_without, evaluate_with_pilot
from stages.lib.modeling.trainer import Candidate
from stages.lib.modeling.training_stage import train_and_predict

NAN = float("nan")
ROWS = 100


def with_pilot(losses: np.ndarray, trained: list[tuple[int, int]] | None = None) -> np.ndarray:
    """What is found out of these losses, (candidates, folds); appends what it trains to `trained`."""

    def evaluate(pairs: Sequence[tuple[int, int]]) -> list[float]:
        if trained is not None:
            trained.extend(pairs)
        return [losses[pair] for pair in pairs]

    return evaluate_with_pilot(evaluate, *losses.shape)


# The pilot --------------------------------------------------------


@pytest.mark.parametrize(("n_candidates", "n_trained"), [(1, 5), (2, 7), (3, 9), (4, 11), (6, 15)])
def test_up_to_six_candidates_take_at_most_three_times_the_training_of_one(n_candidates: int, n_trained: int) -> None:
    trained: list[tuple[int, int]] = []
    found = with_pilot(np.random.default_rng(1).random((n_candidates, 5)), trained)
    assert len(trained) == len({*trained}) == n_trained <= 3 * 5
    assert {*trained} == {*zip(*np.nonzero(~np.isnan(found)), strict=True)}


def test_all_are_trained_in_two_folds_and_the_best_in_all() -> None:
    losses = np.array([[0.2, 0.4, 0.9], [0.1, 0.1, 0.3], [0.5, 0.5, 0.1], [0.3, 0.2, 0.3]])
    expected = losses.copy()
    expected[[0, 2, 3], 2] = NAN
    np.testing.assert_array_equal(with_pilot(losses), expected)


@pytest.mark.parametrize("n_folds", [0, 2])
def test_few_folds_train_all_candidates_in_all_of_them(n_folds: int) -> None:
    losses = np.random.default_rng(1).random((3, n_folds))
    np.testing.assert_array_equal(with_pilot(losses), losses)


def test_the_candidate_with_the_lowest_mean_loss_in_all_folds_is_chosen() -> None:
    assert choose(np.array([[0.1, 0.1, NAN], [0.2, 0.3, 0.2], [0.2, 0.2, 0.2]])) == 2
    assert choose(np.array([[0.3, 0.1], [0.2, 0.2], [0.4, 0.4]])) == 0, "the first of equals"
    assert choose(np.empty((3, 0))) == 0, "without folds the first"


# The choice for a fold --------------------------------------------


def test_the_other_folds_choose_what_predicts_a_fold() -> None:
    losses = np.array([[0.1, 0.4, 0.1, 0.1], [0.2, 0.2, 0.1, 0.2], [0.3, 0.3, NAN, NAN]])
    assert choose_without(losses, 3) == 1
    assert choose_without(np.array([[0.1, 0.4, 0.1, 0.1]]), 1) == 0
    assert [choose_without(losses, fold) for fold in (0, 1)] == [1, 0], "a pilot fold: the other one"


@pytest.mark.parametrize(("n_candidates", "n_folds"), [(2, 2), (3, 3), (4, 5), (9, 5)])
def test_the_losses_in_a_fold_never_change_what_predicts_it(n_candidates: int, n_folds: int) -> None:
    """Neither in the choice itself nor by what has been trained elsewhere."""
    rng = np.random.default_rng(2)
    for _ in range(100):
        losses = rng.normal(size=(n_candidates, n_folds))
        found = with_pilot(losses)
        for fold in range(n_folds):
            changed = losses.copy()
            changed[:, fold] = rng.normal(size=n_candidates)
            assert choose_without(with_pilot(changed), fold) == choose_without(found, fold)


def test_what_predicts_a_fold_was_trained_in_it() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        found = with_pilot(rng.normal(size=(rng.integers(1, 9), rng.integers(1, 7))))
        assert all(not np.isnan(found[choose_without(found, fold), fold]) for fold in range(found.shape[1]))


def test_choosing_among_candidates_of_noise_is_no_gain() -> None:
    """While the best candidate of each fold seems better than chance by far."""
    rng, columns = np.random.default_rng(4), np.arange(ROWS)
    folds = columns % 5
    nested: list[list[float]] = []
    naive: list[list[float]] = []
    for _ in range(200):
        targets = rng.permutation(columns % 3 == 0).astype(int)
        probabilities = expit(rng.normal(size=(8, ROWS)))
        losses = losses_of(OutOfFold(columns, folds, targets, probabilities[0]), probabilities)
        found = with_pilot(losses)
        judges = np.array([choose_without(found, fold) for fold in range(5)])
        for gains, chosen in ((nested, judges), (naive, losses.argmin(axis=0))):
            predicted = probabilities[chosen[folds], columns]
            log_loss_of_chosen = ValidatedFold(targets, predicted).log_loss
            gains.append([roc_auc(targets, predicted) - 0.5, losses.mean() - log_loss_of_chosen])
    for gains, low, high in ((nested, -2.5, 2.5), (naive, 10, np.inf)):
        in_standard_errors = np.mean(gains, axis=0) / (np.std(gains, axis=0, ddof=1) / np.sqrt(len(gains)))
        assert ((in_standard_errors > low) & (in_standard_errors < high)).all(), in_standard_errors


def losses_of(oof: OutOfFold, probabilities: np.ndarray) -> np.ndarray:
    """Of each of these candidates in each fold, (candidates, folds)."""
    folds = [oof.folds == fold for fold in np.unique(oof.folds)]
    return np.array(
        [[ValidatedFold(oof.targets[fold], each[fold]).log_loss for fold in folds] for each in probabilities]
    )


def test_the_loss_of_a_fold_is_scikit_learn_s() -> None:
    rng = np.random.default_rng(5)
    targets, probabilities = rng.integers(0, 2, 50), rng.random(50)
    assert ValidatedFold(targets, probabilities).log_loss == pytest.approx(log_loss(targets, probabilities))


# In a training stage ----------------------------------------------


@dataclass(frozen=True)
class Noise:
    """Predicts probabilities that have to do with no target: for each row those of a candidate."""

    seed: int
    number: int

    def predict(self, features: Frame) -> np.ndarray:
        z = np.random.default_rng([self.seed, self.number]).normal(size=ROWS)
        return expit(z).astype(np.float32)[features["row"].to_numpy(int)]


def fit_noise(
    sessions: Sessions, encoder: Encoder, *, noise: Noise, extra_seed: int = 0, verbose: bool = False
) -> Noise:
    return noise


@pytest.mark.usefixtures("workdir")
def test_each_fold_is_predicted_by_the_candidate_that_the_others_choose_for_it() -> None:
    targets = (np.arange(ROWS) % 3 == 0).astype(int)
    sessions = as_sessions(pd.DataFrame({"row": np.arange(ROWS), "buys": targets}), buys="target")
    train, test, predictions, out_of_fold = (Path(f"{name}.parquet") for name in ("train", "test", "predicted", "oof"))
    write_sessions(train, sessions)
    write_sessions(test, sessions.select("feature"))
    noises = [Noise(3, number) for number in range(4)]
    candidates = [Candidate(partial(fit_noise, noise=noise), standard_encoding()) for noise in noises]
    train_and_predict(candidates, Params.load(ROOT / "params.yaml"), train, test, predictions, out_of_fold)
    oof = OutOfFold.of_sessions(read_sessions(out_of_fold))
    probabilities = np.array([noise.predict(sessions.to_arrow().to_pandas()) for noise in noises])
    found = with_pilot(losses_of(oof, probabilities))
    judges = np.array([choose_without(found, fold) for fold in range(5)])
    assert len({*judges}) > 1
    np.testing.assert_array_equal(oof.probabilities, probabilities[judges[oof.folds], np.arange(ROWS)])
    final = read_sessions(predictions).column("probability")
    np.testing.assert_array_equal(final, probabilities[choose(found)])
