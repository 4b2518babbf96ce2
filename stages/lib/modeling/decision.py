"""From a model's probabilities to decisions, as validation folds say; and how both are written."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.lib.common.files import write_json
from stages.lib.dataset.sessions import Sessions, write_sessions
from stages.lib.modeling.calibration import Calibration, Kind, best_threshold, decide


@dataclass(frozen=True)
class Decision:
    """Recalibrated probabilities, and the one from which on a purchase is predicted."""

    calibration: Calibration
    threshold: float

    @classmethod
    def fit(cls, kind: Kind, targets: np.ndarray, probabilities: np.ndarray) -> "Decision":
        """From rows that the model was not trained on; `kind` of calibration: none, sigmoid or isotonic.

        Without any rows the threshold is 0.5.
        """
        if not len(targets):
            return cls(Calibration(), 0.5)
        calibration = Calibration.fit(kind, targets, probabilities)
        return cls(calibration, best_threshold(targets, calibration.apply(probabilities)))

    def save(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Decision":
        state = json.loads(path.read_text(encoding="utf-8"))
        return cls(Calibration(**state["calibration"]), state["threshold"])

    def write(self, path: Path, test: Sessions, probabilities: np.ndarray, *repeats: np.ndarray) -> None:
        """The keys of the test rows, in their order, each with its probability and the decision.

        `probabilities` and, by the same model from other seeds, `repeats` are as the model gives them: (rows,).
        """
        final = self.calibration.apply(probabilities)
        columns = {
            ("probability", "probability"): final,
            ("decision", "decision"): decide(final, self.threshold),
        }
        columns |= {
            (f"probability_{number}", "repeat"): self.calibration.apply(repeated)
            for number, repeated in enumerate(repeats, start=1)
        }
        keys = test.select("key").to_arrow()
        fields, arrays = [*keys.schema], [*keys.columns]
        for (name, role), values in columns.items():
            metadata = {"role": role} | ({"threshold": repr(self.threshold)} if role == "decision" else {})
            arrays.append(pa.array(values))
            fields.append(pa.field(name, arrays[-1].type, metadata=metadata))
        predicted = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=keys.schema.metadata))
        write_sessions(path, Sessions(predicted))
