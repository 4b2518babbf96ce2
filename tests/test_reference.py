"""The references are scikit-learn's, on the rows and columns that they should see."""

import numpy as np
import pytest
from helpers import as_sessions, sessions_frame, standard
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from stages.lib.baselines import factories
from stages.lib.common.params import Logistic, TrainReference, Trees
from stages.lib.modeling.encoder import fit_encoder

SETTINGS = TrainReference(logistic=Logistic(c=0.5), trees=Trees(learning_rate=0.2, max_iter=20, max_leaf_nodes=8))


@pytest.fixture(scope="module")
def fitted():
    sessions = as_sessions(sessions_frame(400), buys="target")
    return sessions, fit_encoder(sessions.features, standard())


def test_logistic_regression_takes_the_network_s_inputs(fitted) -> None:
    sessions, encoder = fitted
    found = factories(SETTINGS, seed=1)["logistic"](sessions, encoder).predict(sessions.features)
    inputs, targets = encoder.transform(sessions.features), sessions.column("target")
    theirs = LogisticRegression(C=0.5, max_iter=1000, tol=1e-8).fit(inputs, targets)
    np.testing.assert_allclose(found, theirs.predict_proba(inputs)[:, 1], atol=1e-3)


def test_trees_take_a_category_as_one_column(fitted) -> None:
    sessions, encoder = fitted
    trained = factories(SETTINGS, seed=1)["trees"](sessions, encoder)
    codes, targets = encoder.codes(sessions.features), sessions.column("target")
    assert trained.classifier.is_categorical_.tolist() == [
        False,
        False,
        True,
        True,
    ]  # pages, seconds, its mark, browser
    theirs = HistGradientBoostingClassifier(
        learning_rate=0.2, max_iter=20, max_leaf_nodes=8, random_state=1, categorical_features=[2, 3]
    ).fit(codes, targets)
    np.testing.assert_allclose(trained.predict(sessions.features), theirs.predict_proba(codes)[:, 1], rtol=1e-6)
    assert roc_auc_score(targets, trained.predict(sessions.features)) > 0.9


def test_a_category_of_too_many_levels_is_an_order_to_the_trees() -> None:
    frame = sessions_frame(600)
    frame["code"] = [f"code {number % 300}" for number in range(600)]
    sessions = as_sessions(frame, buys="target")
    encoder = fit_encoder(sessions.features, standard())
    trained = factories(SETTINGS, seed=1)["trees"](sessions, encoder)
    assert trained.classifier.is_categorical_.tolist()[-2:] == [True, False]


def test_repeats_are_other_seeds_and_the_same_seed_is_the_same_model(fitted) -> None:
    frame = sessions_frame(400)
    sessions = as_sessions(frame, buys="target")
    encoder = fit_encoder(sessions.features, standard())
    recipe = factories(SETTINGS, seed=1)["trees"]
    first, again = (recipe(sessions, encoder, repeat=0).predict(sessions.features) for _ in range(2))
    assert (first == again).all()
    assert recipe(sessions, encoder, repeat=1).classifier.random_state == 2
