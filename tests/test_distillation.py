"""A network learns from trees that know no row whose probability they say, and no row that the network leaves out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import as_sessions, standard_encoding

from stages.lib.common.errors import InputError
from stages.lib.common.processes import in_this_process
from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.sessions import Sessions, read_sessions, write_sessions
from stages.lib.dataset.splits import cv_folds
from stages.lib.modeling.cross_validation import Fold, fit_fold
from stages.lib.modeling.distillation import teacher_probabilities
from stages.lib.modeling.encoder import Encoder
from stages.lib.modeling.target_encoding import InnerFolds, inner_folds
from stages.lib.modeling.trainer import Candidate, Trainer

ROWS = 60
TRAIN = Path("train.parquet")
FITTED: list[set[int]] = []  # the rows that each teacher was fitted on


@dataclass(frozen=True)
class Teacher:
    """Predicts a number that depends on the targets that it was fitted on and on the row."""

    seen: float

    def predict(self, features: Frame) -> np.ndarray:
        rows = features["row"].to_numpy()
        assert not FITTED[-1] & {*rows.astype(int)}
        return ((self.seen + rows) % 1).astype(np.float32)


def fit_teacher(sessions: Sessions, encoder: Encoder, *, extra_seed: int = 0, verbose: bool = False) -> Teacher:
    rows = sessions.features["row"].to_numpy()
    FITTED.append({*rows.astype(int)})
    return Teacher(float((sessions.column("target").to_numpy() * np.sqrt(rows + 2)).sum()))


@pytest.fixture(autouse=True)
def no_teachers() -> None:
    FITTED.clear()


def make_sessions(targets: np.ndarray) -> Sessions:
    rows = np.arange(len(targets))
    frame = pd.DataFrame({"row": rows.astype(float), "visitor": rows // 2, "buys": targets})
    sessions = as_sessions(frame, buys="target", visitor="visitor")
    write_sessions(TRAIN, sessions)
    return sessions


TARGETS = (np.arange(ROWS) % 3 == 0).astype(int)


def probabilities_for(
    targets: np.ndarray, parts: list[np.ndarray], folds: Sequence[Fold] | None = None
) -> list[np.ndarray]:
    """What is taught for the rows of each part, in these folds or those that training makes."""
    sessions = make_sessions(targets)
    inner: InnerFolds = (lambda _: folds) if folds else inner_folds("stratified", 3)
    return teacher_probabilities(fit_teacher, TRAIN, sessions, parts, standard_encoding(), inner, in_this_process)


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize("strategy", ["stratified", "grouped"])
def test_what_a_fold_s_network_learns_depends_on_no_target_of_that_fold(strategy: str) -> None:
    folds = cv_folds(make_sessions(TARGETS), strategy, 5, 3)
    parts = [train_idx for train_idx, _ in folds]
    learned = probabilities_for(TARGETS, parts, folds)
    assert [len(values) for values in learned] == [len(part) for part in parts]
    assert not np.isnan(np.concatenate(learned)).any()
    for number, (_, val_idx) in enumerate(folds):
        changed = TARGETS.copy()
        changed[val_idx] = 1 - changed[val_idx]
        again = probabilities_for(changed, parts, folds)
        same = [bool((one == other).all()) for one, other in zip(again, learned, strict=True)]
        assert same == [other == number for other in range(5)]


@pytest.mark.usefixtures("workdir")
def test_two_folds_share_a_teacher_that_knows_neither() -> None:
    parts = [train_idx for train_idx, _ in cv_folds(make_sessions(TARGETS), "stratified", 5, 3)]
    probabilities_for(TARGETS, parts)
    assert len(FITTED) == 10
    assert {len(rows) for rows in FITTED} == {ROWS * 3 // 5}


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize("part", [np.arange(ROWS), np.arange(20, 50)], ids=["all rows", "some rows"])
def test_a_teacher_knows_the_part_without_the_rows_that_it_predicts(part: np.ndarray) -> None:
    (learned,) = probabilities_for(TARGETS, [part])
    assert len(learned) == len(part)
    assert len(FITTED) == 5
    assert set.union(*FITTED) == {*part}


@dataclass(frozen=True)
class Student:
    """Remembers what it learned."""

    learned: np.ndarray

    def predict(self, features: Frame) -> np.ndarray:
        return np.full(len(features), 0.5, np.float32)


def fit_student(sessions: Sessions, encoder: Encoder, *, extra_seed: int = 0, verbose: bool = False) -> Student:
    name = "soft_target" if sessions.names("soft_target") else "target"
    assert "_soft_target" not in encoder.input_names
    return Student(sessions.column(name).to_numpy())


DISTILLED = Candidate(fit_student, standard_encoding(), distillation=1.0)


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize(
    ("positives", "message"), [(6, "those of some folds have only one class"), (4, "one class has only 4")]
)
def test_too_few_rows_are_an_error_that_says_the_way_out(positives: int, message: str) -> None:
    targets = np.zeros(ROWS, int)
    targets[::10] = 1
    targets[10 * positives :] = 0
    sessions = make_sessions(targets)
    part = (np.arange(9, 19), np.arange(19, 29))
    trainer = Trainer([DISTILLED], sessions, TRAIN.absolute(), in_this_process, 5, inner_folds("stratified", 3))
    with pytest.raises(
        InputError, match=f"^distillation: too few rows.*{message}; to do without it, set distillation to 0"
    ):
        trainer.learn_from(Candidate(fit_teacher, standard_encoding()), sessions, [part])


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize("values_in_memory", [2**20, 0])
def test_targets_and_probabilities_are_weighted(values_in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    make_sessions(TARGETS)
    monkeypatch.setattr("stages.lib.dataset.sessions.IN_MEMORY", values_in_memory)
    sessions = read_sessions(TRAIN)
    folds, inner = cv_folds(sessions, "stratified", 5, 3), inner_folds("stratified", 3)
    candidates = [Candidate(fit_student, standard_encoding(), 1, weight) for weight in (0.0, 0.25, 1.0)]
    trainer = Trainer(candidates, sessions, TRAIN.absolute(), in_this_process, 5, inner)
    trainer.learn_from(Candidate(fit_teacher, standard_encoding()), sessions, folds)
    parts = [part for part, _ in folds]
    taught = teacher_probabilities(fit_teacher, TRAIN, sessions, parts, standard_encoding(), inner, in_this_process)
    for number, weight in enumerate((0.0, 0.25, 1.0)):
        for fold, teacher in zip(folds, taught, strict=True):
            soft_targets = trainer._soft_targets(weight, fold)
            model, validated = fit_fold(
                candidates[number].fit, sessions, fold, standard_encoding(), inner, soft_targets=soft_targets
            )
            assert isinstance(model, Student)
            expected = (1 - weight) * TARGETS[fold[0]] + weight * teacher
            np.testing.assert_allclose(model.learned, expected)
            np.testing.assert_array_equal(validated.targets, TARGETS[fold[1]])


@pytest.mark.usefixtures("workdir")
def test_no_teacher_is_fitted_if_no_candidate_learns_from_it() -> None:
    sessions = make_sessions(TARGETS)
    candidates = [Candidate(fit_student, standard_encoding())]
    trainer = Trainer(candidates, sessions, TRAIN.absolute(), in_this_process, 5, inner_folds("stratified", 3))
    trainer.learn_from(Candidate(fit_teacher, standard_encoding()), sessions, cv_folds(sessions, "stratified", 5, 3))
    assert not FITTED
