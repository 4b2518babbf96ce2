"""Nothing that training fits depends on a test row or its target, and no synthetic row is validated on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from helpers import ROOT, RunStage, WriteParams, as_sessions, sessions_frame, standard_encoding
from scipy import stats

from stages.lib.common.params import Params
from stages.lib.dataset.matrix import Matrix
from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.sessions import Sessions, read_sessions, write_sessions
from stages.lib.dataset.splits import cv_folds, train_test_split
from stages.lib.modeling.cross_validation import fit_fold
from stages.lib.modeling.encoder import Encoder, fit_encoder
from stages.lib.modeling.fit import fit
from stages.lib.modeling.model import Model, train_model
from stages.lib.modeling.target_encoding import inner_folds
from stages.lib.oversampling import oversample

pytestmark = pytest.mark.slow

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# Every stage that fits something, in order. What they are run with and what they write is in dvc.yaml.
FITTING = ("split", "train_base", "grid_search", "smote_train", "train_strong", "train_reference", "blend")
# Outputs that hold test rows or describe them, and may change with them.
OF_TEST_ROWS = ("data/split/test.parquet", "data/split/test_targets.parquet", "data/predictions/", "metrics/data.json")
SMALL = {
    "train_base.network.layers": [6],
    "train_base.training.epochs": 2,
    "train_base.training.learning_rate": 0.01,
    "train_base.validation_split": 0.2,
    "grid_search.grid": {"learning_rate": [0.003, 0.03]},
    "grid_search.folds": 2,
    "validation.folds": 2,
    "validation.calibration": "isotonic",
    "train_strong.network.layers": [6],
    "train_strong.network.ensemble_size": 2,
    "train_strong.teacher.max_iter": 5,
    "train_strong.candidates": [{}, {"dropout": 0.3}],
    "train_reference.trees.max_iter": 5,
}


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker processes, each of which would load TensorFlow."""
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)


def split(run_stage: RunStage, frame: pd.DataFrame, **roles: str) -> None:
    write_sessions(Path("data/prepared/sessions.parquet"), as_sessions(frame, buys="target", **roles))
    run(run_stage, "split")


def run(run_stage: RunStage, name: str) -> None:
    """Run the stage with the paths that dvc.yaml gives it."""
    ran = run_stage(name, *PIPELINE[name]["cmd"].split()[3:])
    assert ran.code == 0, ran.err


def outputs(name: str) -> Iterator[str]:
    for section in ("outs", "metrics", "plots"):
        for output in PIPELINE[name].get(section, []):
            yield output if isinstance(output, str) else next(iter(output))


def fitted_files() -> dict[str, bytes]:
    """The bytes of each file that the fitting stages have written and that no test row may change."""
    paths = [Path(output) for name in FITTING for output in outputs(name) if not output.startswith(OF_TEST_ROWS)]
    files = [path for output in paths for path in (output, *output.rglob("*")) if path.is_file()]
    assert all(any(path.is_relative_to(output) for path in files) for output in paths)
    return {str(path): path.read_bytes() for path in files}


def predictions() -> dict[str, pa.Table]:
    return {path.stem: pq.read_table(path) for path in sorted(Path("data/predictions").iterdir())}


def with_absurd_rows(frame: pd.DataFrame, idx: np.ndarray) -> pd.DataFrame:
    """The frame with absurd features in some rows, a third of them missing."""
    frame = frame.astype({"pages": "Int64"})  # whole numbers even where one is missing
    absurd: dict[str, Any] = {"pages": 10**12, "seconds": -1e12, "browser": "unknown"}
    for name, value in absurd.items():
        column = frame[name].copy()
        column.iloc[idx] = value
        column.iloc[idx[::3]] = None
        frame[name] = column
    return frame


@pytest.mark.slow
@pytest.mark.usefixtures("one_core")
def test_absurd_test_rows_change_predictions_and_nothing_that_is_fitted(
    run_stage: RunStage, write_params: WriteParams
) -> None:
    write_params(**SMALL)
    frame = sessions_frame(300).assign(id=range(300))
    _, test_idx = train_test_split(as_sessions(frame, buys="target"), "stratified", 0.2, seed=42)
    files, predicted, suspects = [], [], []
    for rows in (frame, with_absurd_rows(frame, test_idx)):
        split(run_stage, rows, id="key")
        for name in FITTING[1:]:
            run(run_stage, name)
        files.append(fitted_files())
        predicted.append(predictions())
        suspects.append(json.loads(Path("metrics/data.json").read_text()).get("suspects"))
    assert files[0] == files[1]
    assert suspects[0] == suspects[1]
    assert len(predicted[0]) == 7
    for name, before in predicted[0].items():
        after = predicted[1][name]
        # The schema holds the threshold of the decisions, which is fitted too.
        assert before.schema.equals(after.schema, check_metadata=True)
        changed = before["probability"].to_numpy() != after["probability"].to_numpy()
        assert changed.mean() > 0.25, name  # calibrated by few steps


@pytest.mark.slow
def test_nothing_is_learned_from_shuffled_targets(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**SMALL | {"train_base.training.epochs": 5})
    frame = sessions_frame(1500)
    shuffled = frame.assign(buys=np.random.default_rng(4).permutation(frame["buys"].to_numpy()))
    p_values = []
    for rows, alternative in ((frame, "greater"), (shuffled, "two-sided")):
        split(run_stage, rows)
        run(run_stage, "train_base")
        targets = read_sessions(Path("data/split/test_targets.parquet")).column("target").to_numpy()
        probabilities = predictions()["base"]["probability"].to_numpy()
        purchases, others = probabilities[targets == 1], probabilities[targets == 0]
        # The test of Mann and Whitney is that of an AUC of 0.5.
        p_values.append(stats.mannwhitneyu(purchases, others, alternative=alternative).pvalue)
    assert p_values[0] < 1e-7
    assert p_values[1] > 0.05


@pytest.mark.parametrize("strategy", ["stratified", "grouped"])
def test_smote_resamples_training_rows_only_and_validates_on_real_ones(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = sessions_frame(200)
    frame.insert(0, "position", np.random.default_rng(0).permutation(200))
    frame["visitor"] = frame["position"] % 60
    sessions = as_sessions(frame, buys="target", visitor="visitor")
    buys = dict(zip(frame["position"], frame["buys"], strict=True))
    params = Params.load(ROOT / "params.yaml")
    config = params.train_base.with_point({"layers": [3], "epochs": 1}).model_copy(update={"validation_split": 0.25})
    resampled: list[tuple[Encoder, set[int], np.ndarray]] = []
    fits: list[tuple[Encoder, set[int], np.ndarray, Any, Any]] = []
    validated: list[set[int]] = []

    def resample(features: Frame, targets: np.ndarray, encoder: Encoder, extra_seed: int) -> tuple[Matrix, np.ndarray]:
        inputs, resampled_targets = oversample(features, targets, encoder, extra_seed, settings=params.smote_train)
        resampled.append((encoder, {*features["position"]}, inputs[:]))
        return inputs, resampled_targets

    def spy(network: Any, inputs: Any, *args: Any, validation_data: Any = None, **kwargs: Any) -> Any:
        fits.append((*resampled[-1], inputs, validation_data))
        return fit(network, inputs, *args, validation_data=validation_data, **kwargs)

    def train(sessions: Sessions, encoder: Encoder, *, extra_seed: int = 0, verbose: bool = False) -> Model:
        return train_model(sessions, encoder, config, strategy, 1, resample=resample)

    monkeypatch.setattr("stages.lib.modeling.model.fit", spy)
    train(sessions, fit_encoder(sessions.features, standard_encoding()))
    for fold in cv_folds(sessions, strategy, 3, seed=1):
        model, on_fold = fit_fold(train, sessions, fold, standard_encoding(), inner_folds(strategy, 1))
        val = sessions.take(fold[1])
        validated.append({*val.features["position"]})
        assert (on_fold.targets == val.column("target").to_numpy()).all()
        assert (on_fold.probabilities == model.predict(val.features)).all()
    assert len(fits) == len(resampled) == 1 + len(validated) == 4
    for (_, trained, _), val_positions in zip(resampled[1:], validated, strict=True):
        assert not trained & val_positions
    for encoder, trained, resampled_inputs, inputs, (val_inputs, val_targets) in fits:
        assert (inputs[:] == resampled_inputs).all()
        assert len(inputs) > len(trained) and trained <= set(buys)
        held_out = positions(val_inputs[:], encoder, sessions)
        assert len(set(held_out)) == len(held_out) and set(held_out) <= set(buys) - trained
        assert [buys[position] for position in held_out] == val_targets.tolist()


def positions(inputs: np.ndarray, encoder: Encoder, sessions: Sessions) -> list[int]:
    """The positions of encoded rows, each of which must be one of the sessions."""
    rows = encoder.inputs(sessions.features)[:]
    by_row = {row.tobytes(): int(position) for row, position in zip(rows, sessions.features["position"], strict=True)}
    return [by_row[row.tobytes()] for row in inputs]
