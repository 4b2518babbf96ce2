"""What folds of the training rows say: nothing is fitted on a row held out; columns matter as they are made to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers import as_sessions, sessions_frame, standard
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from stages.lib.dataset.sessions import Sessions, read_sessions
from stages.lib.dataset.splits import cv_folds
from stages.lib.modeling import permutation_importance as importance
from stages.lib.modeling.calibration import Calibration
from stages.lib.modeling.cross_validation import cross_validate
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import Encoder, fit_encoder


def sessions(rows: int = 200) -> Sessions:
    frame = sessions_frame(rows).assign(number=np.arange(rows))
    return as_sessions(frame, buys="target", number="key")


@dataclass
class Numbers:
    """Says for each row its number of pages, over a hundred; remembers what it was fitted on."""

    rows: Sessions
    encoder: Encoder

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        return features["pages"].to_numpy(np.float32) / 100


def rows_of(predictor, part: Sessions) -> pd.Series:
    return pd.Series({"rows": len(part)})


def test_each_fold_is_predicted_by_what_the_others_were_fitted_on() -> None:
    fitted: list[Numbers] = []

    def fit(rows, encoder):
        fitted.append(Numbers(rows, encoder))
        return fitted[-1]

    everything = sessions()
    judged = cross_validate(
        fit, everything, standard(), "target", 4, seed=1, look=lambda one, part: pd.Series({"rows": len(part)})
    )
    parts = cv_folds(everything, "target", 4, seed=1)
    for one, (stay, _) in zip(fitted, parts, strict=True):
        assert one.rows.table.equals(everything.take(stay).table)
        assert one.encoder == fit_encoder(one.rows.features, standard())
    held = np.concatenate([held for _, held in parts])
    assert (judged.targets == everything.column("target").to_numpy()[held]).all()
    assert (judged.probabilities == everything.features["pages"].to_numpy(np.float32)[held] / 100).all()
    assert judged.looked.loc["rows"].tolist() == [50] * 4


def test_importance_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(4000, 4)).astype(np.float32)
    targets = (inputs @ [2.0, 1.0, 0.0, 0.5] + random.logistic(size=4000) > 0).astype(int)
    model = LogisticRegression().fit(inputs, targets)

    def predict(rows):
        return model.predict_proba(rows)[:, 1]

    before = inputs.copy()
    found = pd.DataFrame(
        {
            seed: importance.permutation_importance(predict, inputs, targets, [*"abcd"], np.random.default_rng(seed))
            for seed in range(20)
        }
    )
    assert (inputs == before).all()
    expected = permutation_importance(model, inputs, targets, scoring="roc_auc", n_repeats=20, random_state=0)
    np.testing.assert_allclose(found.mean(axis=1), expected.importances_mean, atol=0.01)
    assert found.mean(axis=1).idxmax() == "a"


def test_inputs_of_one_column_are_shuffled_together() -> None:
    random = np.random.default_rng(0)
    level = random.integers(3, size=2000)
    inputs = np.eye(3, dtype=np.float32)[level]
    targets = (level == 2).astype(int)

    def impossible(rows):
        assert (rows.sum(axis=1) == 1).all()  # one level each
        return rows[:, 2]

    falls = importance.permutation_importance(impossible, inputs, targets, ["level"] * 3, random)
    assert falls.index.tolist() == ["level"] and falls["level"] == pytest.approx(0.5, abs=0.05)


def test_importances_are_means_over_folds_the_most_important_first() -> None:
    by_fold = pd.DataFrame({1: {"a": 0.1, "b": 0.3, "c": 0.1}, 2: {"a": 0.1, "b": 0.5, "c": 0.1}})
    found = importance.importance_table(by_fold)
    assert found.column.tolist() == ["b", "a", "c"]
    assert found.importance.tolist() == pytest.approx([0.4, 0.1, 0.1])
    assert found.se.tolist() == pytest.approx([0.1, 0, 0])


def test_an_encoder_says_which_column_each_input_comes_from() -> None:
    fitted = fit_encoder(sessions_frame().drop(columns="buys"), standard())
    assert len(fitted.columns) == len(fitted.names)
    for column, name in zip(fitted.columns, fitted.names, strict=True):
        assert name.split("=")[0] == column


@pytest.mark.parametrize("kind", ["none", "sigmoid", "isotonic"])
def test_a_decision_is_saved_loaded_and_written_with_the_predictions(kind, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    targets = (np.arange(400) % 5 == 0).astype(int)
    probabilities = random.beta(1 + targets, 4).astype(np.float32)
    decision = Decision.fit(kind, targets, probabilities)
    decision.save(tmp_path / "decision.json")
    assert Decision.load(tmp_path / "decision.json") == decision
    test = sessions()
    decision.write(tmp_path / "predictions.parquet", test, probabilities[:200], probabilities[200:])
    written = read_sessions(tmp_path / "predictions.parquet")
    assert written.keys.equals(test.select("key").table)
    expected = decision.recalibration.apply(probabilities)
    assert (written.column("probability").to_numpy() == expected[:200]).all()
    assert (written.select("repeat").table["probability_1"].to_numpy() == expected[200:]).all()
    assert (written.column("decision").to_numpy() == (expected[:200].astype(float) >= decision.threshold)).all()
    field = written.select("decision").table.schema[0]
    assert float(field.metadata[b"threshold"]) == decision.threshold and field.type == pa.bool_()


def test_recalibration_changes_probabilities_not_their_order() -> None:
    random = np.random.default_rng(0)
    targets = (random.random(3000) < 0.1).astype(int)
    spoiled = 1 / (1 + np.exp(-(random.normal(size=3000) + targets)))  # far too high, as after SMOTE
    decision = Decision.fit("sigmoid", targets, spoiled.astype(np.float32))
    right = decision.recalibration.apply(spoiled.astype(np.float32))
    assert abs(right.mean() - targets.mean()) < 0.01 < abs(spoiled.mean() - targets.mean())
    assert roc_auc_score(targets, right) == pytest.approx(roc_auc_score(targets, spoiled), abs=1e-6)
    assert Calibration().apply(right) is right
