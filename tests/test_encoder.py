"""The encoder agrees with scikit-learn, is fitted on the training set only, and is the same when loaded from disk."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import PreparedSessions, sessions_frame, standard_encoding
from scipy import stats
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

from stages.lib.common.errors import InputError
from stages.lib.modeling.columns import INFREQUENT, MISSING
from stages.lib.modeling.encoder import Encoder, fit_encoder

NUMERIC = ["pages", "seconds"]
QUANTILE = standard_encoding(scaling="quantile")


@pytest.fixture
def features() -> pd.DataFrame:
    return sessions_frame(200).drop(columns="buys")


def categories(encoder: Encoder, name: str) -> tuple[str, ...]:
    return next(column.categories for column in encoder.categorical if column.name == name)


def inputs(encoder: Encoder, features: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(encoder.transform(features), columns=encoder.input_names)


def words(*counts: int) -> pd.DataFrame:
    """A column with the categories a, b, … as often as `counts` says, and a numeric column."""
    column = np.repeat([*"abcdefgh"[: len(counts)]], counts)
    return pd.DataFrame({"word": column, "number": np.arange(len(column))})


def test_numeric_columns_are_imputed_and_standardized_as_by_sklearn(features: pd.DataFrame) -> None:
    other = sessions_frame(60, seed=8).drop(columns="buys")
    encoder = fit_encoder(features, standard_encoding(0.002))
    imputer, scaler = SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
    scaler.fit(imputer.fit_transform(features[NUMERIC]))
    for rows in (features, other):
        expected = scaler.transform(imputer.transform(rows[NUMERIC]))
        actual = inputs(encoder, rows)[[*NUMERIC, "seconds=(missing)"]]
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_categorical_columns_are_one_hot_and_standardized_as_by_sklearn(features: pd.DataFrame) -> None:
    encoder = fit_encoder(features, standard_encoding(0.002))
    browsers = categories(encoder, "browser")
    assert browsers == ("Chrome", "Firefox", "Safari", MISSING)
    filled = features[["browser"]].fillna(MISSING)
    one_hot = OneHotEncoder(categories=[[*browsers]], drop="first", sparse_output=False).fit_transform(filled)
    actual = inputs(encoder, features)[[f"browser={name}" for name in browsers[1:]]]
    np.testing.assert_allclose(actual, StandardScaler().fit_transform(one_hot), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Found unknown categories:UserWarning")
def test_infrequent_and_unknown_categories_are_treated_as_by_sklearn() -> None:
    train, test = words(50, 40, 6, 3, 1)[["word"]], pd.DataFrame({"word": [*"abcde", "unknown"]})
    for min_frequency in (0.0, 0.05):
        encoder = fit_encoder(train, standard_encoding(min_frequency, scaling="quantile"))
        sklearn = OneHotEncoder(
            categories=[[*"abcde"]],
            drop="first",
            min_frequency=min_frequency or None,
            handle_unknown="infrequent_if_exist",
            sparse_output=False,
        ).fit(train)
        expected = sklearn.transform(test) - sklearn.transform(train).mean(axis=0)
        np.testing.assert_allclose(encoder.transform(test), expected, atol=1e-6)


def test_all_inputs_have_zero_mean_and_unit_variance_on_the_training_set(features: pd.DataFrame) -> None:
    transformed = fit_encoder(features, standard_encoding(0.002)).transform(features)
    assert transformed.dtype == np.float32
    np.testing.assert_allclose(transformed.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(transformed.std(axis=0), 1, atol=1e-6)


def test_inputs_are_named_in_their_order(features: pd.DataFrame) -> None:
    encoder = fit_encoder(features, standard_encoding(0.002))
    assert encoder.input_names == [
        "pages", "seconds", "seconds=(missing)", "browser=Firefox", "browser=Safari", "browser=(missing)"
    ]  # fmt: skip
    assert encoder.transform(features).shape == (200, 6)


@pytest.mark.parametrize("bins", [0, 4])
def test_each_input_comes_from_the_column_in_its_name(bins: int, features: pd.DataFrame) -> None:
    encoder = fit_encoder(features, standard_encoding(bins=bins))
    assert len(encoder.input_columns) == len(encoder.input_names)
    for column, name in zip(encoder.input_columns, encoder.input_names, strict=True):
        assert name.split("=")[0].split("[")[0] == column


def test_the_dropped_category_is_the_most_frequent_or_the_first_by_name() -> None:
    assert categories(fit_encoder(words(3, 9, 3), standard_encoding()), "word") == ("b", "a", "c")
    assert categories(fit_encoder(words(5, 5, 5), standard_encoding()), "word") == ("a", "b", "c")


def test_infrequent_categories_are_grouped() -> None:
    encoder = fit_encoder(words(50, 40, 6, 3, 1), standard_encoding(0.05))
    assert categories(encoder, "word") == ("a", "b", "c", INFREQUENT)
    assert encoder.ordinals(words(1, 1, 1, 1, 1))[:, -1].tolist() == [0, 1, 2, 3, 3]


def test_a_category_of_exactly_the_minimum_frequency_is_not_infrequent() -> None:
    assert categories(fit_encoder(words(90, 10), standard_encoding(0.1)), "word") == ("a", "b")
    assert categories(fit_encoder(words(91, 9), standard_encoding(0.1)), "word") == ("a", INFREQUENT)


def test_a_category_that_is_called_infrequent_joins_the_infrequent_ones() -> None:
    table = pd.DataFrame({"word": ["a"] * 8 + [INFREQUENT] * 6 + ["b"], "number": range(15)})
    encoder = fit_encoder(table, standard_encoding(0.1))
    assert categories(encoder, "word") == ("a", INFREQUENT)
    assert encoder.ordinals(table)[:, -1].tolist() == [0] * 8 + [1] * 7


@pytest.mark.parametrize(("min_frequency", "ordinal"), [(0, 0), (0.2, 2)], ids=["the most frequent", "infrequent"])
def test_an_unknown_category_counts_as(min_frequency: float, ordinal: int) -> None:
    encoder = fit_encoder(words(50, 40, 10), standard_encoding(min_frequency))
    unknown = pd.DataFrame({"word": ["never seen", None], "number": [1, 2]})
    assert encoder.ordinals(unknown)[:, -1].tolist() == [ordinal, ordinal]


def test_there_are_at_most_max_categories() -> None:
    encoder = fit_encoder(words(9, 8, 7, 6, 5), standard_encoding(max_categories=3))
    assert categories(encoder, "word") == (INFREQUENT, "a", "b")
    assert categories(fit_encoder(words(9, 8, 7), standard_encoding(max_categories=3)), "word") == ("a", "b", "c")


def test_missing_numbers_become_the_median_if_the_training_set_has_none() -> None:
    encoder = fit_encoder(pd.DataFrame({"number": [1, 2, 9]}), standard_encoding())
    assert encoder.input_names == ["number"]
    missing, median = encoder.transform(pd.DataFrame({"number": [np.nan, 2.0]}))
    assert missing == median


def test_a_column_that_is_all_missing_in_the_training_set_is_harmless() -> None:
    table = pd.DataFrame({"number": [np.nan] * 4, "word": [None] * 4, "other": range(4)}).astype({"word": object})
    encoder = fit_encoder(table, standard_encoding(0.002))
    later = pd.DataFrame({"number": [3.0, np.nan], "word": ["a", None], "other": [1, 2]})
    assert np.isfinite(encoder.transform(table)).all()
    assert np.abs(encoder.transform(later)).max() < 10


@pytest.mark.parametrize("value", [0, 3, 0.1, 1e9 + 0.1, 1e-12])
def test_a_column_that_is_constant_in_the_training_set_is_not_scaled_up(value: float) -> None:
    encoder = fit_encoder(pd.DataFrame({"number": [value] * 7, "other": range(7)}), standard_encoding())
    later = encoder.transform(pd.DataFrame({"number": [value, value + 1], "other": [1, 1]}))[:, 0]
    np.testing.assert_allclose(later, [0, 1], atol=1e-6)


def test_all_columns_may_be_numeric_or_categorical(features: pd.DataFrame) -> None:
    assert fit_encoder(features[NUMERIC], standard_encoding()).transform(features).shape == (200, 3)
    assert fit_encoder(features[["browser"]], standard_encoding()).transform(features).shape == (200, 3)


def test_other_rows_than_the_training_set_do_not_change_the_encoder(features: pd.DataFrame) -> None:
    encoder = fit_encoder(features[:100], standard_encoding(0.002))
    changed = features.copy()
    changed.loc[100:, "pages"] = 10**6
    changed.loc[100:, "browser"] = "Opera"
    assert fit_encoder(changed[:100], standard_encoding(0.002)) == encoder
    np.testing.assert_array_equal(encoder.transform(changed)[:100], encoder.transform(features)[:100])


def test_each_row_is_transformed_by_itself(features: pd.DataFrame) -> None:
    encoder = fit_encoder(features, standard_encoding(0.002))
    np.testing.assert_array_equal(encoder.transform(features[7:8]), encoder.transform(features)[7:8])
    assert encoder.transform(features[:0]).shape == (0, 6)


def test_inputs_are_expanded_ordinals(features: pd.DataFrame) -> None:
    encoder = fit_encoder(features, standard_encoding(0.002))
    ordinals = encoder.ordinals(features)
    np.testing.assert_array_equal(encoder.transform(features), encoder.expand(ordinals))
    assert ordinals.shape == (200, 4)
    assert encoder.is_categorical.tolist() == [False, False, True, True]
    assert {*ordinals[:, 2]} == {0, 1}
    assert {*ordinals[:, 3]} == {0, 1, 2, 3}


def test_additional_columns_and_their_order_do_not_matter(features: pd.DataFrame) -> None:
    encoder = fit_encoder(features, standard_encoding(0.002))
    shuffled = features.assign(other=1)[["other", "browser", "seconds", "pages"]]
    np.testing.assert_array_equal(encoder.transform(shuffled), encoder.transform(features))


def test_nullable_types_of_pandas_give_the_same_inputs(features: pd.DataFrame) -> None:
    encoder = fit_encoder(features, standard_encoding(0.002))
    nullable = features.astype({"pages": "Int64", "seconds": "Float64", "browser": "string"})
    np.testing.assert_array_equal(encoder.transform(nullable), encoder.transform(features))


@pytest.mark.parametrize("name", ["pages", "browser"])
def test_the_error_about_a_missing_column_names_it(name: str, features: pd.DataFrame) -> None:
    encoder = fit_encoder(features, standard_encoding(0.002))
    message = f"^no column '{name}', on which the model was trained; the columns are [a-z, ]+$"
    with pytest.raises(InputError, match=message):
        encoder.transform(features.drop(columns=name))


def test_a_loaded_encoder_is_the_one_that_was_saved(features: pd.DataFrame, tmp_path: Path) -> None:
    encoder = fit_encoder(features.rename(columns={"browser": "Gerät"}), standard_encoding(0.002))
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    encoder.save(first)
    loaded = Encoder.load(first)
    loaded.save(second)
    assert loaded == encoder
    assert second.read_bytes() == first.read_bytes()


@pytest.mark.parametrize("content", [b"{", b'{"mean": []}'])
def test_a_broken_encoder_file_is_an_error_of_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_bytes(content)
    with pytest.raises(InputError, match=r"encoder\.json: not the encoder of a trained model: [^\n]+$"):
        Encoder.load(tmp_path / "encoder.json")


def test_the_order_of_the_training_rows_does_not_matter(features: pd.DataFrame) -> None:
    encoder, shuffled = (
        fit_encoder(rows, standard_encoding(0.15)) for rows in (features, features.sample(frac=1, random_state=3))
    )
    assert shuffled.input_names == encoder.input_names
    assert shuffled.categorical == encoder.categorical
    assert [column.median for column in shuffled.numeric] == [column.median for column in encoder.numeric]
    np.testing.assert_allclose(shuffled.transform(features), encoder.transform(features), rtol=1e-5, atol=1e-6)


# Quantile scaling and bins ----------------------------------------


def test_normal_scores_are_those_of_sklearn_if_values_differ() -> None:
    rng = np.random.default_rng(0)
    features = pd.DataFrame({"x": rng.exponential(size=3000) ** 2})
    actual = inputs(fit_encoder(features, QUANTILE), features)["x"]
    expected = QuantileTransformer(n_quantiles=3000, output_distribution="normal").fit_transform(features)[:, 0]
    np.testing.assert_allclose(actual, expected.clip(-3, 3), atol=0.04)
    assert stats.spearmanr(actual, features["x"]).statistic > 0.9999


def test_equal_values_have_the_normal_score_of_their_middle_rank() -> None:
    features = pd.DataFrame({"x": np.repeat([0.0, 1.0, 5.0], [50, 30, 20])})
    actual = inputs(fit_encoder(features, QUANTILE), pd.DataFrame({"x": [0.0, 1.0, 5.0, -99, 99, 0.5]}))["x"]
    low, middle, high = stats.norm.ppf([0.25, 0.65, 0.9])
    np.testing.assert_allclose(actual, [low, middle, high, low, high, (low + middle) / 2], rtol=1e-6)


def test_missing_values_have_the_normal_score_of_the_median_and_an_indicator() -> None:
    values = np.r_[np.arange(99.0), [np.nan] * 11]
    encoder = fit_encoder(pd.DataFrame({"x": values}), QUANTILE)
    actual = inputs(encoder, pd.DataFrame({"x": [np.nan, 49.0]}))
    assert actual["x"].iloc[0] == actual["x"].iloc[1] == pytest.approx(0, abs=1e-6)
    assert actual["x=(missing)"].tolist() == pytest.approx([0.9, -0.1])


def test_bins_are_the_piecewise_linear_encoding_of_the_paper() -> None:
    """Gorishniy et al. 2022, equation 1: 0 before a bin, 1 after it, linear in between; here less its mean."""
    features = pd.DataFrame({"x": np.arange(101.0)})
    encoder = fit_encoder(features, standard_encoding(scaling="quantile", bins=4))
    assert encoder.input_names == ["x", "x[1]", "x[2]", "x[3]", "x[4]"] and encoder.input_columns == ["x"] * 5
    binned = inputs(encoder, features).to_numpy()[:, 1:]
    edges = np.quantile(features["x"], [0, 0.25, 0.5, 0.75, 1])
    expected = np.clip((features[["x"]].to_numpy() - edges[:-1]) / np.diff(edges), 0, 1)
    np.testing.assert_allclose(binned, expected - expected.mean(axis=0), atol=1e-6)


def test_few_distinct_values_are_bin_edges_themselves() -> None:
    features = pd.DataFrame({"x": np.repeat([1.0, 2.0, 10.0], [60, 30, 10]), "same": 7.0})
    encoder = fit_encoder(features, standard_encoding(bins=16))
    assert encoder.input_names == ["x", "same", "x[1]", "x[2]"]
    assert encoder.numeric[1].bin_edges == ()
    actual = inputs(encoder, pd.DataFrame({"x": [1.0, 2.0, 10.0], "same": 7.0}))
    assert (np.diff(actual["x[1]"]) > 0).tolist() == [True, False]
    assert (np.diff(actual["x[2]"]) > 0).tolist() == [False, True]


@pytest.mark.parametrize("scaling", ["standard", "quantile"])
@pytest.mark.parametrize("bins", [0, 5])
def test_every_encoding_is_centered_saved_and_loaded(
    scaling: str, bins: int, features: pd.DataFrame, tmp_path: Path
) -> None:
    encoder = fit_encoder(features, standard_encoding(scaling=scaling, bins=bins))
    transformed = encoder.transform(features)
    assert transformed.shape == (len(features), len(encoder.input_names)) and np.isfinite(transformed).all()
    np.testing.assert_allclose(transformed[:, 2:].mean(axis=0), 0, atol=1e-6)
    encoder.save(tmp_path / "encoder.json")
    loaded = Encoder.load(tmp_path / "encoder.json")
    assert loaded == encoder and (loaded.transform(features) == transformed).all()


def test_a_date_is_a_number_with_a_missing_indicator(prepared: PreparedSessions) -> None:
    rows = sessions_frame(200).assign(day=[f"2024-05-{i % 28 + 1:02}" if i % 5 else "" for i in range(200)])
    features = prepared(rows).features
    assert isinstance(features, pd.DataFrame)
    encoder = fit_encoder(features, standard_encoding())
    assert {"day", "day=(missing)"} <= {*encoder.input_names}
    actual = inputs(encoder, features)
    missing = actual["day=(missing)"] > 0
    assert missing.tolist() == [i % 5 == 0 for i in range(200)]
    assert actual["day"][~missing].rank().tolist() == rows["day"][~missing].rank().tolist()
