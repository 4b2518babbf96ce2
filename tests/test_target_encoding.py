"""Columns of many categories are encoded by targets, but no row to train on by its own."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, as_sessions, sessions_frame, standard_encoding
from scipy.stats import f_oneway
from sklearn.preprocessing import TargetEncoder

from stages.lib.common.errors import InputError
from stages.lib.common.params import Params
from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.sessions import Sessions, read_sessions, write_sessions
from stages.lib.dataset.splits import cv_folds
from stages.lib.explanation import explain
from stages.lib.modeling.boosted_trees import BoostedTrees
from stages.lib.modeling.calibration import log_odds
from stages.lib.modeling.columns import MISSING
from stages.lib.modeling.cross_validation import fit_fold
from stages.lib.modeling.encoder import Encoder, fit_encoder, fit_to_train, mean_of_encoders
from stages.lib.modeling.roc_auc import roc_auc
from stages.lib.modeling.target_encoding import MANY_CATEGORIES, TargetEncodedColumn, inner_folds
from stages.lib.modeling.unknown_categories import UnknownCategories

INPUT = "code=(target)"
FOLDS = inner_folds("stratified", 1)
UNFITTED = TargetEncodedColumn(name="code", frequent=(), log_odds={})
ENCODING = standard_encoding(max_categories=20)  # 19 frequent categories, and all others


def rows(effect: float, n_rows: int = 6000, n_codes: int = 600, seed: int = 3) -> pd.DataFrame:
    """A number, a code of many, and a target whose log-odds have this standard deviation between codes."""
    rng = np.random.default_rng(seed)
    number, code = rng.normal(size=n_rows), np.arange(n_rows) % n_codes
    z = 0.5 * number + effect * rng.normal(size=n_codes)[code] - 1
    return pd.DataFrame({
        "number": number, "code": [f"c{value}" for value in code], "buys": (z > rng.logistic(size=n_rows)).astype(int)
    })  # fmt: skip


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return as_sessions(rows(1.0), buys="target")


@pytest.fixture(scope="module")
def encoder(sessions: Sessions) -> Encoder:
    return fit_to_train(sessions, ENCODING, FOLDS)[0]


def fitted(frame: pd.DataFrame) -> TargetEncodedColumn:
    return UNFITTED.fit(as_sessions(frame, buys="target"))


def in_order(sessions: Sessions) -> list[tuple[np.ndarray, np.ndarray]]:
    """The first, second and last 2,000 rows: folds that do not depend on the targets."""
    fold = np.arange(len(sessions)) // 2000
    return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(3)]


# What is learned --------------------------------------------------


def test_rates_are_shrunk_as_the_analysis_of_variance_says() -> None:
    """Of categories of the same size, F is the variance between their means over that which chance alone would give."""
    frame = rows(1.0)
    f = f_oneway(*(group for _, group in frame.groupby("code")["buys"])).statistic
    expected = TargetEncoder(target_type="binary", smooth=10 / (f - 1)).fit(frame[["code"]], frame["buys"])
    rate = np.array(expected.encodings_[0])
    values = log_odds(rate) - log_odds(np.array([frame["buys"].mean()]))
    assert f > 1.5 and np.ptp(values) > 2
    actual = fitted(frame).log_odds
    assert [*actual] == [*expected.categories_[0]]
    np.testing.assert_allclose([*actual.values()], values, atol=1e-6)


def test_of_categories_that_differ_no_more_than_by_chance_all_have_the_same_value() -> None:
    frame = pd.DataFrame({"code": [f"c{number % 300}" for number in range(1200)]})
    assert not any(fitted(frame.assign(buys=(np.arange(1200) // 300) % 2)).log_odds.values())


def test_values_are_finite_where_categories_have_one_row_or_one_target() -> None:
    code, buys = [f"c{number // 2}" for number in range(400)], np.arange(400) // 2 % 4 == 0
    values = [*fitted(pd.DataFrame({"code": code, "buys": buys.astype(int)})).log_odds.values()]
    assert np.isfinite(values).all() and np.ptp(values) > 1
    assert not any(fitted(pd.DataFrame({"code": [*map(str, range(400))], "buys": buys.astype(int)})).log_odds.values())


def test_missing_is_a_category_and_an_unknown_one_counts_as_all_rows_do() -> None:
    frame = rows(1.0)
    frame.loc[frame["code"] == "c7", "code"] = None
    column = fitted(frame)
    assert column.values(pd.DataFrame({"code": [None, "c8", "c7"]})).tolist() == [
        column.log_odds[MISSING], column.log_odds["c8"], 0.0
    ]  # fmt: skip


def test_a_session_counts_once_however_often_it_is_scored() -> None:
    frame = rows(1.0).assign(id=range(6000), visitor="v", view=1)
    several = frame.loc[frame.index.repeat(1 + frame.index % 3)].reset_index(drop=True)
    roles = {"buys": "target", "id": "key", "visitor": "visitor", "view": "view"}
    assert UNFITTED.fit(as_sessions(several, **roles)) == fitted(frame.drop(columns=["id", "view"]))


# No leakage -------------------------------------------------------


def test_no_target_has_a_part_in_the_value_of_its_own_fold() -> None:
    frame = rows(1.0)
    changed = frame.assign(buys=np.where(np.arange(6000) // 2000 == 1, 1 - frame["buys"], frame["buys"]))
    before, after = (
        fit_to_train(as_sessions(each, buys="target"), ENCODING, in_order)[1].features[INPUT].to_numpy()
        for each in (frame, changed)
    )
    np.testing.assert_array_equal(before[2000:4000], after[2000:4000])
    assert (before != after)[:2000].mean() > 0.8 and (before != after)[4000:].mean() > 0.8


@pytest.mark.parametrize("seed", [5, 10])  # by chance, the codes differ by more than chance lets expect
def test_of_categories_that_mean_nothing_values_predict_nothing_in_training_rows(seed: int) -> None:
    sessions = as_sessions(rows(0.0, seed=seed), buys="target")
    encoder, train = fit_to_train(sessions, ENCODING, FOLDS)
    targets = sessions.column("target").to_numpy()
    naive = encoder.target_encoded[0].values(pd.DataFrame(sessions.features))
    assert roc_auc(targets, naive) > 0.6  # of rows whose own targets are in their values
    assert 0.47 < roc_auc(targets, train.features[INPUT].to_numpy()) < 0.53


def test_held_out_rows_are_encoded_by_the_training_rows_of_their_fold(sessions: Sessions) -> None:
    (train_idx, val_idx) = fold = cv_folds(sessions, "stratified", 5, seed=2)[0]

    class Value:
        def __init__(self, encoder: Encoder) -> None:
            self.encoder = encoder

        def predict(self, features: Frame) -> np.ndarray:
            return self.encoder.inputs(features)[:][:, self.encoder.input_names.index(INPUT)]

    def fit(sessions: Sessions, encoder: Encoder, *, extra_seed: int = 0, verbose: bool = False) -> Value:
        assert len(sessions) == len(train_idx) and INPUT in sessions.features
        encoders.append(encoder)
        return Value(encoder)

    encoders: list[Encoder] = []
    all_rows = fit_to_train(sessions, ENCODING, FOLDS)[0]
    for encoding in (ENCODING, all_rows):  # the second is how ensembles share an encoder
        _, validated = fit_fold(fit, sessions, fold, encoding, FOLDS)
        (encoded,) = encoders[-1].target_encoded
        expected = UNFITTED.model_copy(update={"frequent": encoded.frequent}).fit(sessions.take(train_idx))
        assert encoded == expected != all_rows.target_encoded[0] and len(encoded.frequent) == 19
        values = expected.values(pd.DataFrame(sessions.features).iloc[val_idx])
        np.testing.assert_array_equal(validated.probabilities, values.astype(np.float32))
        assert roc_auc(validated.targets, validated.probabilities) > 0.6


def test_visitors_are_kept_together_where_the_split_does() -> None:
    frame = sessions_frame(400).assign(
        code=[f"c{n // 4}" for n in range(400)], visitor=[f"v{n // 4}" for n in range(400)]
    )
    grouped = as_sessions(frame, buys="target", visitor="visitor")
    values = fit_to_train(grouped, ENCODING, inner_folds("grouped", 1))[1].features[INPUT]
    assert not values.any()  # no other visitor has the category


# The encoder ------------------------------------------------------


def test_only_the_infrequent_of_many_categories_are_target_encoded(encoder: Encoder) -> None:
    (column,) = encoder.target_encoded
    assert len(column.frequent) == 19 and not {*column.frequent} & {*column.log_odds}
    assert len(column.log_odds) == 600 - 19
    frequent = encoder.transform(pd.DataFrame({"number": 0.0, "code": column.frequent}))
    assert not frequent[:, encoder.input_names.index(INPUT)].any()


@pytest.mark.parametrize(("n_categories", "at_most", "names"), [(61, 60, ["code"]), (61, 61, []), (60, 20, [])])
def test_other_columns_are_not(n_categories: int, at_most: int, names: list[str]) -> None:
    frame = rows(1.0, n_rows=600, n_codes=n_categories)
    assert n_categories == MANY_CATEGORIES + (n_categories == 61)
    sessions = as_sessions(frame, buys="target")
    encoder, train = fit_to_train(sessions, standard_encoding(max_categories=at_most), FOLDS)
    assert [column.name for column in encoder.target_encoded] == names and (train is sessions) == (not names)


@pytest.mark.parametrize("scaling", ["standard", "quantile"])
def test_the_log_odds_are_an_input_of_their_column_as_they_are(sessions: Sessions, scaling: str) -> None:
    encoder, train = fit_to_train(sessions, standard_encoding(max_categories=20, scaling=scaling, bins=4), FOLDS)
    position = encoder.input_names.index(INPUT)
    assert encoder.input_columns[position] == "code" and encoder.input_columns.count("code") == 20
    for features, values in (
        (sessions.features, encoder.target_encoded[0].values(pd.DataFrame(sessions.features))),
        (train.features, train.features[INPUT].to_numpy()),
    ):
        np.testing.assert_array_equal(encoder.inputs(features)[:][:, position], values.astype(np.float32))
        assert values.std() > 0.3


def test_rows_in_a_file_are_encoded_as_those_in_memory(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sessions(tmp_path / "train.parquet", sessions)
    monkeypatch.setattr("stages.lib.dataset.sessions.IN_MEMORY", 0)
    in_file = read_sessions(tmp_path / "train.parquet")
    assert not isinstance(in_file.features, pd.DataFrame)
    (encoder, train), (expected, expected_train) = (fit_to_train(each, ENCODING, FOLDS) for each in (in_file, sessions))
    assert encoder == expected and train.features[INPUT].equals(expected_train.features[INPUT])
    idx = np.arange(5, 3000, 7)
    inputs, expected_inputs = (encoder.inputs(each.take(idx).features)[:] for each in (train, expected_train))
    np.testing.assert_array_equal(inputs, expected_inputs)


def test_an_encoder_is_saved_and_one_without_such_columns_as_before(encoder: Encoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "encoder.json")
    assert Encoder.load(tmp_path / "encoder.json") == encoder
    fit_encoder(sessions_frame()[["pages"]], standard_encoding()).save(tmp_path / "few.json")
    assert {*json.loads((tmp_path / "few.json").read_text())} == {"numeric", "categorical", "mean", "scale"}


@pytest.mark.parametrize("change", [{"name": "other"}, {"log_odds": {"c1": "high"}}, {"log_odds": {"c1": np.inf}}])
def test_a_file_that_was_tampered_with_is_refused(change: dict[str, object], encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "encoder.json"
    encoder.save(path)
    content = json.loads(path.read_text())
    content["target_encoded"][0] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="encoder"):
        Encoder.load(path)


def test_of_an_ensemble_the_values_are_the_mean_of_the_members(sessions: Sessions, encoder: Encoder) -> None:
    parts = [np.arange(3000), np.arange(2900, 6000)]
    members = [fit_to_train(sessions.take(part), encoder, FOLDS)[0] for part in parts]
    tables = [member.target_encoded[0].log_odds for member in members]
    del tables[0]["c5"]
    mean = mean_of_encoders(members)
    assert mean.model_copy(update={"target_encoded": ()}) == encoder.model_copy(update={"target_encoded": ()})
    (column,) = mean.target_encoded
    assert column.log_odds["c5"] == pytest.approx(tables[1]["c5"] / 2, abs=1e-6)
    assert column.log_odds["c9"] == pytest.approx((tables[0]["c9"] + tables[1]["c9"]) / 2, abs=1e-6)


def test_a_column_with_the_name_of_an_input_is_an_error() -> None:
    frame = rows(1.0).assign(**{INPUT: 1.0})
    with pytest.raises(InputError, match=r"column 'code=\(target\)' has a name that encoding needs: rename it"):
        fit_to_train(as_sessions(frame, buys="target"), ENCODING, FOLDS)


def test_each_category_of_the_training_set_is_known_when_scoring(encoder: Encoder) -> None:
    unknown = UnknownCategories(encoder)
    unknown.count(pd.DataFrame({"code": ["c599", "c17", "new"] * 10}))
    assert unknown.counts["code"] == 10
    assert "10 of 30 values are unknown to the model, such as new" in unknown.warnings()[0]
    unknown.count(pd.DataFrame({"code": ["new"] * 1000}))
    with pytest.raises(InputError, match="unknown"):
        unknown.check()


# Trees and reasons ------------------------------------------------


@pytest.fixture(scope="module")
def trees(sessions: Sessions, encoder: Encoder) -> BoostedTrees:
    settings = Params.load(ROOT / "params.yaml").train_reference.trees.model_copy(update={"max_iter": 30})
    _, train = fit_to_train(sessions, encoder, FOLDS)
    return BoostedTrees.fit(train, encoder, settings=settings, seed=1)


def test_trees_predict_more_for_a_category_of_a_higher_rate(trees: BoostedTrees) -> None:
    infrequent = {*trees.encoder.target_encoded[0].log_odds} - {*trees.encoder.categorical[0].categories}
    by_rate = sorted(infrequent, key=trees.encoder.target_encoded[0].log_odds.__getitem__)
    predicted = trees.predict(pd.DataFrame({"code": by_rate, "number": 0.3}))
    assert (np.diff(predicted) >= 0).all() and np.ptp(predicted) > 0.2


def test_shares_of_a_score_add_up_where_a_column_has_two_kinds_of_inputs(
    trees: BoostedTrees, sessions: Sessions
) -> None:
    features = pd.DataFrame(sessions.features).head(50)
    explanation = explain(trees, features)
    assert [*explanation.columns] == ["number", "code"] and (np.ptp(explanation.shares, axis=0) > 0.1).all()
    total = explanation.base + explanation.shares.sum(axis=1)
    np.testing.assert_allclose(total, log_odds(trees.predict(features)), atol=1e-9)
