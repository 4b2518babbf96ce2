"""Inputs of the network: held to scikit-learn, fitted on training rows alone, the same from disk."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import PreparedSessions, sessions_frame, standard
from scipy import stats
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

from stages.lib.common.errors import InputError
from stages.lib.modeling.encoder import INFREQUENT, MISSING, Encoder, fit_encoder

NUMBERS = ["pages", "seconds"]


@pytest.fixture
def features() -> pd.DataFrame:
    return sessions_frame(200).drop(columns="buys")


def levels(encoder: Encoder, name: str) -> tuple[str, ...]:
    return next(category.levels for category in encoder.categories if category.name == name)


def inputs(encoder: Encoder, features: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(encoder.transform(features), columns=encoder.names)


def words(*counts: int) -> pd.DataFrame:
    """A category with the levels a, b, … as often as `counts` says, and a number."""
    column = np.repeat([*"abcdefgh"[: len(counts)]], counts)
    return pd.DataFrame({"word": column, "number": np.arange(len(column))})


def test_numbers_are_imputed_marked_and_standardised_as_by_sklearn(features) -> None:
    other = sessions_frame(60, seed=8).drop(columns="buys")
    encoder = fit_encoder(features, standard(0.002))
    imputer, scaler = SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
    scaler.fit(imputer.fit_transform(features[NUMBERS]))
    for rows in (features, other):
        expected = scaler.transform(imputer.transform(rows[NUMBERS]))
        ours = inputs(encoder, rows)[[*NUMBERS, "seconds=(missing)"]]
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_categories_are_one_hot_and_standardised_as_by_sklearn(features) -> None:
    encoder = fit_encoder(features, standard(0.002))
    kept = levels(encoder, "browser")
    assert kept == ("Chrome", "Firefox", "Safari", MISSING)
    browsers = features[["browser"]].fillna(MISSING)
    one_hot = OneHotEncoder(categories=[[*kept]], drop="first", sparse_output=False).fit_transform(browsers)
    ours = inputs(encoder, features)[[f"browser={level}" for level in kept[1:]]]
    np.testing.assert_allclose(ours, StandardScaler().fit_transform(one_hot), rtol=1e-5, atol=1e-6)


def test_all_inputs_have_zero_mean_and_unit_variance_on_the_training_rows(features) -> None:
    transformed = fit_encoder(features, standard(0.002)).transform(features)
    assert transformed.dtype == np.float32
    np.testing.assert_allclose(transformed.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(transformed.std(axis=0), 1, atol=1e-6)


def test_the_names_are_those_of_the_inputs(features) -> None:
    encoder = fit_encoder(features, standard(0.002))
    assert encoder.names == [
        "pages", "seconds", "seconds=(missing)", "browser=Firefox", "browser=Safari", "browser=(missing)"
    ]  # fmt: skip
    assert encoder.transform(features).shape == (200, 6)


def test_the_reference_level_is_the_most_frequent_or_the_first_by_name() -> None:
    assert levels(fit_encoder(words(3, 9, 3), standard()), "word") == ("b", "a", "c")
    assert levels(fit_encoder(words(5, 5, 5), standard()), "word") == ("a", "b", "c")


def test_rare_levels_are_one() -> None:
    encoder = fit_encoder(words(50, 40, 6, 3, 1), standard(0.05))
    assert levels(encoder, "word") == ("a", "b", "c", INFREQUENT)
    places = encoder.codes(words(1, 1, 1, 1, 1))[:, -1]
    assert places.tolist() == [0, 1, 2, 3, 3]


def test_a_level_of_just_the_share_is_not_rare() -> None:
    assert levels(fit_encoder(words(90, 10), standard(0.1)), "word") == ("a", "b")
    assert levels(fit_encoder(words(91, 9), standard(0.1)), "word") == ("a", INFREQUENT)


def test_a_level_that_is_called_rare_already_joins_the_rare_ones() -> None:
    table = pd.DataFrame({"word": ["a"] * 8 + [INFREQUENT] * 6 + ["b"], "number": range(15)})
    encoder = fit_encoder(table, standard(0.1))
    assert levels(encoder, "word") == ("a", INFREQUENT)
    assert encoder.codes(table)[:, -1].tolist() == [0] * 8 + [1] * 7


@pytest.mark.parametrize(("share", "place"), [(0, 0), (0.2, 2)], ids=["the most frequent", "the rare"])
def test_an_unknown_level_counts_as(share, place) -> None:
    encoder = fit_encoder(words(50, 40, 10), standard(share))
    unknown = pd.DataFrame({"word": ["never seen", None], "number": [1, 2]})
    assert encoder.codes(unknown)[:, -1].tolist() == [place, place]


def test_missing_numbers_that_training_never_had_are_its_median() -> None:
    encoder = fit_encoder(pd.DataFrame({"number": [1, 2, 9]}), standard())
    assert encoder.names == ["number"]
    missing, median = encoder.transform(pd.DataFrame({"number": [np.nan, 2.0]}))
    assert missing == median


def test_a_column_that_training_knows_only_missing_does_no_harm() -> None:
    table = pd.DataFrame({"number": [np.nan] * 4, "word": [None] * 4, "other": range(4)}).astype({"word": object})
    encoder = fit_encoder(table, standard(0.002))
    later = pd.DataFrame({"number": [3.0, np.nan], "word": ["a", None], "other": [1, 2]})
    assert np.isfinite(encoder.transform(table)).all()
    assert np.abs(encoder.transform(later)).max() < 10


@pytest.mark.parametrize("value", [0, 3, 0.1, 1e9 + 0.1, 1e-12])
def test_a_number_that_is_constant_in_training_is_not_blown_up_later(value) -> None:
    encoder = fit_encoder(pd.DataFrame({"number": [value] * 7, "other": range(7)}), standard())
    later = encoder.transform(pd.DataFrame({"number": [value, value + 1], "other": [1, 1]}))[:, 0]
    np.testing.assert_allclose(later, [0, 1], atol=1e-6)


def test_only_numbers_or_only_categories_will_do(features) -> None:
    assert fit_encoder(features[NUMBERS], standard()).transform(features).shape == (200, 3)
    assert fit_encoder(features[["browser"]], standard()).transform(features).shape == (200, 3)


def test_the_encoder_knows_only_the_rows_it_was_fitted_on(features) -> None:
    encoder = fit_encoder(features[:100], standard(0.002))
    changed = features.copy()
    changed.loc[100:, "pages"] = 10**6
    changed.loc[100:, "browser"] = "Opera"
    assert fit_encoder(changed[:100], standard(0.002)) == encoder
    np.testing.assert_array_equal(encoder.transform(changed)[:100], encoder.transform(features)[:100])


def test_each_row_is_transformed_alone(features) -> None:
    encoder = fit_encoder(features, standard(0.002))
    np.testing.assert_array_equal(encoder.transform(features[7:8]), encoder.transform(features)[7:8])
    assert encoder.transform(features[:0]).shape == (0, 6)


def test_transforming_is_coding_and_expanding(features) -> None:
    encoder = fit_encoder(features, standard(0.002))
    codes = encoder.codes(features)
    np.testing.assert_array_equal(encoder.transform(features), encoder.expand(codes))
    assert codes.shape == (200, 4)
    assert encoder.code_is_category.tolist() == [False, False, True, True]
    assert {*codes[:, 2]} == {0, 1}
    assert {*codes[:, 3]} == {0, 1, 2, 3}


def test_neither_more_columns_nor_their_order_matter(features) -> None:
    encoder = fit_encoder(features, standard(0.002))
    shuffled = features.assign(other=1)[["other", "browser", "seconds", "pages"]]
    np.testing.assert_array_equal(encoder.transform(shuffled), encoder.transform(features))


def test_columns_of_pandas_nullable_types_are_the_same(features) -> None:
    encoder = fit_encoder(features, standard(0.002))
    nullable = features.astype({"pages": "Int64", "seconds": "Float64", "browser": "string"})
    np.testing.assert_array_equal(encoder.transform(nullable), encoder.transform(features))


@pytest.mark.parametrize("name", ["pages", "browser"])
def test_a_missing_column_is_named(features, name) -> None:
    encoder = fit_encoder(features, standard(0.002))
    with pytest.raises(InputError, match=f"^no column '{name}', which the model was trained on; it has [a-z, ]+$"):
        encoder.transform(features.drop(columns=name))


def test_an_encoder_is_the_same_from_disk(features, tmp_path: Path) -> None:
    encoder = fit_encoder(features.rename(columns={"browser": "Gerät"}), standard(0.002))
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    encoder.save(first)
    loaded = Encoder.load(first)
    loaded.save(second)
    assert loaded == encoder
    assert second.read_bytes() == first.read_bytes()


def test_the_order_of_the_training_rows_does_not_matter(features) -> None:
    encoder, shuffled = (
        fit_encoder(rows, standard(0.15)) for rows in (features, features.sample(frac=1, random_state=3))
    )
    assert shuffled.names == encoder.names
    assert shuffled.categories == encoder.categories
    assert [number.median for number in shuffled.numbers] == [number.median for number in encoder.numbers]
    np.testing.assert_allclose(shuffled.transform(features), encoder.transform(features), rtol=1e-5, atol=1e-6)


# Quantiles and parts ----------------------------------------------

QUANTILE = standard(numbers="quantile")


def test_normal_scores_are_those_of_sklearn_where_values_differ() -> None:
    random = np.random.default_rng(0)
    features = pd.DataFrame({"x": random.exponential(size=3000) ** 2})
    ours = inputs(fit_encoder(features, QUANTILE), features)["x"]
    theirs = QuantileTransformer(n_quantiles=3000, output_distribution="normal").fit_transform(features)[:, 0]
    np.testing.assert_allclose(ours, theirs.clip(-3, 3), atol=0.04)
    assert stats.spearmanr(ours, features["x"]).statistic > 0.9999


def test_equal_values_have_the_score_of_their_middle_rank() -> None:
    features = pd.DataFrame({"x": np.repeat([0.0, 1.0, 5.0], [50, 30, 20])})
    found = inputs(fit_encoder(features, QUANTILE), pd.DataFrame({"x": [0.0, 1.0, 5.0, -99, 99, 0.5]}))["x"]
    low, middle, high = stats.norm.ppf([0.25, 0.65, 0.9])
    np.testing.assert_allclose(found, [low, middle, high, low, high, (low + middle) / 2], rtol=1e-6)


def test_scores_of_missing_values_are_the_median_s_and_marked() -> None:
    values = np.r_[np.arange(99.0), [np.nan] * 11]
    encoder = fit_encoder(pd.DataFrame({"x": values}), QUANTILE)
    found = inputs(encoder, pd.DataFrame({"x": [np.nan, 49.0]}))
    assert found["x"].iloc[0] == found["x"].iloc[1] == pytest.approx(0, abs=1e-6)
    assert found["x=(missing)"].tolist() == pytest.approx([0.9, -0.1])


def test_parts_are_the_piecewise_linear_encoding_of_the_paper() -> None:
    """Gorishniy et al. 2022, equation 1: 0 before a bin, 1 after it, straight in between; here less its mean."""
    features = pd.DataFrame({"x": np.arange(101.0)})
    encoder = fit_encoder(features, standard(numbers="quantile", bins=4))
    assert encoder.names == ["x", "x[1]", "x[2]", "x[3]", "x[4]"] and encoder.columns == ["x"] * 5
    parts = inputs(encoder, features).to_numpy()[:, 1:]
    edges = np.quantile(features["x"], [0, 0.25, 0.5, 0.75, 1])
    expected = np.clip((features[["x"]].to_numpy() - edges[:-1]) / np.diff(edges), 0, 1)
    np.testing.assert_allclose(parts, expected - expected.mean(axis=0), atol=1e-6)


def test_few_values_are_parts_of_their_own() -> None:
    features = pd.DataFrame({"x": np.repeat([1.0, 2.0, 10.0], [60, 30, 10]), "same": 7.0})
    encoder = fit_encoder(features, standard(bins=16))
    assert encoder.names == ["x", "same", "x[1]", "x[2]"]
    assert encoder.numbers[1].edges == ()
    found = inputs(encoder, pd.DataFrame({"x": [1.0, 2.0, 10.0], "same": 7.0}))
    assert (np.diff(found["x[1]"]) > 0).tolist() == [True, False]
    assert (np.diff(found["x[2]"]) > 0).tolist() == [False, True]


def test_at_most_so_many_levels() -> None:
    encoder = fit_encoder(words(9, 8, 7, 6, 5), standard(levels=3))
    assert levels(encoder, "word") == (INFREQUENT, "a", "b")
    assert levels(fit_encoder(words(9, 8, 7), standard(levels=3)), "word") == ("a", "b", "c")


@pytest.mark.parametrize("numbers", ["standard", "quantile"])
@pytest.mark.parametrize("bins", [0, 5])
def test_every_encoding_is_centred_saved_and_loaded(numbers, bins, features, tmp_path: Path) -> None:
    encoder = fit_encoder(features, standard(numbers=numbers, bins=bins))
    found = encoder.transform(features)
    assert found.shape == (len(features), len(encoder.names)) and np.isfinite(found).all()
    np.testing.assert_allclose(found[:, 2:].mean(axis=0), 0, atol=1e-6)
    encoder.save(tmp_path / "encoder.json")
    loaded = Encoder.load(tmp_path / "encoder.json")
    assert loaded == encoder and (loaded.transform(features) == found).all()


def test_a_date_is_a_number_with_a_mark_where_it_is_missing(prepared: PreparedSessions) -> None:
    rows = sessions_frame(200).assign(day=[f"2024-05-{place % 28 + 1:02}" if place % 5 else "" for place in range(200)])
    features = prepared(rows).features
    encoder = fit_encoder(features, standard())
    assert {"day", "day=(missing)"} <= {*encoder.names}
    ours = inputs(encoder, features)
    marks = ours["day=(missing)"] > 0
    assert marks.tolist() == [place % 5 == 0 for place in range(200)]
    assert ours["day"][~marks].rank().tolist() == rows.day[~marks].rank().tolist()
