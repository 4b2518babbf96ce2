"""What all training stages have in common: cross-validate, choose a threshold, train the final model, predict."""

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from joblib import delayed

from stages.lib.common.params import Encoding, Params
from stages.lib.common.processes import Pool, in_this_process
from stages.lib.common.progress import show_progress
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import read_sessions
from stages.lib.dataset.splits import cv_folds
from stages.lib.modeling.cross_validation import Fit, Inspect, OutOfFold, Predictor, ValidatedFold, fit_fold
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import Encoder, fit_encoder

Save = Callable[[Any, Decision, Schema], None]


def only_model(models: list[Any]) -> Predictor:
    """The "mean" of a single model."""
    (model,) = models
    return model


def train_and_predict(
    fit: Fit,
    encoding: Encoding,
    params: Params,
    train: Path,
    test: Path,
    predictions: Path,
    *,
    ensemble_size: int = 1,
    mean: Callable[[list[Any]], Predictor] = only_model,
    inspect: Inspect | None = None,
    save: Save | None = None,
    epochs: int = 1,
    pool: Pool = in_this_process,
) -> OutOfFold:
    """Train a model as params say, and write its predictions for the test set.

    A single model is trained on the whole training set, and for the out-of-fold predictions once per fold. The members
    of an ensemble leave out a part of the rows each, and share an encoder, which is fitted on the training set without
    its targets. If there are as many folds, a member's part is its fold: it makes the out-of-fold predictions too.

    Args:
        fit: how to fit the model, or a member.
        encoding: settings of its encoder, which is fitted on the training set, and anew in each fold.
        params: of which validation, split.strategy and seed are used.
        train: the training set.
        test: the test set, without its targets.
        predictions: where to write keys, probabilities and decisions.
        ensemble_size: how many models predict together.
        mean: makes one model of them, perhaps in place.
        inspect: called with each fold's model and its validation rows.
        save: called with the final model, its decision and the schema of its rows.
        epochs: of which each fit tells `advance`.
        pool: makes calls of the functions above, which have to be picklable unless it is this process.

    Raises:
        InputError: a file cannot be read, or `fit` fails.
    """
    sessions, validation = read_sessions(train), params.validation
    strategy, seed, n_seeds = params.split.strategy, params.seed, validation.extra_seeds + 1
    folds = cv_folds(sessions, strategy, validation.folds, seed) if validation.folds else []
    fit_part = partial(_fit_part, fit, train.absolute())
    encoder: Encoding | Encoder
    if ensemble_size == 1:
        encoder, are_members = encoding, False
        final_calls = [
            delayed(_fit_all)(fit, train.absolute(), encoding, extra_seed=number, verbose=number == 0)
            for number in range(n_seeds)
        ]
    else:
        encoder = fit_encoder(sessions.features, encoding)
        # The first temporal fold trains on the oldest rows only: it would be a poor member.
        are_members = len(folds) == ensemble_size and strategy != "temporal"
        by_strategy = "stratified" if strategy == "temporal" else strategy
        parts = folds if are_members else cv_folds(sessions, by_strategy, ensemble_size, seed)
        final_calls = [
            delayed(fit_part)(part, encoder, extra_seed=number * ensemble_size + member)
            for number in range(int(are_members), n_seeds)
            for member, part in enumerate(parts)
        ]
    fold_calls = [
        delayed(fit_part)(fold, encoder, extra_seed=number % ensemble_size, inspect=inspect)
        for number, fold in enumerate(folds)
    ]
    calls = fold_calls + final_calls
    print(f"training {len(calls)} models on {len(sessions)} rows or less", flush=True)
    with show_progress("training", epochs * len(calls), "epochs" if epochs > 1 else "models"):
        results = pool(calls)
    oof = OutOfFold.of([validated for _, validated in results[: len(folds)]])
    decision = Decision.fit(validation.calibration, oof.targets, oof.probabilities)
    models = [model for model, _ in (results if are_members else results[len(folds) :])]
    by_seed = [models[start : start + ensemble_size] for start in range(0, len(models), ensemble_size)]
    schema = Schema.from_arrow(sessions.table.schema)
    pool([delayed(_finish)(by_seed, mean, decision, schema, test.absolute(), predictions.absolute(), save)])
    return oof


# These run in workers, which read the rows themselves. Models are passed on as bytes, since loading one would load
# TensorFlow. All get what is picklable, even in one process, so that the result is the same.


def _fit_part(
    fit: Fit,
    train: Path,
    part: tuple[np.ndarray, np.ndarray],
    encoding: Encoding | Encoder,
    extra_seed: int,
    inspect: Inspect | None = None,
) -> tuple[bytes, ValidatedFold]:
    model, validated = fit_fold(fit, read_sessions(train), part, encoding, inspect=inspect, extra_seed=extra_seed)
    return pickle.dumps(model), validated


def _fit_all(fit: Fit, train: Path, encoding: Encoding, extra_seed: int, verbose: bool) -> tuple[bytes, None]:
    sessions = read_sessions(train)
    encoder = fit_encoder(sessions.features, encoding)
    return pickle.dumps(fit(sessions, encoder, extra_seed=extra_seed, verbose=verbose)), None


def _finish(
    by_seed: list[list[bytes]],
    mean: Callable[[list[Any]], Predictor],
    decision: Decision,
    schema: Schema,
    test: Path,
    predictions: Path,
    save: Save | None,
) -> None:
    models = [mean([pickle.loads(model) for model in models]) for models in by_seed]
    sessions = read_sessions(test)
    decision.write(predictions, sessions, *[model.predict(sessions.features) for model in models])
    if save:
        save(models[0], decision, schema)
