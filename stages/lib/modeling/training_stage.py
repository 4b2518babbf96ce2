"""What all training stages have in common: cross-validate, choose a threshold, train the final model, predict."""

import pickle
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed

from stages.lib.common.model_params import Encoding
from stages.lib.common.params import Params
from stages.lib.common.processes import Pool, in_this_process
from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import read_sessions
from stages.lib.dataset.splits import cv_folds
from stages.lib.modeling.columns import INFREQUENT, CategoricalColumn
from stages.lib.modeling.cross_validation import Fold, Inspect, OutOfFold, Predictor
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.selection import choose, choose_without
from stages.lib.modeling.target_encoding import MANY_CATEGORIES, inner_folds
from stages.lib.modeling.trainer import Candidate, Trainer

Save = Callable[[Any, Decision, Schema], None]


def only_model(models: list[Any]) -> Predictor:
    """The "mean" of a single model."""
    (model,) = models
    return model


def train_and_predict(
    candidates: Sequence[Candidate],
    params: Params,
    train: Path,
    test: Path,
    predictions: Path,
    out_of_fold: Path,
    *,
    ensemble_size: int = 1,
    mean: Callable[[list[Any]], Predictor] = only_model,
    inspect: Inspect | None = None,
    save: Save | None = None,
    teacher: Candidate | None = None,
    pool: Pool = in_this_process,
) -> pd.DataFrame:
    """Train a model as params say, and write its predictions for the test set and, out of fold, for the training set.

    Of several candidates, cross-validation chooses one. A single model is trained on the whole training set, and for
    the out-of-fold predictions once per fold. The members of an ensemble leave out a part of the rows each. If there
    are as many folds, a member's part is its fold: it makes the out-of-fold predictions too.

    Args:
        candidates: without folds, the first is taken.
        params: of which validation, decision, split.strategy and seed are used.
        train: the training set.
        test: the test set, without its targets.
        predictions: where to write keys, probabilities and decisions.
        out_of_fold: where to write the predictions of `OutOfFold`; without folds, no rows.
        ensemble_size: how many models predict together.
        mean: makes one model of them, perhaps in place.
        inspect: called with each fold's model and its validation rows.
        save: called with the final model, its decision and the schema of its rows.
        teacher: what candidates with distillation learn from.
        pool: makes calls of the functions above, which have to be picklable unless it is this process.

    Returns:
        A column per fold: the result of `inspect`.

    Raises:
        InputError: a file cannot be read, or fitting fails.
    """
    sessions, validation = read_sessions(train), params.validation
    strategy, seed, seeds = params.split.strategy, params.seed, range(validation.extra_seeds + 1)
    folds: Sequence[Fold] = cv_folds(sessions, strategy, validation.folds, seed) if validation.folds else []
    parts: Sequence[Fold | None] = [None]
    are_members = False
    if ensemble_size > 1:
        # The first temporal fold trains on the oldest rows only: it would be a poor member.
        are_members = len(folds) == ensemble_size and strategy != "temporal"
        by_strategy = "stratified" if strategy == "temporal" else strategy
        parts = folds if are_members else cv_folds(sessions, by_strategy, ensemble_size, seed)
        seeds = seeds[int(are_members) :]
    _print_grouped_categories(sessions.features, (candidate.encoding for candidate in candidates))
    trainer = Trainer(candidates, sessions, train.absolute(), pool, ensemble_size, inner_folds(strategy, seed))
    if teacher:
        trainer.learn_from(teacher, sessions, [*folds, *parts])
    losses, fitted, final = trainer.cross_validate(folds, parts, seeds)
    best = choose(losses)
    judges = [choose_without(losses, fold) for fold in range(len(folds))]
    if len(candidates) > 1:
        if folds:
            _print_choice(losses, best, judges)
        final = trainer.train_final(best, parts, seeds)
    members = [fitted[best, fold] for fold in range(len(folds))] if are_members else []
    in_folds = [fitted[judge, fold] for fold, judge in enumerate(judges)]
    oof = OutOfFold.of(folds, [validated for _, validated in in_folds if validated])
    oof.write(out_of_fold, sessions)
    decision = Decision.fit(validation.calibration, oof.targets, oof.probabilities, params.decision.costs)
    models = [model for model, _ in [*members, *final]]
    by_seed = [models[start : start + ensemble_size] for start in range(0, len(models), ensemble_size)]
    schema = Schema.from_arrow(sessions.table.schema)
    last = [delayed(_finish)(by_seed, mean, decision, schema, test.absolute(), predictions.absolute(), save)]
    if inspect:
        last += [
            delayed(_inspect)(inspect, train.absolute(), fold, model)
            for fold, (model, _) in zip(folds, in_folds, strict=True)
        ]
    _, *inspected = pool(last)
    return pd.DataFrame(dict(enumerate(inspected, start=1)))


def _print_grouped_categories(features: Frame, encodings: Iterable[Encoding]) -> None:
    """Print a line for each column with many categories, or with more than have inputs of their own."""
    encoding = min(encodings, key=lambda each: each.max_categories)
    for name, column in features.items():
        found = 0 if pd.api.types.is_numeric_dtype(column) else column.nunique()
        if found <= min(encoding.max_categories, MANY_CATEGORIES):
            continue
        categories = CategoricalColumn.fit(column, encoding).categories
        frequent = f"of {found:,} categories the {len(categories) - 1} most frequent"
        if INFREQUENT in categories and found > MANY_CATEGORIES:
            shared = "the others share one, by their purchase rates (target encoding)"
            print(f"column '{name}': {frequent} have inputs of their own; {shared}", flush=True)
        elif found > encoding.max_categories:
            print(f"column '{name}': {frequent} have inputs of their own (encoding.max_categories)", flush=True)


def _print_choice(losses: np.ndarray, best: int, judges: Sequence[int]) -> None:
    for number, by_fold in enumerate(losses, start=1):
        trained = by_fold[~np.isnan(by_fold)]
        print(f"candidate {number}: log loss {trained.mean():.4f} in {len(trained)} folds")
    others = sorted({judge + 1 for judge in judges} - {best + 1})
    elsewhere = f"; number {', '.join(map(str, others))} where a fold has no say" if others else ""
    print(f"candidate {best + 1} is chosen{elsewhere}", flush=True)


# These run in workers: see the trainer.


def _inspect(inspect: Inspect, train: Path, fold: Fold, model: bytes) -> pd.Series:
    _, val_idx = fold
    return inspect(pickle.loads(model), read_sessions(train).take(val_idx))


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
