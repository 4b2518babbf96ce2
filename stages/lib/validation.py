"""Cross-validation on training rows: what models trained on the other folds say of the rows held out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from stages.lib import encoding
from stages.lib.encoding import Encoder
from stages.lib.params import Encoding
from stages.lib.splitting import folds
from stages.lib.stored import Frame
from stages.lib.table import Sessions


class Predictor(Protocol):
    def predict(self, features: Frame) -> np.ndarray: ...


# From rows to train on and the encoder fitted on them to something that predicts.
Fit = Callable[[Sessions, Encoder], Predictor]
Look = Callable[[Predictor, Sessions], pd.Series]


@dataclass(frozen=True)
class HeldOut:
    """Targets and probabilities of all rows held out, fold after fold; what was `looked` for, a column a fold."""

    targets: np.ndarray
    probabilities: np.ndarray
    looked: pd.DataFrame


def cross_validate(
    fit: Fit, sessions: Sessions, encoded: Encoding, by: str, count: int, seed: int, look: Look | None = None
) -> HeldOut:
    """Train on all folds but one, `count` times, and predict that one; with a `count` of 0 nothing is held out.

    Folds are made as `by` says. Everything is fitted anew for each, the encoder too. `look` is called with each
    fold's predictor and the rows it was not trained on.
    """
    targets, probabilities, looked = [np.empty(0, int)], [np.empty(0, np.float32)], {}
    parts = folds(sessions, by, count, seed) if count else []
    for number, (stay, held) in enumerate(parts, start=1):
        rest, part = sessions.take(stay), sessions.take(held)
        predictor = fit(rest, encoding.fit(rest.features, encoded))
        targets.append(part.column("target").to_numpy())
        probabilities.append(predictor.predict(part.features))
        print(f"fold {number}/{count}  AUC {roc_auc_score(targets[-1], probabilities[-1]):.4f}", flush=True)
        if look:
            looked[number] = look(predictor, part)
    return HeldOut(np.concatenate(targets), np.concatenate(probabilities), pd.DataFrame(looked))
