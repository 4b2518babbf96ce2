"""The training stage of a network, whose model is saved and whose columns' importance is measured."""

from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from stages.lib.common.files import write_csv
from stages.lib.common.params import ModelConfig, Params
from stages.lib.dataset.sessions import Sessions
from stages.lib.modeling.cross_validation import Predictor
from stages.lib.modeling.model import Model, Resample, train_model
from stages.lib.modeling.permutation_importance import importance_table, permutation_importance, sample_rows
from stages.lib.modeling.training_stage import train_and_predict


def train_network(
    config: ModelConfig,
    params: Params,
    train: Path,
    test: Path,
    model: Path,
    predictions: Path,
    importance: Path | None = None,
    resample: Resample | None = None,
) -> None:
    """Train a network, save it and write its predictions for the test set.

    Args:
        config: encoding, network and training.
        params: see `train_and_predict`.
        train: the training set.
        test: the test set, without its targets.
        model: the folder to save the model in.
        predictions: where to write keys, probabilities and decisions.
        importance: where to write the permutation importance of each column, by cross-validation.
        resample: replaces the rows to train on, in each fold too.

    Raises:
        InputError: a file cannot be read, Keras lacks something that the configuration names, or training diverges.
    """
    fit = partial(train_model, config=config, strategy=params.split.strategy, seed=params.seed, resample=resample)
    inspect = partial(_importance, seed=params.seed) if importance else None
    trained = train_and_predict(fit, config.encoding, params, train, test, predictions, inspect)
    cast(Model, trained.model).save(model, trained.decision, trained.schema)
    if importance:
        write_csv(importance, importance_table(trained.oof.inspections))


def _importance(model: Predictor, sessions: Sessions, seed: int) -> pd.Series:
    network, rng = cast(Model, model), np.random.default_rng(seed)
    sample = sessions.take(sample_rows(len(sessions), rng))
    inputs, targets = network.encoder.inputs(sample.features)[:], sample.column("target").to_numpy()
    return permutation_importance(network.predict_inputs, inputs, targets, network.encoder.input_columns, rng)
