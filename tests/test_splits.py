"""Splits put every row on one side, the same each time, and no target where it must not be."""

from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import RunStage, WriteParams, as_sessions, sessions_frame

from stages.lib.common.errors import InputError
from stages.lib.dataset.sessions import Sessions, read_sessions, role_of, write_sessions
from stages.lib.dataset.splits import cv_folds, train_test_split

STRATEGIES = ("stratified", "grouped", "temporal")


def frame_with_keys(rows: int = 300, seed: int = 7) -> pd.DataFrame:
    """Sessions with an id, a visitor who has several sessions, and a day that many sessions share."""
    rng = np.random.default_rng(seed)
    visitors = [f"visitor {number}" for number in rng.integers(rows // 4, size=rows)]
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(60, size=rows), unit="D")
    ids = [f"id {number}" for number in rng.permutation(rows)]
    return sessions_frame(rows, seed).assign(id=ids, visitor=visitors, day=days)


def to_sessions(frame: pd.DataFrame) -> Sessions:
    roles = {"id": "key", "visitor": "visitor", "day": "time", "view": "view", "weight": "weight", "buys": "target"}
    return as_sessions(frame, **{name: role for name, role in roles.items() if name in frame})


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("test_size", [0.1, 0.2, 0.5])
def test_every_row_is_on_one_side_in_ascending_order(strategy: str, test_size: float) -> None:
    train_idx, test_idx = train_test_split(to_sessions(frame_with_keys()), strategy, test_size, seed=1)
    assert np.sort(np.r_[train_idx, test_idx]).tolist() == [*range(300)]
    for idx in (train_idx, test_idx):
        assert (np.diff(idx) > 0).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_gives_the_same_test_set(strategy: str) -> None:
    sessions = to_sessions(frame_with_keys())
    first, second, other = (train_test_split(sessions, strategy, 0.2, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == second
    # A temporal split is not random.
    assert (first == other) == (strategy == "temporal")


@pytest.mark.parametrize(("rows", "test_size"), [(300, 0.2), (301, 0.2), (299, 0.37), (101, 0.1)])
def test_a_stratified_split_has_the_same_purchase_rate_on_both_sides(rows: int, test_size: float) -> None:
    sessions = to_sessions(sessions_frame(rows))
    train_idx, test_idx = train_test_split(sessions, "stratified", test_size, seed=1)
    target = sessions.column("target").to_numpy()
    assert len(test_idx) == int(np.ceil(test_size * rows))
    for idx in (train_idx, test_idx):
        assert abs(target[idx].sum() - target.mean() * len(idx)) <= 1


def test_the_default_data_is_split_into_the_sizes_of_the_study() -> None:
    target = (np.arange(51_349) < 4_112).astype(int)
    sessions = to_sessions(pd.DataFrame({"buys": target}))
    train_idx, test_idx = train_test_split(sessions, "stratified", 0.2, seed=42)
    assert (len(train_idx), len(test_idx)) == (41_079, 10_270)
    assert target[test_idx].sum() in (822, 823)


def test_a_grouped_split_has_no_visitor_on_both_sides() -> None:
    frame = frame_with_keys()
    train_idx, test_idx = train_test_split(to_sessions(frame), "grouped", 0.2, seed=1)
    visitors = frame["visitor"].to_numpy()
    assert not {*visitors[train_idx]} & {*visitors[test_idx]}
    assert len({*visitors[test_idx]}) == np.ceil(0.2 * len({*visitors}))


def test_a_temporal_split_has_only_test_rows_after_the_latest_training_row() -> None:
    frame = frame_with_keys()
    train_idx, test_idx = train_test_split(to_sessions(frame), "temporal", 0.2, seed=1)
    assert frame["day"][train_idx].max() < frame["day"][test_idx].min()
    # All sessions of the first test day are test rows, so there may be more than test_size, but by less than a day.
    assert 60 <= len(test_idx) <= 60 + frame["day"].value_counts().max()


def test_a_temporal_split_without_ties_has_exactly_the_test_size() -> None:
    frame = frame_with_keys(301)
    frame["day"] = frame.index[::-1]
    assert train_test_split(to_sessions(frame), "temporal", 0.2, seed=1)[1].tolist() == [*range(61)]


@pytest.mark.parametrize(
    ("strategy", "frame"),
    [
        ("stratified", frame_with_keys(8)),
        ("stratified", frame_with_keys()[:5]),
        ("grouped", frame_with_keys().assign(visitor="one")),
        ("grouped", frame_with_keys().assign(visitor=lambda rows: rows["buys"])),
        ("temporal", frame_with_keys().assign(day=1)),
        ("temporal", frame_with_keys().sort_values("buys").assign(day=range(300))),
        ("temporal", frame_with_keys().sort_values("buys").assign(day=range(300, 0, -1))),
    ],
    ids=[
        "few rows",
        "one purchase",
        "one visitor",
        "visitors of one class",
        "one time",
        "late purchases",
        "early purchases",
    ],
)
def test_a_side_without_both_classes_is_an_error_of_one_line(strategy: str, frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"^too few rows") as raised:
        train_test_split(to_sessions(frame), strategy, 0.2 if len(frame) > 8 else 0.1, seed=1)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(("strategy", "role"), [("grouped", "visitor"), ("temporal", "time")])
def test_a_split_without_the_key_it_needs_is_an_error(strategy: str, role: str) -> None:
    with pytest.raises(InputError, match=f"^the sessions have no {role}; prepare.keys.{role} names its column$"):
        train_test_split(to_sessions(sessions_frame()), strategy, 0.2, seed=1)


# Several rows per session -----------------------------------------


def with_several_rows(frame: pd.DataFrame, seed: int = 3) -> tuple[Sessions, np.ndarray]:
    """One to three rows for each session of the frame, one after the other, and the number of each row's session."""
    n_rows = np.random.default_rng(seed).integers(1, 4, size=len(frame))
    session = np.repeat(np.arange(len(frame)), n_rows)
    view = np.concatenate([np.arange(1, count + 1) for count in n_rows])
    rows = frame.iloc[session].assign(view=view, weight=1 / n_rows[session]).reset_index(drop=True)
    return to_sessions(rows), session


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sessions_of_several_rows_are_split_as_those_of_one_row(strategy: str) -> None:
    # Two sessions of different visitors may have the same id.
    frame = frame_with_keys().drop_duplicates("visitor").assign(id=lambda rows: np.arange(len(rows)) % 9)
    for single in (frame_with_keys(), frame):
        several, session = with_several_rows(single)
        whole = train_test_split(several, strategy, 0.2, seed=1)
        expected = train_test_split(to_sessions(single), strategy, 0.2, seed=1)
        for idx, sessions in zip(whole, expected, strict=True):
            assert idx.tolist() == np.flatnonzero(np.isin(session, sessions)).tolist()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_all_rows_of_a_session_are_on_one_side_of_every_fold(strategy: str) -> None:
    single = frame_with_keys()
    several, session = with_several_rows(single)
    visitors = several.column("visitor").to_numpy()
    folds, expected = cv_folds(several, strategy, 4, seed=1), cv_folds(to_sessions(single), strategy, 4, seed=1)
    assert len(folds) == 4
    for (train_idx, val_idx), (train_sessions, val_sessions) in zip(folds, expected, strict=True):
        assert not {*session[train_idx]} & {*session[val_idx]}
        assert train_idx.tolist() == np.flatnonzero(np.isin(session, train_sessions)).tolist()
        assert val_idx.tolist() == np.flatnonzero(np.isin(session, val_sessions)).tolist()
        if strategy == "grouped":
            assert not {*visitors[train_idx]} & {*visitors[val_idx]}


# The split stage --------------------------------------------------

OUTPUTS = ("train.parquet", "test.parquet", "test_targets.parquet", "data.json")


class Split(Protocol):
    def __call__(self, frame: pd.DataFrame, **changes: object) -> list[Sessions]: ...


@pytest.fixture
def split(run_stage: RunStage, write_params: WriteParams) -> Split:
    """split(frame, **params) runs the split stage; returns training set, test set and test targets."""

    def run(frame: pd.DataFrame, **changes: object) -> list[Sessions]:
        write_params(**changes)
        write_sessions(Path("sessions.parquet"), to_sessions(frame))
        result = run_stage("split", "sessions.parquet", *OUTPUTS)
        assert result.code == 0, result.err
        return [read_sessions(Path(path)) for path in OUTPUTS[:3]]

    return run


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_test_set_and_its_targets_are_in_separate_files(split: Split, strategy: str) -> None:
    frame = frame_with_keys()
    train, test, targets = (sessions.to_arrow() for sessions in split(frame, **{"split.strategy": strategy}))
    assert train.column_names == [*frame]
    assert test.column_names == ["pages", "seconds", "browser", "id", "visitor", "day"]
    assert targets.column_names == ["buys", "id"]
    assert Sessions(targets).names("target") == ["buys"]
    assert targets["id"].equals(test["id"])
    test_idx = train_test_split(to_sessions(frame), strategy, 0.2, seed=42)[1]
    assert test["id"].to_pylist() == frame["id"].iloc[test_idx].tolist()
    test_rows = test.to_pandas().merge(targets.to_pandas(), on="id")
    all_rows = pd.concat([train.to_pandas(), test_rows]).set_index("id").sort_index()
    pd.testing.assert_frame_equal(all_rows, frame.set_index("id").sort_index(), check_dtype=False)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_targets_of_several_rows_per_session_have_what_tells_the_rows_apart(split: Split, strategy: str) -> None:
    rows = with_several_rows(frame_with_keys())[0].to_arrow().to_pandas()
    train, test, targets = (sessions.to_arrow() for sessions in split(rows, **{"split.strategy": strategy}))
    assert train.column_names == [*rows]
    assert test.column_names == ["pages", "seconds", "browser", "id", "visitor", "day", "view"]
    assert targets.column_names == ["buys", "id", "visitor", "view"]
    assert targets.select(["id", "visitor", "view"]).equals(test.select(["id", "visitor", "view"]))
    assert not {*train["id"].to_pylist()} & {*test["id"].to_pylist()}


def test_without_keys_there_are_only_features_and_targets(split: Split) -> None:
    train, test, targets = (sessions.to_arrow() for sessions in split(sessions_frame()))
    assert train.column_names == ["pages", "seconds", "browser", "buys"]
    assert test.column_names == ["pages", "seconds", "browser"]
    assert targets.column_names == ["buys"]


def test_values_of_test_rows_do_not_change_the_training_set(split: Split) -> None:
    frame = frame_with_keys()
    _, test, _ = split(frame)
    before = Path("train.parquet").read_bytes()
    is_test = frame["id"].isin(test.to_arrow()["id"].to_pylist())
    pages, browser = frame["pages"].where(~is_test, 999), frame["browser"].where(~is_test, "Opera")
    split(frame.assign(pages=pages, browser=browser))
    assert Path("train.parquet").read_bytes() == before


def test_the_same_rows_give_the_same_bytes(split: Split) -> None:
    frame = frame_with_keys()
    split(frame)
    first = [Path(path).read_bytes() for path in OUTPUTS]
    split(frame)
    assert [Path(path).read_bytes() for path in OUTPUTS] == first


def test_roles_and_types_of_columns_are_kept(split: Split) -> None:
    frame = frame_with_keys()
    split(frame)
    before, after = (pq.read_schema(path) for path in ("sessions.parquet", "train.parquet"))
    assert after.remove_metadata().equals(before.remove_metadata())
    for name in frame:
        assert role_of(after.field(name)) == role_of(before.field(name))


# Cross-validation -------------------------------------------------


@pytest.mark.parametrize("strategy", ["stratified", "grouped"])
def test_every_row_is_in_one_validation_fold(strategy: str) -> None:
    sessions = to_sessions(frame_with_keys())
    folds = cv_folds(sessions, strategy, 4, seed=1)
    assert np.sort(np.concatenate([val_idx for _, val_idx in folds])).tolist() == [*range(300)]
    for train_idx, val_idx in folds:
        assert np.sort(np.r_[train_idx, val_idx]).tolist() == [*range(300)]


@pytest.mark.parametrize("strategy", ["stratified", "grouped"])
def test_the_same_seed_gives_the_same_folds(strategy: str) -> None:
    sessions = to_sessions(frame_with_keys())
    first, second, other = (
        [val_idx.tolist() for _, val_idx in cv_folds(sessions, strategy, 4, seed)] for seed in (1, 1, 2)
    )
    assert first == second != other


def test_stratified_folds_have_the_same_purchase_rate() -> None:
    sessions = to_sessions(frame_with_keys())
    target = sessions.column("target").to_numpy()
    for _, val_idx in cv_folds(sessions, "stratified", 4, seed=1):
        assert abs(target[val_idx].sum() - target.mean() * len(val_idx)) < 1


def test_grouped_folds_have_no_visitor_on_both_sides() -> None:
    sessions = to_sessions(frame_with_keys())
    visitors = sessions.column("visitor").to_numpy()
    for train_idx, val_idx in cv_folds(sessions, "grouped", 4, seed=1):
        assert not {*visitors[train_idx]} & {*visitors[val_idx]}


def test_temporal_folds_train_on_earlier_sessions_only() -> None:
    sessions = to_sessions(frame_with_keys())
    time = sessions.column("time").to_numpy()
    folds = cv_folds(sessions, "temporal", 4, seed=1)
    assert len(folds) == 4
    next_train_sets = [train_idx.tolist() for train_idx, _ in folds[1:]] + [[*range(300)]]
    for (train_idx, val_idx), next_train_set in zip(folds, next_train_sets, strict=True):
        assert time[train_idx].max() < time[val_idx].min()
        assert sorted([*train_idx, *val_idx]) == next_train_set


@pytest.mark.parametrize(("strategy", "n_folds"), [("stratified", 31), ("grouped", 31), ("temporal", 120)])
def test_too_few_rows_for_the_folds_are_an_error(strategy: str, n_folds: int) -> None:
    frame = frame_with_keys().iloc[:120]
    assert frame["buys"].sum() == 30
    with pytest.raises(InputError, match=r"^too few rows"):
        cv_folds(to_sessions(frame), strategy, n_folds, seed=1)
