"""Logistic regression is scikit-learn's, fitted on the right rows and columns."""

import numpy as np
from helpers import as_sessions, sessions_frame, standard_encoding, with_flipped_copies
from sklearn.linear_model import LogisticRegression

from stages.lib.baselines import fit_logistic
from stages.lib.common.params import Logistic
from stages.lib.modeling.encoder import fit_encoder


def test_logistic_regression_gets_the_inputs_of_a_network() -> None:
    sessions = as_sessions(sessions_frame(400), buys="target")
    encoder = fit_encoder(sessions.features, standard_encoding())
    baseline = fit_logistic(sessions, encoder, settings=Logistic(C=0.5))
    inputs, targets = encoder.inputs(sessions.features)[:], sessions.column("target")
    expected = LogisticRegression(C=0.5, max_iter=1000, tol=1e-8).fit(inputs, targets)
    np.testing.assert_allclose(baseline.predict(sessions.features), expected.predict_proba(inputs)[:, 1], atol=1e-3)


def test_rows_without_weight_change_nothing_and_equal_weights_are_none() -> None:
    frame = sessions_frame(400)
    sessions = as_sessions(frame, buys="target")
    encoder = fit_encoder(sessions.features, standard_encoding())
    expected = fit_logistic(sessions, encoder, settings=Logistic(C=1.0)).predict(sessions.features)
    # Half of the rows have all of the weight, as much as twice their number.
    weighted = fit_logistic(with_flipped_copies(frame, 0.0), encoder, settings=Logistic(C=0.5))
    np.testing.assert_allclose(weighted.predict(sessions.features), expected, atol=1e-3)
    equal = as_sessions(frame.assign(weight=0.25), buys="target", weight="weight")
    probabilities = fit_logistic(equal, encoder, settings=Logistic(C=1.0)).predict(sessions.features)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    balanced = fit_logistic(with_flipped_copies(frame, 1.0), encoder, settings=Logistic(C=1.0))
    np.testing.assert_allclose(balanced.predict(sessions.features), 0.5, atol=1e-3)
