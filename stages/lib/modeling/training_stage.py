"""What all training stages have in common: cross-validate, choose a threshold, train on all rows, predict."""

from dataclasses import dataclass
from pathlib import Path

from stages.lib.common.params import Encoding, Params
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import read_sessions
from stages.lib.modeling.cross_validation import Fit, Inspect, OutOfFold, Predictor, cross_validate
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import fit_encoder


@dataclass(frozen=True)
class Trained:
    """A model trained on the whole training set, its decision, the schema of its rows, and out-of-fold predictions."""

    model: Predictor
    decision: Decision
    schema: Schema
    oof: OutOfFold


def train_and_predict(
    fit: Fit,
    encoding: Encoding,
    params: Params,
    train: Path,
    test: Path,
    predictions: Path,
    inspect: Inspect | None = None,
) -> Trained:
    """Train a model as params say, and write its predictions for the test set.

    Args:
        fit: how to fit the model.
        encoding: settings of its encoder, which is fitted on the training set, and anew in each fold.
        params: of which validation, split.strategy and seed are used.
        train: the training set.
        test: the test set, without its targets.
        predictions: where to write keys, probabilities and decisions.
        inspect: called with each fold's model and its validation rows.

    Raises:
        InputError: a file cannot be read, or `fit` fails.
    """
    sessions, test_sessions = read_sessions(train), read_sessions(test)
    validation = params.validation
    oof = cross_validate(fit, sessions, encoding, params.split.strategy, validation.folds, params.seed, inspect=inspect)
    decision = Decision.fit(validation.calibration, oof.targets, oof.probabilities)
    print(f"training on {len(sessions)} rows", flush=True)
    encoder = fit_encoder(sessions.features, encoding)
    models = [
        fit(sessions, encoder, extra_seed=number, verbose=number == 0) for number in range(validation.extra_seeds + 1)
    ]
    decision.write(predictions, test_sessions, *[model.predict(test_sessions.features) for model in models])
    return Trained(models[0], decision, Schema.from_arrow(sessions.table.schema), oof)
