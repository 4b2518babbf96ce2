"""The baselines are scikit-learn's models, fitted on the right rows and columns."""

import numpy as np
import pytest
from helpers import as_sessions, sessions_frame, standard_encoding
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from stages.lib.baselines import fit_logistic, fit_trees
from stages.lib.common.params import Logistic, Trees
from stages.lib.dataset.sessions import Sessions
from stages.lib.modeling.encoder import Encoder, fit_encoder

LOGISTIC = Logistic(C=0.5)
TREES = Trees(learning_rate=0.2, max_iter=20, max_leaf_nodes=8)


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return as_sessions(sessions_frame(400), buys="target")


@pytest.fixture(scope="module")
def encoder(sessions: Sessions) -> Encoder:
    return fit_encoder(sessions.features, standard_encoding())


def test_logistic_regression_gets_the_inputs_of_a_network(sessions: Sessions, encoder: Encoder) -> None:
    baseline = fit_logistic(sessions, encoder, settings=LOGISTIC)
    inputs, targets = encoder.inputs(sessions.features)[:], sessions.column("target")
    expected = LogisticRegression(C=0.5, max_iter=1000, tol=1e-8).fit(inputs, targets)
    np.testing.assert_allclose(baseline.predict(sessions.features), expected.predict_proba(inputs)[:, 1], atol=1e-3)


def test_trees_get_a_categorical_column_as_one_column(sessions: Sessions, encoder: Encoder) -> None:
    baseline = fit_trees(sessions, encoder, settings=TREES, seed=1)
    ordinals, targets = encoder.ordinals(sessions.to_arrow().to_pandas()), sessions.column("target")
    # pages, seconds, seconds=(missing), browser
    assert baseline.classifier.is_categorical_.tolist() == [False, False, True, True]
    expected = HistGradientBoostingClassifier(
        learning_rate=0.2, max_iter=20, max_leaf_nodes=8, random_state=1, categorical_features=[2, 3]
    ).fit(ordinals, targets)
    probabilities = baseline.predict(sessions.features)
    np.testing.assert_allclose(probabilities, expected.predict_proba(ordinals)[:, 1], rtol=1e-6)
    assert roc_auc_score(targets, probabilities) > 0.9


def test_trees_get_a_column_with_too_many_categories_as_numeric() -> None:
    frame = sessions_frame(600)
    frame["code"] = [f"code {number % 300}" for number in range(600)]
    sessions = as_sessions(frame, buys="target")
    baseline = fit_trees(sessions, fit_encoder(sessions.features, standard_encoding()), settings=TREES, seed=1)
    assert baseline.classifier.is_categorical_.tolist()[-2:] == [True, False]


def test_trees_may_have_no_categorical_columns() -> None:
    sessions = as_sessions(sessions_frame(400)[["pages", "buys"]], buys="target")
    baseline = fit_trees(sessions, fit_encoder(sessions.features, standard_encoding()), settings=TREES, seed=1)
    assert baseline.predict(sessions.features).shape == (400,)


def test_an_extra_seed_is_another_seed_and_the_same_seed_gives_the_same_model(
    sessions: Sessions, encoder: Encoder
) -> None:
    first, again, other = (fit_trees(sessions, encoder, settings=TREES, seed=1, extra_seed=n) for n in (0, 0, 1))
    assert (first.predict(sessions.features) == again.predict(sessions.features)).all()
    assert other.classifier.random_state == 2
