"""The decision whether to predict a purchase: a calibration and a threshold, both chosen on validation rows."""

from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from scipy.special import expit, logit

from stages.lib.common.errors import file_errors
from stages.lib.common.files import write_json
from stages.lib.common.model_params import Section
from stages.lib.common.params import Costs
from stages.lib.dataset.sessions import Sessions, write_sessions
from stages.lib.modeling.calibration import Calibration, Method

DEFAULT_THRESHOLD = 0.5  # without validation rows
ALL, NOBODY = 0.0, 2.0  # thresholds that every probability reaches, and none


class Decision(Section):
    """How a model's probabilities are calibrated, and the threshold at which a purchase is predicted.

    Attributes:
        costs: those that the threshold was chosen for, if any.
    """

    calibration: Calibration
    threshold: float
    costs: Costs | None = None

    @classmethod
    def fit(cls, method: Method, targets: np.ndarray, probabilities: np.ndarray, costs: Costs | None = None) -> Self:
        """Calibrate, and choose a threshold for the calibrated probabilities.

        Args:
            method: of calibration.
            targets: (rows,), 0 or 1, of rows that the model was not trained on; with no rows there is no calibration,
                and the threshold is DEFAULT_THRESHOLD or, with costs, their `break_even`.
            probabilities: (rows,), as the model predicts them.
            costs: by which the threshold is chosen in place of F1.
        """
        if not len(targets):
            threshold = break_even(costs) if costs else DEFAULT_THRESHOLD
            return cls(calibration=Calibration(), threshold=threshold, costs=costs)
        calibration = Calibration.fit(method, targets, probabilities)
        calibrated = calibration.apply(probabilities)
        threshold = (
            choose_threshold_by_costs(targets, calibrated, costs) if costs else choose_threshold(targets, calibrated)
        )
        return cls(calibration=calibration, threshold=threshold, costs=costs)

    def save(self, path: Path) -> None:
        write_json(path, self.model_dump(exclude_none=True))

    @classmethod
    def load(cls, path: Path) -> Self:
        with file_errors(path, "the decision of a trained model", "expected the folder of a trained model"):
            return cls.model_validate_json(path.read_bytes())

    def write(self, path: Path, test: Sessions, probabilities: np.ndarray, *extra_seeds: np.ndarray) -> None:
        """Write the keys of the test set, in order, each with its calibrated probability and its decision.

        Args:
            path: of the parquet file.
            test: the test set.
            probabilities: (rows,), as the model predicts them.
            extra_seeds: the same from the model trained with each extra seed.
        """
        calibrated = self.calibration.apply(probabilities)
        columns = {
            ("probability", "probability"): calibrated,
            ("decision", "decision"): decide(calibrated, self.threshold),
        }
        for number, extra in enumerate(extra_seeds, start=1):
            columns[f"probability_{number}", "extra_seed"] = self.calibration.apply(extra)
        keys = test.select("key", "view").to_arrow()
        fields, arrays = [*keys.schema], [*keys.columns]
        for (name, role), values in columns.items():
            metadata = {"role": role} | ({"threshold": repr(self.threshold)} if role == "decision" else {})
            arrays.append(pa.array(values))
            fields.append(pa.field(name, arrays[-1].type, metadata=metadata))
        table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=keys.schema.metadata))
        write_sessions(path, Sessions(table))


def choose_threshold(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """The threshold with the highest F1 on these rows, or the lowest of several; both arrays of shape (rows,).

    It is the midpoint between two neighboring probabilities, or between 0 and the lowest one.
    """
    candidates, position, rows = np.unique(probabilities.astype(np.float64), return_inverse=True, return_counts=True)
    # For each candidate, how many rows are at or above it, and how many of them are purchases.
    predicted = rows[::-1].cumsum()[::-1]
    true_positives = np.bincount(position, weights=targets)[::-1].cumsum()[::-1]
    best = int(np.argmax(2 * true_positives / (predicted + true_positives[0])))
    below = candidates[best - 1] if best else 0.0
    midpoint = (below + candidates[best]) / 2
    # Between two neighboring numbers of float64 there is none.
    return float(midpoint if midpoint > below else candidates[best])


def break_even(costs: Costs) -> float:
    """The probability from which on a contact pays: Elkan (2001), The foundations of cost-sensitive learning, IJCAI."""
    return costs.contact / costs.missed_purchase


def choose_threshold_by_costs(targets: np.ndarray, probabilities: np.ndarray, costs: Costs) -> float:
    """The threshold at which a purchase is as likely as `break_even` says; both arrays of shape (rows,).

    A line on the log-odds, fitted to these rows as for sigmoid calibration, says how likely. That earns more than the
    threshold of the highest profit on these rows, which is noisier: see docs/methodology.md. The result is ALL, or
    NOBODY, if contacting all or none of these rows has a higher profit; of equal profits, the fewest contacts win.
    """
    line = Calibration.fit("sigmoid", targets, probabilities)
    on_line = expit((logit(break_even(costs)) - line.intercept) / line.slope)
    by_contacts = (NOBODY, float(on_line), ALL)
    value = costs.missed_purchase * targets - costs.contact  # of contacting each row
    return by_contacts[int(np.argmax([value[decide(probabilities, one)].sum() for one in by_contacts]))]


def decide(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Whether a purchase is predicted, bool of shape (rows,)."""
    # Compared with float32, the threshold would be rounded to float32, perhaps onto a probability next to it.
    return probabilities.astype(np.float64) >= threshold
