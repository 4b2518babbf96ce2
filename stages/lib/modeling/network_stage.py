"""The training stage of a network, whose model is saved and whose columns' importance is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stages.lib.common.files import write_csv
from stages.lib.common.model_params import DistilledConfig, ModelConfig
from stages.lib.common.params import Params
from stages.lib.common.processes import Pool, in_this_process
from stages.lib.dataset.sessions import Sessions
from stages.lib.modeling.cross_validation import Predictor
from stages.lib.modeling.encoder import Encoder
from stages.lib.modeling.permutation_importance import importance_table, permutation_importance, sample_rows
from stages.lib.modeling.trainer import Candidate
from stages.lib.modeling.training_stage import train_and_predict

if TYPE_CHECKING:
    import pandas as pd

    from stages.lib.dataset.schema import Schema
    from stages.lib.modeling.decision import Decision
    from stages.lib.modeling.model import Model, Resample

Point = dict[str, Any]


def train_network(
    config: ModelConfig,
    params: Params,
    train: Path,
    test: Path,
    model: Path,
    predictions: Path,
    out_of_fold: Path,
    importance: Path | None = None,
    resample: Resample | None = None,
    pool: Pool = in_this_process,
    points: Sequence[Point] = ({},),
    teacher: Candidate | None = None,
) -> None:
    """Train a network, save it and write its predictions.

    Args:
        config: encoding, network and training.
        params: see `train_and_predict`.
        train: the training set.
        test: the test set, without its targets.
        model: the folder to save the model in.
        predictions: where to write keys, probabilities and decisions.
        out_of_fold: where to write the out-of-fold predictions.
        importance: where to write the permutation importance of each column, by cross-validation.
        resample: replaces the rows to train on, in each fold too.
        pool: makes the calls that train.
        points: changes of `config`, of which cross-validation chooses one.
        teacher: what a `DistilledConfig` learns from.

    Raises:
        InputError: a file cannot be read, Keras lacks something that the configuration names, or training diverges.
    """
    fit = partial(_fit, strategy=params.split.strategy, seed=params.seed, resample=resample)
    candidates = [
        Candidate(
            partial(fit, config=changed, point=point, distillation=distillation),
            changed.encoding,
            changed.training.epochs,
            distillation,
        )
        for point in points
        for changed in [config.with_point(point)]
        for distillation in [changed.distillation if isinstance(changed, DistilledConfig) else 0.0]
    ]
    inspections = train_and_predict(
        candidates,
        params,
        train,
        test,
        predictions,
        out_of_fold,
        ensemble_size=config.network.ensemble_size,
        mean=_mean,
        inspect=partial(_importance, seed=params.seed) if importance else None,
        save=partial(_save, folder=model.absolute()),
        teacher=teacher,
        pool=pool,
    )
    if importance:
        write_csv(importance, importance_table(inspections))


# TensorFlow is imported where a worker needs it: it is loaded there already.


def _fit(
    sessions: Sessions,
    encoder: Encoder,
    *,
    config: ModelConfig,
    point: Point,
    distillation: float,
    strategy: str,
    seed: int,
    resample: Resample | None,
    extra_seed: int = 0,
    verbose: bool = False,
) -> Model:
    from stages.lib.modeling.model import train_model

    model = train_model(
        sessions, encoder, config, strategy, seed, resample=resample, extra_seed=extra_seed, verbose=verbose
    )
    return replace(model, point=point, distillation=distillation)


def _mean(models: list[Model]) -> Model:
    from stages.lib.modeling.model import mean_of_models

    return mean_of_models(models)


def _save(model: Model, decision: Decision, schema: Schema, folder: Path) -> None:
    model.save(folder, decision, schema)


def _importance(model: Predictor, sessions: Sessions, seed: int) -> pd.Series:
    network, rng = cast("Model", model), np.random.default_rng(seed)
    sample = sessions.take(sample_rows(len(sessions), rng))
    inputs, targets = network.encoder.inputs(sample.features)[:], sample.column("target").to_numpy()
    return permutation_importance(network.predict_inputs, inputs, targets, network.encoder.input_columns, rng)
