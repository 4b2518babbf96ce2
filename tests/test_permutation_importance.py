"""Permutation importance agrees with scikit-learn, and shuffles all inputs of a column together."""

import numpy as np
import pandas as pd
import pytest
from sklearn import inspection
from sklearn.linear_model import LogisticRegression

from stages.lib.modeling.permutation_importance import importance_table, permutation_importance


def test_importance_is_that_of_sklearn() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(4000, 4)).astype(np.float32)
    targets = (inputs @ [2.0, 1.0, 0.0, 0.5] + rng.logistic(size=4000) > 0).astype(int)
    model = LogisticRegression().fit(inputs, targets)

    def predict(rows: np.ndarray) -> np.ndarray:
        return model.predict_proba(rows)[:, 1]

    before = inputs.copy()
    by_seed = pd.DataFrame(
        {
            seed: permutation_importance(predict, inputs, targets, [*"abcd"], np.random.default_rng(seed))
            for seed in range(20)
        }
    )
    assert (inputs == before).all()
    expected = inspection.permutation_importance(
        model, inputs, targets, scoring="roc_auc", n_repeats=20, random_state=0
    )
    np.testing.assert_allclose(by_seed.mean(axis=1), expected.importances_mean, atol=0.01)
    assert by_seed.mean(axis=1).idxmax() == "a"


def test_inputs_of_one_column_are_shuffled_together() -> None:
    rng = np.random.default_rng(0)
    category = rng.integers(3, size=2000)
    one_hot = np.eye(3, dtype=np.float32)[category]
    targets = (category == 2).astype(int)

    def predict(rows: np.ndarray) -> np.ndarray:
        assert (rows.sum(axis=1) == 1).all()  # each row has one category
        return rows[:, 2]

    importance = permutation_importance(predict, one_hot, targets, ["category"] * 3, rng)
    assert importance.index.tolist() == ["category"]
    assert importance["category"] == pytest.approx(0.5, abs=0.05)


def test_importances_are_means_over_folds_the_most_important_first() -> None:
    by_fold = pd.DataFrame({1: {"a": 0.1, "b": 0.3, "c": 0.1}, 2: {"a": 0.1, "b": 0.5, "c": 0.1}})
    table = importance_table(by_fold)
    assert table["column"].tolist() == ["b", "a", "c"]
    assert table["importance"].tolist() == pytest.approx([0.4, 0.1, 0.1])
    assert table["se"].tolist() == pytest.approx([0.1, 0, 0])
