"""The shares of a score are Shapley values: exact where these are known, and always adding up to the log-odds."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, as_sessions, sessions_frame, standard_encoding
from scipy.special import expit

from benchmarks import explanation_error
from stages import score
from stages.lib import explanation
from stages.lib.common.errors import InputError
from stages.lib.common.model_params import Trees
from stages.lib.common.params import Params
from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import Sessions
from stages.lib.explanation import PAIRS, Explanation, antithetic_orders, explain, typical_row
from stages.lib.modeling.blend import Blend, SavedModel, Weights, save_blend
from stages.lib.modeling.boosted_trees import BoostedTrees
from stages.lib.modeling.calibration import Calibration, log_odds
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import Encoder, fit_encoder

DEEP = Trees(learning_rate=0.3, max_iter=30, max_leaf_nodes=12, l2_regularization=0.0, max_features=1.0)
SHALLOW = Trees(learning_rate=0.2, max_iter=10, max_leaf_nodes=3, l2_regularization=5.0, max_features=1.0)
SIGMOID = Calibration(method="sigmoid", slope=0.7, intercept=-0.2)
NAMES = ["a", "b", "c", "d", "e"]


@dataclass(frozen=True)
class Formula:
    """A model whose log-odds are a function of its columns."""

    encoder: Encoder
    log_odds: Callable[[Any], Any]

    def predict(self, features: Frame) -> np.ndarray:
        return expit(np.asarray(self.log_odds(features), np.float64))  # not float32, so that shares are exact


def numbers(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(rows, len(NAMES))), columns=NAMES)


def formula(log_odds: Callable[[Any], Any]) -> Formula:
    return Formula(fit_encoder(numbers(), standard_encoding()), log_odds)


def many_columns(rows: int, seed: int = 7) -> pd.DataFrame:
    """Six features, two of them categories, which interact in the target, `buys`."""
    frame = sessions_frame(rows, seed)
    rng = np.random.default_rng(seed)
    x, y, page = rng.normal(size=rows).round(2), rng.integers(0, 3, rows), rng.choice(["a", "b"], rows)
    frame = frame.assign(x=x, y=y, page=page)
    z = frame["x"] * frame["y"] + frame["pages"] * (frame["page"] == "b") - 3
    return frame.assign(buys=(z + rng.logistic(size=rows) > 0).astype(int))


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return as_sessions(many_columns(800), buys="target")


@pytest.fixture(scope="module")
def encoder(sessions: Sessions) -> Encoder:
    return fit_encoder(sessions.features, standard_encoding())


@pytest.fixture(scope="module")
def trees(sessions: Sessions, encoder: Encoder) -> BoostedTrees:
    return BoostedTrees.fit(sessions, encoder, settings=DEEP, seed=1)


@pytest.fixture(scope="module")
def blend(sessions: Sessions, trees: BoostedTrees) -> Blend:
    """Two models with different encoders, of which one is calibrated."""
    other = fit_encoder(sessions.features, standard_encoding(0.3, scaling="quantile", bins=4))
    models = {"deep": trees, "shallow": BoostedTrees.fit(sessions, other, settings=SHALLOW, seed=1)}
    calibrations = {"deep": SIGMOID, "shallow": Calibration()}
    decisions = {name: Decision(calibration=each, threshold=0.5) for name, each in calibrations.items()}
    return Blend(Weights(weights={"deep": 0.6, "shallow": 0.4}), models, decisions)


def enumerated(model: SavedModel, features: pd.DataFrame) -> np.ndarray:
    """Shapley values (rows, columns) by their definition: a weighted sum over all sets of the other columns."""
    typical = typical_row(model.encoder)
    names = [*typical]

    def value(own: tuple[str, ...]) -> np.ndarray:
        frame = pd.DataFrame({name: features[name] if name in own else typical[name] for name in names}, features.index)
        return log_odds(model.predict(frame))

    subsets = [subset for size in range(len(names) + 1) for subset in combinations(names, size)]
    values = {frozenset(subset): value(subset) for subset in subsets}
    shares = np.zeros((len(features), len(names)))
    for column, name in enumerate(names):
        for subset in filter(lambda subset: name not in subset, subsets):
            weight = 1 / (len(names) * math.comb(len(names) - 1, len(subset)))
            shares[:, column] += weight * (values[frozenset((*subset, name))] - values[frozenset(subset)])
    return shares


def error(model: SavedModel, rows: pd.DataFrame, pairs: int) -> float:
    """The root of the mean squared difference from the exact shares."""
    return float(np.sqrt(np.mean((explain(model, rows, pairs=pairs).shares - enumerated(model, rows)) ** 2)))


# Known values -----------------------------------------------------


def test_of_a_linear_model_a_share_is_the_weight_times_the_difference_from_the_median() -> None:
    weights = np.array([0.5, -1.0, 2.0, 0.0, 0.1])
    model = formula(lambda frame: frame[NAMES] @ weights + 0.3)
    rows, medians = numbers(20, seed=1), numbers().median()
    explained = explain(model, rows, pairs=1)
    assert explained.columns.tolist() == NAMES and explained.base == pytest.approx(medians @ weights + 0.3)
    np.testing.assert_allclose(explained.shares, (rows - medians) * weights, atol=1e-9)


def test_of_a_product_each_of_two_columns_has_half_even_with_a_single_pair_of_orders() -> None:
    model = formula(lambda frame: frame["a"] * frame["d"])
    rows, medians = numbers(20, seed=1), numbers().median()
    shares = explain(model, rows, pairs=1).shares
    a, d = rows["a"] - medians["a"], rows["d"] - medians["d"]
    np.testing.assert_allclose(shares[:, 0], a * medians["d"] + a * d / 2, atol=1e-9)
    np.testing.assert_allclose(shares[:, 3], d * medians["a"] + a * d / 2, atol=1e-9)
    assert not shares[:, [1, 2, 4]].any()


def test_shares_of_columns_that_all_interact_approach_full_enumeration() -> None:
    model = formula(lambda frame: np.sin(frame["a"] * frame["b"]) * frame["c"] + np.maximum(frame["d"], frame["e"]))
    rows = numbers(10, seed=1)
    few, many = (error(model, rows, pairs) for pairs in (4, 1000))
    assert many < 0.01 and many < few / 5


def test_shares_of_trees_and_of_a_blend_approach_full_enumeration(trees: BoostedTrees, blend: Blend) -> None:
    """With missing values, and categories that the training set does not have."""
    rows = many_columns(60, seed=3)
    rows.loc[:2, "browser"] = "Netscape"
    for model in (trees, blend):
        few, many = (error(model, rows, pairs) for pairs in (PAIRS, 32 * PAIRS))
        assert few < 0.1 * enumerated(model, rows).std() and many < few / 3


# What always holds ------------------------------------------------


def test_shares_add_up_to_the_log_odds_before_calibration(trees: BoostedTrees, blend: Blend) -> None:
    rows = many_columns(300, seed=4)
    for model in (trees, blend):
        for pairs in (1, 3):
            explained = explain(model, rows, pairs=pairs)
            total = explained.base + explained.shares.sum(axis=1)
            np.testing.assert_allclose(total, log_odds(model.predict(rows)), rtol=0, atol=1e-9)


def test_shares_of_a_blend_are_the_weighted_mean_of_those_of_its_calibrated_models(blend: Blend) -> None:
    """Sigmoid calibration is a line on the log-odds: shares are multiplied by its slope."""
    rows = many_columns(100, seed=4)
    deep, shallow = (explain(model, rows) for model in blend.models.values())
    blended = explain(blend, rows)
    np.testing.assert_allclose(blended.shares, 0.6 * SIGMOID.slope * deep.shares + 0.4 * shallow.shares, atol=2e-6)
    base = 0.6 * (SIGMOID.slope * deep.base + SIGMOID.intercept) + 0.4 * shallow.base
    assert blended.base == pytest.approx(base, abs=2e-6)


def test_a_typical_row_and_a_column_that_the_model_does_not_use_have_no_shares(trees: BoostedTrees) -> None:
    typical = pd.DataFrame([typical_row(trees.encoder)] * 2)
    assert not explain(trees, typical).shares.any()
    one = typical.assign(x=3.0)
    explained = explain(trees, one)
    place = explained.columns.tolist().index("x")
    np.testing.assert_allclose(explained.shares[:, place], log_odds(trees.predict(one)) - explained.base)
    assert np.count_nonzero(explained.shares) == 2
    assert len(explain(trees, typical[:0]).shares) == 0


def test_a_row_s_shares_do_not_depend_on_the_rows_with_it(trees: BoostedTrees, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = many_columns(50, seed=4)
    together = explain(trees, rows)
    monkeypatch.setattr(explanation, "ROWS_PER_CALL", 150)  # about two rows, and less than some
    np.testing.assert_array_equal(explain(trees, rows).shares, together.shares)
    np.testing.assert_array_equal(explain(trees, rows[17:18]).shares, together.shares[17:18])
    np.testing.assert_array_equal(explain(trees, rows[::-1]).shares[::-1], together.shares)


def test_a_missing_value_is_a_reason_of_its_own_column(sessions: Sessions, trees: BoostedTrees) -> None:
    typical = pd.DataFrame([typical_row(trees.encoder)]).assign(seconds=np.nan, browser=None)
    explained = explain(trees, typical)
    assert {name for names, _ in explained.largest(2) for name in names} <= {"seconds", "browser", None}
    total = explained.base + explained.shares.sum()
    assert total == pytest.approx(log_odds(trees.predict(typical))[0])


def test_orders_come_in_pairs_of_which_one_is_the_reverse_of_the_other() -> None:
    orders = antithetic_orders(6, 3, seed=1)
    np.testing.assert_array_equal(orders[::2], orders[1::2, ::-1])
    np.testing.assert_array_equal(np.sort(orders), [range(6)] * 6)
    assert len(np.unique(orders, axis=0)) == 6


def test_the_largest_shares_are_named_by_size_the_first_column_of_equal_ones_first() -> None:
    shares = np.array([[0.1, -0.5, 0.5], [0.0, 0.2, 0.0]])
    explained = Explanation(-2.0, shares, np.array(["a", "b", "c"], dtype=object))
    (first, most), (second, next_most) = explained.largest(2)
    assert (first.tolist(), most.tolist()) == (["b", "b"], [-0.5, 0.2])
    assert (second.tolist(), next_most.tolist()) == (["c", None], [0.5, 0.0])
    assert len(explained.largest(9)) == 3


@pytest.mark.slow
def test_shares_of_a_network_and_of_its_blend_with_trees_add_up(
    sessions: Sessions, encoder: Encoder, trees: BoostedTrees
) -> None:
    from stages.lib.modeling.model import Model
    from stages.lib.modeling.network import build_network

    settings = Params.load(ROOT / "params.yaml").train_base.network
    network = Model(build_network(settings, len(encoder.input_names), seed=1), encoder, {})
    decision = Decision(calibration=Calibration(), threshold=0.5)
    both: dict[str, SavedModel] = {"network": network, "trees": trees}
    blended = Blend(Weights(weights={"network": 0.5, "trees": 0.5}), both, dict.fromkeys(both, decision))
    rows = many_columns(40, seed=4)
    for model in (network, blended):
        explained = explain(model, rows)
        total = explained.base + explained.shares.sum(axis=1)
        np.testing.assert_allclose(total, log_odds(model.predict(rows)), rtol=0, atol=1e-9)
        assert error(model, rows, PAIRS) < 0.1 * explained.shares.std()
        np.testing.assert_array_equal(explain(model, rows[7:8]).shares, explained.shares[7:8])


def test_the_benchmark_finds_smaller_errors_with_more_orders(trees: BoostedTrees) -> None:
    results = explanation_error.measure(trees, many_columns(10, seed=4))
    assert results["orders"].tolist() == [2, 4, 8, 16, 32] and results["error"].iloc[-1] < results["error"].iloc[0] / 2
    assert results["top_3"].between(0.5, 1).all() and (results["ms"] > 0).all()


# The command ------------------------------------------------------


@pytest.fixture
def model_folder(sessions: Sessions, blend: Blend, tmp_path: Path) -> Path:
    schema = Schema.from_arrow(sessions.table.schema).model_copy(update={"source_type": "sessions"})
    for name, model in blend.models.items():
        assert isinstance(model, BoostedTrees)
        model.save(tmp_path / name, blend.decisions[name], schema)
    isotonic = Calibration(method="isotonic", knots=(0.0, 1.0), values=(0.1, 0.6))
    parts = [tmp_path / name for name in blend.models]
    save_blend(tmp_path / "blend", blend.weights, parts, Decision(calibration=isotonic, threshold=0.3), schema)
    return tmp_path / "blend"


def scores(model: Path, rows: pd.DataFrame, **options: Any) -> pd.DataFrame:
    rows.to_csv(model.parent / "new.csv", index=False)
    score.main(model, model.parent / "new.csv", output=model.parent / "scores.csv", **options)
    return pd.read_csv(model.parent / "scores.csv")


def test_reasons_are_columns_of_the_scores_and_change_no_other(model_folder: Path, blend: Blend) -> None:
    rows = many_columns(30, seed=9).drop(columns="buys")
    plain, explained = scores(model_folder, rows), scores(model_folder, rows, explain="2")
    reasons = ["base", "reason_1", "share_1", "reason_2", "share_2", "rest"]
    assert [*explained] == [*plain, *reasons]
    pd.testing.assert_frame_equal(explained[[*plain]], plain)
    total = explained[["base", "share_1", "share_2", "rest"]].sum(axis=1)
    np.testing.assert_allclose(total, log_odds(blend.predict(rows)), atol=1e-6)
    assert (explained.share_1.abs() >= explained.share_2.abs()).all()
    assert set(explained.reason_1) <= {*rows}
    alone = scores(model_folder, rows[4:5], explain="2")
    pd.testing.assert_frame_equal(alone[reasons], explained[reasons][4:5].reset_index(drop=True))


def test_a_batch_is_as_good_as_a_file(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = many_columns(30, seed=9)
    expected = scores(model_folder, rows, explain="1")
    monkeypatch.setattr(score, "EXPLAINED_ROWS", 7)
    pd.testing.assert_frame_equal(scores(model_folder, rows, explain="1"), expected)


def test_more_reasons_than_columns_are_all_columns(model_folder: Path) -> None:
    explained = scores(model_folder, many_columns(5, seed=9), explain="100")
    assert [*explained][-3:] == ["reason_6", "share_6", "rest"]
    np.testing.assert_allclose(explained["rest"], 0, atol=1e-6)  # what the others are rounded by


def test_a_typical_row_has_no_reasons(model_folder: Path, blend: Blend) -> None:
    explained = scores(model_folder, pd.DataFrame([typical_row(blend.encoder)]), explain="1")
    assert explained["reason_1"].isna().all() and explained[["share_1", "rest"]].eq(0).all(axis=None)


@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5", "", "٣"])
def test_other_numbers_of_reasons_are_refused(tmp_path: Path, count: str) -> None:
    with pytest.raises(InputError, match=rf"^--explain: expected how many columns .* got '{count}'$"):
        score.main(tmp_path, tmp_path, output=tmp_path / "scores.csv", explain=count)
