"""Logistic regression is scikit-learn's, fitted on the right rows and columns."""

import numpy as np
from helpers import as_sessions, sessions_frame, standard_encoding
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
