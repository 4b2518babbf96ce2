"""Out-of-fold predictions come from models and encoders that were fitted on the other folds only."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from helpers import as_sessions, sessions_frame, standard_encoding

from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.sessions import Sessions
from stages.lib.dataset.splits import cv_folds
from stages.lib.modeling.cross_validation import OutOfFold, Predictor, fit_fold
from stages.lib.modeling.encoder import Encoder, fit_encoder


@dataclass
class PagesModel:
    """Predicts the number of pages over a hundred, and remembers what it was fitted on."""

    train: pa.Table
    encoder: Encoder

    def predict(self, features: Frame) -> np.ndarray:
        return features["pages"].to_numpy(np.float32) / 100


def test_each_fold_is_predicted_by_a_model_of_the_other_folds() -> None:
    models: list[PagesModel] = []

    def fit(sessions: Sessions, encoder: Encoder, *, extra_seed: int = 0, verbose: bool = False) -> PagesModel:
        models.append(PagesModel(sessions.to_arrow(), encoder))
        return models[-1]

    def inspect(model: Predictor, val: Sessions) -> pd.Series:
        return pd.Series({"rows": len(val)})

    sessions = as_sessions(sessions_frame(200), buys="target")
    folds = cv_folds(sessions, "stratified", 4, seed=1)
    oof = OutOfFold.of([fit_fold(fit, sessions, fold, standard_encoding(), inspect=inspect)[1] for fold in folds])
    for model, (train_idx, _) in zip(models, folds, strict=True):
        assert model.train.equals(sessions.take(train_idx).to_arrow())
        assert model.encoder == fit_encoder(sessions.take(train_idx).features, standard_encoding())
    val_idx = np.concatenate([val_idx for _, val_idx in folds])
    assert (oof.targets == sessions.column("target").to_numpy()[val_idx]).all()
    assert (oof.probabilities == sessions.features["pages"].to_numpy(np.float32)[val_idx] / 100).all()
    assert oof.inspections.T["rows"].tolist() == [50] * 4
