"""Who is held out: every row once, the same each time, and no target where it must not be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import RunStage, WriteParams, as_sessions, sessions_frame, standard

from stages.lib.common.errors import InputError
from stages.lib.dataset.sessions import Sessions, read_sessions, role_of, write_sessions
from stages.lib.dataset.splits import cv_folds, train_test_split
from stages.lib.modeling.encoder import Encoder, fit_encoder

WAYS = ("target", "visitor", "time")


def keyed(rows: int = 300, seed: int = 7) -> pd.DataFrame:
    """Sessions with an id, a visitor of several sessions and a time that many of them share."""
    random = np.random.default_rng(seed)
    visitors = [f"visitor {number}" for number in random.integers(rows // 4, size=rows)]
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(60, size=rows), unit="D")
    ids = [f"id {number}" for number in random.permutation(rows)]
    return sessions_frame(rows, seed).assign(id=ids, visitor=visitors, day=days)


def sessions(frame: pd.DataFrame) -> Sessions:
    roles = {"id": "key", "visitor": "visitor", "day": "time", "buys": "target"}
    return as_sessions(frame, **{name: role for name, role in roles.items() if name in frame})


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_every_row_is_on_one_side_in_ascending_order(by, share) -> None:
    stay, held = train_test_split(sessions(keyed()), by, share, seed=1)
    assert np.sort(np.r_[stay, held]).tolist() == [*range(300)]
    for side in (stay, held):
        assert (np.diff(side) > 0).all()


@pytest.mark.parametrize("by", WAYS)
def test_the_same_seed_holds_out_the_same_rows(by) -> None:
    rows = sessions(keyed())
    first, second, other = (train_test_split(rows, by, 0.2, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == second
    # The latest sessions are the latest with any seed.
    assert (first == other) == (by == "time")


@pytest.mark.parametrize(("rows", "share"), [(300, 0.2), (301, 0.2), (299, 0.37), (101, 0.1)])
def test_by_target_both_sides_have_the_same_rate(rows, share) -> None:
    part = sessions(sessions_frame(rows))
    stay, held = train_test_split(part, "target", share, seed=1)
    buys = part.column("target").to_numpy()
    assert len(held) == int(np.ceil(share * rows))
    for side in (stay, held):
        assert abs(buys[side].sum() - buys.mean() * len(side)) <= 1


def test_the_study_s_rows_are_split_as_in_the_study() -> None:
    buys = (np.arange(51_349) < 4_112).astype(int)
    stay, held = train_test_split(sessions(pd.DataFrame({"buys": buys})), "target", 0.2, seed=42)
    assert (len(stay), len(held)) == (41_079, 10_270)
    assert buys[held].sum() in (822, 823)


def test_by_visitor_nobody_is_on_both_sides() -> None:
    frame = keyed()
    stay, held = train_test_split(sessions(frame), "visitor", 0.2, seed=1)
    assert not {*frame.visitor[stay]} & {*frame.visitor[held]}
    assert frame.visitor[held].nunique() == np.ceil(0.2 * frame.visitor.nunique())


def test_by_time_no_held_out_row_is_before_or_beside_one_that_stays() -> None:
    frame = keyed()
    stay, held = train_test_split(sessions(frame), "time", 0.2, seed=1)
    assert frame.day[stay].max() < frame.day[held].min()
    # The whole day at the boundary is held out, so somewhat more than the share is, but no day more.
    assert 60 <= len(held) <= 60 + frame.day.value_counts().max()


def test_by_time_without_ties_the_share_is_exact() -> None:
    frame = keyed(301).assign(day=lambda rows: rows.index[::-1])
    assert train_test_split(sessions(frame), "time", 0.2, seed=1)[1].tolist() == [*range(61)]


@pytest.mark.parametrize(
    ("by", "frame"),
    [
        ("target", keyed(8)),
        ("target", keyed()[:5]),
        ("visitor", keyed().assign(visitor="one")),
        ("visitor", keyed().assign(visitor=lambda rows: rows.buys)),
        ("time", keyed().assign(day=1)),
        ("time", keyed().sort_values("buys").assign(day=range(300))),
        ("time", keyed().sort_values("buys").assign(day=range(300, 0, -1))),
    ],
    ids=[
        "few",
        "one purchase",
        "one visitor",
        "buyers apart",
        "one time",
        "purchases late",
        "purchases early",
    ],
)
def test_a_side_without_both_classes_is_refused(by, frame) -> None:
    with pytest.raises(InputError, match=r"^too few rows") as refused:
        train_test_split(sessions(frame), by, 0.2 if len(frame) > 8 else 0.1, seed=1)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("by", ["visitor", "time"])
def test_a_split_needs_its_key(by) -> None:
    with pytest.raises(InputError, match=f"^the sessions have no {by}; prepare.keys.{by} names its column$"):
        train_test_split(sessions(sessions_frame()), by, 0.2, seed=1)


PATHS = ("sessions.parquet", "train.parquet", "test.parquet", "targets.parquet", "encoder.json", "data.json")


@pytest.fixture
def split(run_stage: RunStage, write_params: WriteParams):
    """split(frame, **params): what the split stage writes: train, test and targets."""

    def run(frame: pd.DataFrame, **changes) -> list[Sessions]:
        write_params(**changes)
        write_sessions(Path(PATHS[0]), sessions(frame))
        ran = run_stage("split", *PATHS)
        assert ran.code == 0, ran.err
        return [read_sessions(Path(path)) for path in PATHS[1:4]]

    return run


@pytest.mark.parametrize("by", WAYS)
def test_the_test_part_and_its_targets_lie_apart(split, by) -> None:
    frame = keyed()
    train, test, targets = split(frame, **{"split.strategy": by})
    assert train.table.column_names == [*frame]
    assert test.table.column_names == ["pages", "seconds", "browser", "id", "visitor", "day"]
    assert targets.table.column_names == ["buys", "id"]
    assert targets.names("target") == ["buys"]
    assert targets.table["id"].equals(test.table["id"])
    assert test.table["id"].to_pylist() == frame.id[train_test_split(sessions(frame), by, 0.2, seed=42)[1]].tolist()
    tested = test.table.to_pandas().merge(targets.table.to_pandas(), on="id")
    both = pd.concat([train.table.to_pandas(), tested]).set_index("id").sort_index()
    pd.testing.assert_frame_equal(both, frame.set_index("id").sort_index(), check_dtype=False)


def test_without_keys_there_are_only_features_and_targets(split) -> None:
    train, test, targets = split(sessions_frame())
    assert train.table.column_names == ["pages", "seconds", "browser", "buys"]
    assert test.table.column_names == ["pages", "seconds", "browser"]
    assert targets.table.column_names == ["buys"]


def test_the_encoder_is_fitted_on_the_training_rows(split) -> None:
    train, *_ = split(keyed())
    assert Encoder.load(Path("encoder.json")) == fit_encoder(train.features, standard(0.002))


def test_the_test_rows_do_not_change_what_training_sees(split) -> None:
    frame = keyed()
    _, test, _ = split(frame)
    kept = [Path(path).read_bytes() for path in (PATHS[1], PATHS[4])]
    is_test = frame.id.isin(test.table["id"].to_pylist())
    others = {"pages": frame.pages.where(~is_test, 999), "browser": frame.browser.where(~is_test, "Opera")}
    split(frame.assign(**others))
    assert [Path(path).read_bytes() for path in (PATHS[1], PATHS[4])] == kept


def test_the_same_rows_give_the_same_bytes(split) -> None:
    frame = keyed()
    split(frame)
    first = [Path(path).read_bytes() for path in PATHS[1:]]
    split(frame)
    assert [Path(path).read_bytes() for path in PATHS[1:]] == first


def test_roles_and_types_survive(split) -> None:
    frame = keyed()
    split(frame)
    before, after = (pq.read_schema(path) for path in (PATHS[0], PATHS[1]))
    assert after.remove_metadata().equals(before.remove_metadata())
    for name in frame:
        assert role_of(after.field(name)) == role_of(before.field(name))


@pytest.mark.parametrize("by", ["target", "visitor"])
def test_folds_hold_out_every_row_once(by) -> None:
    rows = sessions(keyed())
    parts = cv_folds(rows, by, 4, seed=1)
    assert np.sort(np.concatenate([held for _, held in parts])).tolist() == [*range(300)]
    for stay, held in parts:
        assert np.sort(np.r_[stay, held]).tolist() == [*range(300)]
    assert [held.tolist() for _, held in parts] == [held.tolist() for _, held in cv_folds(rows, by, 4, seed=1)]
    assert [held.tolist() for _, held in parts] != [held.tolist() for _, held in cv_folds(rows, by, 4, seed=2)]


def test_folds_by_target_have_the_same_rate() -> None:
    buys = sessions_frame(300)["buys"].to_numpy()
    for _, held in cv_folds(sessions(keyed()), "target", 4, seed=1):
        assert abs(buys[held].sum() - buys.mean() * len(held)) < 1


def test_folds_by_visitor_have_nobody_on_both_sides() -> None:
    rows = sessions(keyed())
    visitor = rows.column("visitor").to_numpy()
    for stay, held in cv_folds(rows, "visitor", 4, seed=1):
        assert not set(visitor[stay]) & set(visitor[held])


def test_folds_by_time_train_on_earlier_sessions_only() -> None:
    rows = sessions(keyed())
    time = rows.column("time").to_numpy()
    parts = cv_folds(rows, "time", 4, seed=1)
    assert len(parts) == 4
    for (stay, held), (later, _) in zip(parts, [*parts[1:], (range(300), None)], strict=True):
        assert time[stay].max() < time[held].min()
        assert sorted([*stay, *held]) == sorted(later)  # the next fold trains on both


@pytest.mark.parametrize(("by", "count"), [("target", 31), ("visitor", 31), ("time", 120)])
def test_too_few_rows_for_the_folds_are_an_error_of_one_line(by, count) -> None:
    frame = keyed().iloc[:120]
    assert frame["buys"].sum() == 30
    with pytest.raises(InputError, match=r"^too few rows"):
        cv_folds(sessions(frame), by, count, seed=1)
