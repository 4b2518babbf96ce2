"""What is decided on validation rows: how probabilities are put right, and from which on a purchase is predicted."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

Kind = Literal["none", "sigmoid", "isotonic"]

# Halfway from 0 and from 1 to the nearest of float32, so that log-odds are finite and none of float32 become equal.
LEAST, MOST = 2.0**-150, 1 - 2.0**-25
# Log-odds that the line is fitted to end here, or a single purchase at 0, of log-odds -104, would level it.
EXTREME = 17.0
# A model that orders the validation rows the wrong way round is not turned around: its order is kept.
LEAST_SLOPE = 0.01


@dataclass(frozen=True)
class Calibration:
    """A never falling function from probabilities to probabilities; `asdict` gives what the constructor takes, as JSON.

    none: as they are. sigmoid: `slope` and `intercept` of a line on the log-odds; Platt (1999), Probabilistic outputs
    for support vector machines. isotonic: straight lines between `values` at `knots`, beyond the last ones level;
    Zadrozny & Elkan (2002), Transforming classifier scores into accurate multiclass probability estimates.
    """

    kind: Kind = "none"
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        # From JSON they are lists.
        object.__setattr__(self, "knots", tuple(self.knots))
        object.__setattr__(self, "values", tuple(self.values))

    @classmethod
    def fit(cls, kind: Kind, targets: np.ndarray, probabilities: np.ndarray) -> "Calibration":
        """The one that suits these rows best, which the model was not trained on: both arrays of shape (rows,)."""
        if kind == "none":
            return cls()
        if kind == "sigmoid":
            return cls(kind, *_line(targets, _log_odds(probabilities)))
        if kind == "isotonic":
            knots, values = _steps(targets, probabilities)
            return cls(kind, knots=knots, values=values)
        raise ValueError(f"no such recalibration: {kind}")

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities, float32 of shape (rows,), in the order of those given: with `none` these, to the bit."""
        if self.kind == "none":
            return probabilities
        if self.kind == "sigmoid":
            return expit(self.slope * _log_odds(probabilities) + self.intercept).astype(np.float32)
        return np.interp(probabilities.astype(np.float64), self.knots, self.values).astype(np.float32)


def best_threshold(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """The threshold with the highest F1 on these rows, the least if there are several; for `decide`.

    It lies midway between two neighbouring probabilities, or between 0 and the lowest.
    """
    values, place, rows = np.unique(probabilities.astype(np.float64), return_inverse=True, return_counts=True)
    # Of the rows from each value on: how many, and how many purchases.
    decided = rows[::-1].cumsum()[::-1]
    right = np.bincount(place, weights=targets)[::-1].cumsum()[::-1]
    best = int(np.argmax(2 * right / (decided + right[0])))
    below = values[best - 1] if best else 0.0
    middle = (below + values[best]) / 2
    # Between two neighbours of float64 there is nothing.
    return float(middle if middle > below else values[best])


def decide(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Whether a purchase is predicted, bool of shape (rows,)."""
    # Beside float32 numpy would round the threshold to it, onto one of the two that it lies between.
    return probabilities.astype(np.float64) >= threshold


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    return logit(np.clip(probabilities.astype(np.float64), LEAST, MOST))


def _line(targets: np.ndarray, log_odds: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of Platt's logistic regression.

    His targets, a little within 0 and 1, keep it finite where the classes are apart.
    """
    purchases = targets.sum()
    wanted = np.where(targets == 1, (purchases + 1) / (purchases + 2), 1 / (len(targets) - purchases + 2))
    log_odds = np.clip(log_odds, -EXTREME, EXTREME)
    # On a standard scale the search is quick. Where all are alike any slope does, so that of 1 stays.
    centre = log_odds.mean()
    spread = log_odds.std() if log_odds.min() < log_odds.max() else 1.0
    standard = (log_odds - centre) / spread

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        scores = line[0] * standard + line[1]
        slopes = expit(scores) - wanted
        return np.mean(np.logaddexp(0, scores) - wanted * scores), np.array([np.mean(slopes * standard), slopes.mean()])

    # From the line that changes nothing.
    bounds, limits = [(LEAST_SLOPE * spread, None), (None, None)], {"ftol": 0, "gtol": 1e-10, "maxiter": 1000}
    found = minimize(loss, [spread, centre], jac=True, method="L-BFGS-B", bounds=bounds, options=limits)
    slope = found.x[0] / spread
    return float(slope), float(found.x[1] - slope * centre)


def _steps(targets: np.ndarray, probabilities: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots and values of the isotonic regression."""
    # Laplace's rule of succession: nothing is called impossible or certain, which a single row could refute.
    least = 1 / (len(targets) + 2)
    regression = IsotonicRegression(y_min=least, y_max=1 - least)
    regression.fit(probabilities.astype(np.float64), targets)
    # Values that float32 holds, or rounding could put a row just below a knot above one on it.
    values = regression.y_thresholds_.astype(np.float32)
    return tuple(regression.X_thresholds_.tolist()), tuple(values.tolist())
