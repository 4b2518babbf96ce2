"""Leakage in the data is reported: columns that predict the target by themselves, and duplicates of test rows."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import SHARED_DATA, RunStage, StageResult, WriteParams, as_sessions, sessions_frame
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import TargetEncoder

from stages.lib.dataset.sessions import write_sessions
from stages.lib.dataset.splits import train_test_split
from stages.lib.profiling.leakage import FOLDS, SMOOTHING, assign_folds, count_duplicates, univariate_auc

PREPARED, DATA = Path("sessions.parquet"), Path("data.json")

# Columns of real tables that are known only after the outcome, and how to prepare these tables.
LEAKS: dict[str, tuple[str, dict[str, Any]]] = {
    "PageValues": (
        "online_shoppers_intention.csv",
        {"target": "Revenue", "categories": ["OperatingSystems", "Browser", "Region", "TrafficType"]},
    ),
    "duration": ("bank_full.csv", {"target": "y", "na_values": ["", "unknown"]}),
}


def auc(values: Any, targets: Any) -> float:
    return float(univariate_auc(pd.DataFrame({"column": values}), np.asarray(targets))["column"])


def standard_error(targets: np.ndarray) -> float:
    """The standard error of an AUC of 0.5 without ties (Hanley & McNeil 1982, Radiology 143:29)."""
    purchases, others = int(targets.sum()), int(len(targets) - targets.sum())
    return math.sqrt((purchases + others + 1) / (12 * purchases * others))


@pytest.mark.parametrize("seed", range(6))
def test_a_number_has_scikit_learn_s_auc_in_the_better_direction(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.random(500) < 0.2
    values = np.round(rng.normal(size=500) + rng.choice([-1, 0, 1]) * targets, 1)
    values[rng.random(500) < rng.choice([0, 0.1, 0.4]) * (1 + targets) / 2] = np.nan
    lowest, highest = (roc_auc_score(targets, np.nan_to_num(values, nan=end)) for end in (-99, 99))
    assert auc(values, targets.astype(int)) == pytest.approx(max(lowest, highest, 1 - lowest, 1 - highest))


def test_the_auc_of_a_number_is_the_share_of_concordant_pairs() -> None:
    values, targets = [3, 1, 3, 2, 5, np.nan], [1, 0, 0, 1, 0, 1]
    filled = [-9 if np.isnan(value) else value for value in values]
    pairs = [(filled[i], filled[j]) for i in range(6) for j in range(6) if targets[i] > targets[j]]
    # The direction is that of lower values for purchases.
    concordant = sum(purchase < other or (purchase == other) / 2 for purchase, other in pairs)
    assert auc(values, targets) == concordant / len(pairs) == 6.5 / 9


@pytest.mark.parametrize("seed", range(3))
def test_a_category_has_the_auc_of_scikit_learn_s_target_encoding_fitted_on_other_folds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    categories = rng.geometric(0.1, 1000).astype(str)
    targets = (rng.random(1000) < rng.choice([0.1, 0.2, 0.4], 99)[categories.astype(int)]).astype(int)
    folds, concordant, pairs = assign_folds(targets), 0.0, 0
    for fold in range(FOLDS):
        in_fold = folds == fold
        encoder = TargetEncoder(smooth=SMOOTHING).fit(categories[~in_fold, None], targets[~in_fold])
        fold_pairs = targets[in_fold].sum() * (1 - targets[in_fold]).sum()
        rates = encoder.transform(categories[in_fold, None])[:, 0]
        concordant += fold_pairs * roc_auc_score(targets[in_fold], rates)
        pairs += fold_pairs
    assert auc(categories, targets) == pytest.approx(concordant / pairs, abs=1e-4)


def test_folds_have_equally_many_rows_of_each_class() -> None:
    targets = (np.random.default_rng(0).random(1003) < 0.1).astype(int)
    folds = assign_folds(targets)
    for label in (0, 1):
        assert np.ptp(np.bincount(folds[targets == label], minlength=FOLDS)) <= 1
    assert (assign_folds(targets) == folds).all()


@pytest.mark.parametrize("category_size", [1, 2, 3, 10, 2000])
def test_an_unrelated_category_has_an_auc_of_one_half_however_infrequent_its_values(category_size: int) -> None:
    rng = np.random.default_rng(3)
    targets = (rng.random(4000) < 0.3).astype(int)
    categories = [f"category {number // category_size}" for number in rng.permutation(4000)]
    assert abs(auc(categories, targets) - 0.5) < 4 * standard_error(targets)


def test_missing_values_of_a_category_predict_as_any_other_value_does() -> None:
    targets = np.arange(200) % 4 == 0
    assert auc(pd.Series("a", range(200)).mask(targets, None), targets.astype(int)) == 1
    assert auc(np.where(targets, "b", "a"), targets.astype(int)) == 1


def test_columns_that_predict_nothing_or_everything() -> None:
    targets = np.arange(90) % 3 == 0
    frame = pd.DataFrame({"same": 7, "none": np.nan, "one": "a", "less": -1.0 * targets, "more": 2 * targets})
    expected = {"same": 0.5, "none": 0.5, "one": 0.5, "less": 1, "more": 1}
    assert univariate_auc(frame, targets.astype(int)).to_dict() == expected
    # With a single purchase there is none in the other folds to compute a rate from.
    assert auc(list("ab" * 45), np.arange(90) == 0) == 0.5


def test_duplicates_are_the_test_rows_that_equal_any_training_row() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "number": rng.choice([-0.0, 0.0, 1.5, np.nan], 300),
            "whole": rng.integers(3, size=300),
            "text": rng.choice(np.array(["a", "b", "", "nan", None], object), 300),
            "buys": rng.integers(2, size=300),
        }
    )
    train, test = frame[:40], frame[40:]
    train_rows = {tuple(row) for row in train.replace({np.nan: None}).itertuples(index=False)}
    expected = sum(tuple(row) in train_rows for row in test.replace({np.nan: None}).itertuples(index=False))
    assert 20 < expected < 240
    # Integers are read as floats on the side where a value is missing.
    assert count_duplicates(train.astype({"whole": float}), test) == count_duplicates(train, test) == expected


def test_the_split_stage_reports_duplicates_of_training_rows(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params()
    frame = sessions_frame(200).assign(position=range(200))
    train_idx, test_idx = train_test_split(as_sessions(frame, buys="target"), "stratified", 0.2, seed=42)
    message = "test rows are duplicates of training rows, in all features and the target"
    assert message not in split(run_stage, frame).out and data()["duplicates_across"] == 0
    purchases, others = test_idx[frame["buys"].iloc[test_idx] == 1], test_idx[frame["buys"].iloc[test_idx] == 0]
    train_purchase = train_idx[frame["buys"].iloc[train_idx] == 1][0]
    for row in purchases[:3]:
        frame.loc[row] = frame.loc[train_purchase]
    frame.loc[others[0]] = frame.loc[train_purchase]
    frame.loc[others[0], "buys"] = 0  # equal except for the target
    assert f"3 {message}" in split(run_stage, frame).out and data()["duplicates_across"] == 3


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=f"needs the real tables in {SHARED_DATA.name}")
@pytest.mark.parametrize("column", LEAKS)
def test_the_column_that_leaks_the_target_of_a_real_table_is_named_and_no_other(
    column: str, run_stage: RunStage, write_params: WriteParams
) -> None:
    name, settings = LEAKS[column]
    cases: Sequence[tuple[list[str], list[str]]] = (([], [column]), ([column], []))
    for drop, suspects in cases:
        changes = {"source_type": "sessions", **settings, "drop": drop}
        write_params(**{f"prepare.{key}": value for key, value in changes.items()})
        assert run_stage("prepare", SHARED_DATA / name, PREPARED).code == 0
        ran = run_split(run_stage)
        aucs = data().get("suspects", {})
        assert list(aucs) == suspects
        assert [line.split("'")[1] for line in ran.err.splitlines()] == suspects
        for value in aucs.values():
            assert f"split: column '{column}' has an AUC of {value:.2f} by itself on the training set" in ran.err
            assert f"prepare.drop: [{column}]" in ran.err


def test_the_default_data_has_no_suspects(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**{"simulate.sessions": 3000, "simulate.purchases": 250})
    assert run_stage("simulate", "clicks.parquet").code == 0
    assert run_stage("prepare", "clicks.parquet", PREPARED).code == 0
    assert not run_split(run_stage).err and "suspects" not in data()


def split(run_stage: RunStage, frame: pd.DataFrame) -> StageResult:
    write_sessions(PREPARED, as_sessions(frame, buys="target"))
    return run_split(run_stage)


def run_split(run_stage: RunStage) -> StageResult:
    ran = run_stage("split", PREPARED, "train.parquet", "test.parquet", "test_targets.parquet", DATA)
    assert ran.code == 0, ran.err
    return ran


def data() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(DATA.read_text())
    return content
