"""Out-of-fold predictions come from models and encoders that were fitted on the other folds only."""

from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from helpers import as_sessions, sessions_frame, standard_encoding

from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.sessions import Sessions, read_sessions
from stages.lib.dataset.splits import cv_folds
from stages.lib.modeling.cross_validation import OutOfFold, fit_fold
from stages.lib.modeling.encoder import Encoder, fit_encoder
from stages.lib.modeling.target_encoding import inner_folds


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

    sessions = as_sessions(sessions_frame(200), buys="target")
    folds = cv_folds(sessions, "stratified", 4, seed=1)
    oof = OutOfFold.of(
        folds, [fit_fold(fit, sessions, fold, standard_encoding(), inner_folds("stratified", 1))[1] for fold in folds]
    )
    for model, (train_idx, _) in zip(models, folds, strict=True):
        assert model.train.equals(sessions.take(train_idx).to_arrow())
        assert model.encoder == fit_encoder(sessions.take(train_idx).features, standard_encoding())
    assert (oof.positions == np.arange(200)).all()
    assert (oof.targets == sessions.column("target").to_numpy()).all()
    assert (oof.probabilities == sessions.features["pages"].to_numpy(np.float32) / 100).all()
    for number, (_, val_idx) in enumerate(folds):
        assert (oof.folds[val_idx] == number).all() and (oof.folds == number).sum() == len(val_idx)


def test_out_of_fold_predictions_are_written_with_the_keys_of_their_rows(tmp_path: Path) -> None:
    sessions = as_sessions(sessions_frame(20).assign(id=range(100, 120)), buys="target", id="key")
    positions, folds = np.arange(5, 20), np.arange(15) // 5  # as temporal folds leave out the oldest rows
    targets = sessions.column("target").to_numpy()[positions]
    oof = OutOfFold(positions, folds, targets, np.linspace(0, 1, 15, dtype=np.float32))
    oof.write(tmp_path / "oof.parquet", sessions)
    written = read_sessions(tmp_path / "oof.parquet")
    assert written.keys.column_names == ["id"] and written.keys["id"].to_pylist() == [*range(105, 120)]
    for actual, expected in zip(astuple(OutOfFold.of_sessions(written))[1:], astuple(oof)[1:], strict=True):
        np.testing.assert_array_equal(actual, expected)
        assert actual.dtype == expected.dtype


def test_out_of_fold_predictions_of_rows_without_keys_are_written(tmp_path: Path) -> None:
    sessions = as_sessions(sessions_frame(20), buys="target")
    targets = sessions.column("target").to_numpy()
    oof = OutOfFold(np.arange(20), np.arange(20) % 2, targets, np.linspace(0, 1, 20, dtype=np.float32))
    oof.write(tmp_path / "oof.parquet", sessions)
    np.testing.assert_array_equal(
        OutOfFold.of_sessions(read_sessions(tmp_path / "oof.parquet")).probabilities, oof.probabilities
    )


def test_without_folds_no_out_of_fold_predictions_are_written(tmp_path: Path) -> None:
    sessions = as_sessions(sessions_frame(20).assign(id=range(20)), buys="target", id="key")
    OutOfFold.of([], []).write(tmp_path / "oof.parquet", sessions)
    written = read_sessions(tmp_path / "oof.parquet")
    assert len(written) == 0 and len(OutOfFold.of_sessions(written).probabilities) == 0
