"""Calibration: a function, fitted on validation rows, that turns a model's probabilities into well calibrated ones."""

from typing import Literal, Self

import numpy as np
from scipy.special import expit, logit

from stages.lib.common.model_params import Section

Method = Literal["none", "sigmoid", "isotonic"]

# Probabilities are clipped to these before their log-odds are taken. They are halfway between 0, or 1, and the nearest
# number of float32, so that log-odds are finite, and different for different probabilities.
MIN_PROBABILITY, MAX_PROBABILITY = 2.0**-150, 1 - 2.0**-25
# Log-odds are clipped to ± this before the line is fitted: otherwise a single purchase with probability 0, whose
# log-odds are -104, would flatten it.
MAX_LOG_ODDS = 17.0
# The slope is positive even if the model ranks validation rows the wrong way around: calibration keeps the ranking.
MIN_SLOPE = 0.01


class Calibration(Section):
    """A non-decreasing function from probabilities to probabilities.

    Attributes:
        method: "none" is the identity. "sigmoid" is a line on the log-odds: Platt (1999), Probabilistic outputs for
            support vector machines. "isotonic" is piecewise linear, and constant beyond the outer knots: Zadrozny &
            Elkan (2002), Transforming classifier scores into accurate multiclass probability estimates.
        slope: of the line.
        intercept: of the line.
        knots: of the isotonic function, ascending.
        values: the function's value at each knot.
    """

    method: Method = "none"
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    @classmethod
    def fit(cls, method: Method, targets: np.ndarray, probabilities: np.ndarray) -> Self:
        """Fit to rows that the model was not trained on.

        Args:
            method: see Calibration.
            targets: (rows,), 0 or 1.
            probabilities: (rows,), as the model predicts them.

        Raises:
            ValueError: there is no such method.
        """
        if method == "none":
            return cls()
        if method == "sigmoid":
            slope, intercept = _fit_line(targets, log_odds(probabilities))
            return cls(method=method, slope=slope, intercept=intercept)
        if method == "isotonic":
            knots, values = _fit_isotonic(targets, probabilities)
            return cls(method=method, knots=knots, values=values)
        raise ValueError(f"unknown calibration method: {method}")

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float32 of shape (rows,); with method "none", `probabilities` itself."""
        if self.method == "none":
            return probabilities
        if self.method == "sigmoid":
            return expit(self.slope * log_odds(probabilities) + self.intercept).astype(np.float32)
        return np.interp(probabilities.astype(np.float64), self.knots, self.values).astype(np.float32)


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    return logit(np.clip(probabilities.astype(np.float64), MIN_PROBABILITY, MAX_PROBABILITY))


def _fit_line(targets: np.ndarray, log_odds: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of Platt's logistic regression.

    Its targets are a little above 0 and below 1, which keeps the line finite even if it separates the classes.
    """
    from scipy.optimize import minimize  # imported here, since most models are not calibrated

    purchases = targets.sum()
    smoothed = np.where(targets == 1, (purchases + 1) / (purchases + 2), 1 / (len(targets) - purchases + 2))
    log_odds = np.clip(log_odds, -MAX_LOG_ODDS, MAX_LOG_ODDS)
    # Standardizing makes the search fast. If all log-odds are equal, every slope fits, and the result is the start, 1.
    mean = log_odds.mean()
    std = log_odds.std() if log_odds.min() < log_odds.max() else 1.0
    standardized = (log_odds - mean) / std

    def loss_and_gradient(line: np.ndarray) -> tuple[float, np.ndarray]:
        logits = line[0] * standardized + line[1]
        residuals = expit(logits) - smoothed
        loss = np.mean(np.logaddexp(0, logits) - smoothed * logits)
        return loss, np.array([np.mean(residuals * standardized), residuals.mean()])

    result = minimize(
        loss_and_gradient,
        [std, mean],  # the identity
        jac=True,
        method="L-BFGS-B",
        bounds=[(MIN_SLOPE * std, None), (None, None)],
        options={"ftol": 0, "gtol": 1e-10, "maxiter": 1000},
    )
    slope = result.x[0] / std
    return float(slope), float(result.x[1] - slope * mean)


def _fit_isotonic(targets: np.ndarray, probabilities: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots of the isotonic regression and its values there."""
    from sklearn.isotonic import IsotonicRegression  # imported here, since most models are not calibrated

    # By Laplace's rule of succession nothing gets the probability 0 or 1, which a single row could refute.
    lowest = 1 / (len(targets) + 2)
    regression = IsotonicRegression(y_min=lowest, y_max=1 - lowest)
    regression.fit(probabilities.astype(np.float64), targets)
    # `apply` rounds to float32: values that are not of float32 could put a row just below a knot above one on it.
    values = regression.y_thresholds_.astype(np.float32)
    return tuple(regression.X_thresholds_.tolist()), tuple(values.tolist())
