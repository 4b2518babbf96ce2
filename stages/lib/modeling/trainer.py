"""Trains candidates in folds and on all rows, by the calls of a pool, and shows how far that is."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import delayed

from stages.lib.common.errors import InputError
from stages.lib.common.model_params import Encoding
from stages.lib.common.processes import Call, Pool
from stages.lib.common.progress import show_progress
from stages.lib.dataset.sessions import Sessions, read_sessions
from stages.lib.modeling.cross_validation import Fit, Fold, ValidatedFold, fit_fold
from stages.lib.modeling.distillation import teacher_probabilities
from stages.lib.modeling.encoder import Encoder, fit_encoder, fit_to_train
from stages.lib.modeling.selection import evaluate_with_pilot
from stages.lib.modeling.target_encoding import InnerFolds


@dataclass(frozen=True)
class Candidate:
    """A way of making a model.

    Attributes:
        fit: how to fit it.
        encoding: of its inputs.
        epochs: how many it takes.
        distillation: the weight of a teacher's probabilities in what it learns; the targets have the rest.
    """

    fit: Fit
    encoding: Encoding
    epochs: int = 1
    distillation: float = 0.0


Fitted = tuple[bytes, ValidatedFold | None]  # a pickled model, and what it predicts for the rows that it left out
FittedFolds = dict[tuple[int, int], Fitted]  # by candidate and fold


class Trainer:
    """Of a single model per seed, or of an ensemble, whose encoder is fitted on all rows, without their targets.

    What it learns from targets, each member fits to its own rows.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        sessions: Sessions,
        train: Path,
        pool: Pool,
        ensemble_size: int,
        inner_folds: InnerFolds,
    ) -> None:
        """Args:
        candidates: what to train.
        sessions: the training set.
        train: its file, absolute, which the workers of the pool read.
        pool: makes the calls.
        ensemble_size: 1 for a single model.
        inner_folds: of the rows that a model is trained on, see `fit_to_train`.
        """
        self.inner_folds = inner_folds
        self.candidates, self.train, self.pool, self.ensemble_size = candidates, train, pool, ensemble_size
        self.n_rows, self.targets = len(sessions), sessions.column("target").to_numpy()
        self.taught: dict[bytes | None, np.ndarray] = {}  # a teacher's probabilities by the rows to train on
        encodings = {candidate.encoding for candidate in candidates}
        self.encoders: dict[Encoding, Encoding | Encoder] = {
            encoding: encoding if ensemble_size == 1 else fit_encoder(sessions.features, encoding)
            for encoding in encodings
        }

    def learn_from(self, teacher: Candidate, sessions: Sessions, parts: Sequence[Fold | None]) -> None:
        """Fit the teacher, if a candidate learns from it, for models trained on these parts of the training set.

        Raises:
            InputError: see `teacher_probabilities`; or a worker was killed, since a teacher may need more memory.
        """
        if any(candidate.distillation for candidate in self.candidates):
            rows = {_rows_key(part): np.arange(self.n_rows) if part is None else part[0] for part in parts}
            try:
                taught = teacher_probabilities(
                    teacher.fit, self.train, sessions, [*rows.values()], teacher.encoding, self.inner_folds, self.pool
                )
            except InputError as error:
                hint = "to do without it, set distillation to 0 in train_strong and in its candidates"
                raise InputError(f"distillation: {error}; {hint}") from None
            self.taught = dict(zip(rows, taught, strict=True))

    def cross_validate(
        self, folds: Sequence[Fold], parts: Sequence[Fold | None], seeds: range
    ) -> tuple[np.ndarray, FittedFolds, list[Fitted]]:
        """The losses and models by candidate and fold; of a single candidate, the final models as well.

        `parts` and `seeds` are those of `train_final`, which is not waited for if there is nothing to choose.
        """
        fitted: FittedFolds = {}
        final_calls = self._final_calls(0, parts, seeds) if len(self.candidates) == 1 else []
        final: list[Fitted] = []

        def evaluate(pairs: Sequence[tuple[int, int]]) -> list[float]:
            calls = [self._call(candidate, folds[fold], fold % self.ensemble_size) for candidate, fold in pairs]
            epochs = sum(self.candidates[candidate].epochs for candidate, _ in pairs)
            results = self._run(calls + final_calls, epochs + len(final_calls) * self.candidates[0].epochs)
            fitted.update(zip(pairs, results[: len(pairs)], strict=True))
            final.extend(results[len(pairs) :])
            return [validated.log_loss for _, validated in results[: len(pairs)] if validated]

        losses = evaluate_with_pilot(evaluate, len(self.candidates), len(folds))
        return losses, fitted, final

    def train_final(self, candidate: int, parts: Sequence[Fold | None], seeds: range) -> list[Fitted]:
        """A model for each seed and each part, which is all rows if it is None."""
        calls = self._final_calls(candidate, parts, seeds)
        return self._run(calls, len(calls) * self.candidates[candidate].epochs)

    def _final_calls(self, candidate: int, parts: Sequence[Fold | None], seeds: range) -> list[Call]:
        return [
            self._call(candidate, part, number * len(parts) + member, verbose=len(parts) == 1 and number == 0)
            for number in seeds
            for member, part in enumerate(parts)
        ]

    def _call(self, candidate: int, part: Fold | None, extra_seed: int, verbose: bool = False) -> Call:
        fit, encoding = self.candidates[candidate].fit, self.candidates[candidate].encoding
        soft_targets = self._soft_targets(self.candidates[candidate].distillation, part)
        if part is None:
            return delayed(_fit_all)(fit, self.train, encoding, self.inner_folds, extra_seed, verbose, soft_targets)
        return delayed(_fit_part)(
            fit, self.train, part, self.encoders[encoding], self.inner_folds, extra_seed, soft_targets
        )

    def _soft_targets(self, distillation: float, part: Fold | None) -> np.ndarray | None:
        if not distillation:
            return None
        targets = self.targets if part is None else self.targets[part[0]]
        return (1 - distillation) * targets + distillation * self.taught[_rows_key(part)]

    def _run(self, calls: list[Call], epochs: int) -> list[Fitted]:
        if not calls:
            return []
        print(f"training {len(calls)} models on {self.n_rows} rows or less", flush=True)
        with show_progress("training", epochs, "epochs" if epochs > len(calls) else "models"):
            return self.pool(calls)


# These run in workers, which read the rows themselves. Models are passed on as bytes, since loading one would load
# TensorFlow. All get what is picklable, even in one process, so that the result is the same.


def _fit_part(
    fit: Fit,
    train: Path,
    part: Fold,
    encoding: Encoding | Encoder,
    inner_folds: InnerFolds,
    extra_seed: int,
    soft_targets: np.ndarray | None,
) -> Fitted:
    model, validated = fit_fold(
        fit, read_sessions(train), part, encoding, inner_folds, extra_seed=extra_seed, soft_targets=soft_targets
    )
    return pickle.dumps(model), validated


def _fit_all(
    fit: Fit,
    train: Path,
    encoding: Encoding,
    inner_folds: InnerFolds,
    extra_seed: int,
    verbose: bool,
    soft_targets: np.ndarray | None,
) -> Fitted:
    encoder, sessions = fit_to_train(read_sessions(train), encoding, inner_folds)
    if soft_targets is not None:
        sessions = sessions.with_soft_targets(soft_targets)
    return pickle.dumps(fit(sessions, encoder, extra_seed=extra_seed, verbose=verbose)), None


def _rows_key(part: Fold | None) -> bytes | None:
    return None if part is None else part[0].tobytes()
