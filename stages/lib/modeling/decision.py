"""The decision whether to predict a purchase: a calibration and a threshold, both chosen on validation rows."""

from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from stages.lib.common.errors import file_errors
from stages.lib.common.files import write_json
from stages.lib.common.model_params import Section
from stages.lib.dataset.sessions import Sessions, write_sessions
from stages.lib.modeling.calibration import Calibration, Method

DEFAULT_THRESHOLD = 0.5  # without validation rows


class Decision(Section):
    """How a model's probabilities are calibrated, and the threshold at which a purchase is predicted."""

    calibration: Calibration
    threshold: float

    @classmethod
    def fit(cls, method: Method, targets: np.ndarray, probabilities: np.ndarray) -> Self:
        """Calibrate, and choose a threshold for the calibrated probabilities.

        Args:
            method: of calibration.
            targets: (rows,), 0 or 1, of rows that the model was not trained on; with no rows there is no calibration,
                and the threshold is DEFAULT_THRESHOLD.
            probabilities: (rows,), as the model predicts them.
        """
        if not len(targets):
            return cls(calibration=Calibration(), threshold=DEFAULT_THRESHOLD)
        calibration = Calibration.fit(method, targets, probabilities)
        return cls(calibration=calibration, threshold=choose_threshold(targets, calibration.apply(probabilities)))

    def save(self, path: Path) -> None:
        write_json(path, self.model_dump())

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


def decide(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Whether a purchase is predicted, bool of shape (rows,)."""
    # Compared with float32, the threshold would be rounded to float32, perhaps onto a probability next to it.
    return probabilities.astype(np.float64) >= threshold
