"""Synthetic purchases come after the real rows, as many as params say, and are the same every time."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, sessions_frame, standard_encoding

from stages.lib import oversampling
from stages.lib.common.errors import InputError
from stages.lib.common.params import Params, SmoteTrain
from stages.lib.modeling.encoder import Encoder, fit_encoder
from stages.lib.oversampling import oversample

VARIANTS = ("smote", "smotenc", "borderline", "adasyn")
FRAME = sessions_frame(160)
TARGETS = FRAME["buys"].to_numpy()
FEATURES = FRAME.drop(columns="buys")
ENCODER = fit_encoder(FEATURES, standard_encoding(0.002))
N_INPUTS = len(ENCODER.input_names)
SETTINGS = Params.load(ROOT / "params.yaml").smote_train


def settings_with(**changes: Any) -> SmoteTrain:
    return SETTINGS.model_copy(update=changes)


def resample(extra_seed: int = 0, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = oversample(FEATURES, TARGETS, ENCODER, extra_seed, settings=settings_with(**changes))
    return inputs[:], targets


def synthetic_categories(inputs: np.ndarray) -> np.ndarray:
    """The missing indicators and one-hot categories of the synthetic rows, before they were centered and scaled."""
    unscaled = inputs[len(TARGETS) :] * np.array(ENCODER.scale) + ENCODER.mean
    return unscaled[:, 2:]


def is_whole(categories: np.ndarray) -> np.ndarray:
    return (np.isclose(categories, 0, atol=1e-5) | np.isclose(categories, 1, atol=1e-5)).all(axis=1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_real_rows_come_first_and_are_unchanged(variant: str) -> None:
    inputs, targets = resample(variant=variant)
    np.testing.assert_array_equal(inputs[: len(TARGETS)], ENCODER.transform(FEATURES))
    np.testing.assert_array_equal(targets[: len(TARGETS)], TARGETS)
    assert (targets[len(TARGETS) :] == 1).all()


@pytest.mark.parametrize("variant", [*VARIANTS, "none"])
def test_inputs_are_float32_and_finite(variant: str) -> None:
    inputs, targets = resample(variant=variant)
    assert inputs.dtype == np.float32
    assert inputs.shape == (len(targets), N_INPUTS)
    assert np.isfinite(inputs).all()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_the_ratio_is_the_sampling_strategy(variant: str, ratio: float) -> None:
    _, targets = resample(variant=variant, sampling_strategy=ratio)
    others = (targets == 0).sum()
    assert others == (TARGETS == 0).sum()
    # ADASYN rounds the number of synthetic rows of each purchase.
    assert targets.sum() == pytest.approx(ratio * others, abs=TARGETS.sum() / 2 if variant == "adasyn" else 0)


def test_variant_none_changes_nothing() -> None:
    inputs, targets = resample(variant="none")
    np.testing.assert_array_equal(inputs, ENCODER.transform(FEATURES))
    np.testing.assert_array_equal(targets, TARGETS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_seed_gives_the_same_rows(variant: str) -> None:
    first, second, other = (resample(variant=variant, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert len(other) != len(first) or not np.array_equal(other, first)


def test_an_extra_seed_gives_other_synthetic_rows() -> None:
    first, again, other = (resample(extra_seed)[0] for extra_seed in (1, 1, 2))
    assert (first == again).all()
    assert (first[: len(TARGETS)] == other[: len(TARGETS)]).all() and (first != other).any()


def test_smotenc_gives_each_synthetic_row_one_category() -> None:
    categories = synthetic_categories(resample(variant="smotenc")[0])
    assert is_whole(categories).all()
    assert (categories[:, 1:].round().sum(axis=1) <= 1).all()


def test_smote_gives_synthetic_rows_between_categories() -> None:
    assert not is_whole(synthetic_categories(resample(variant="smote")[0])).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_numbers_of_synthetic_rows_are_within_the_range_of_the_purchases(variant: str) -> None:
    inputs, _ = resample(variant=variant)
    purchases = inputs[: len(TARGETS)][TARGETS == 1, :2]
    synthetic = inputs[len(TARGETS) :, :2]
    assert (synthetic >= purchases.min(axis=0) - 1e-5).all()
    assert (synthetic <= purchases.max(axis=0) + 1e-5).all()


def error(features: pd.DataFrame = FEATURES, encoder: Encoder = ENCODER, **changes: Any) -> str:
    with pytest.raises(InputError) as raised:
        oversample(features, TARGETS, encoder, settings=settings_with(**changes))
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


@pytest.mark.parametrize("variant", VARIANTS)
def test_as_many_neighbors_as_purchases_are_an_error(variant: str) -> None:
    assert error(variant=variant, k_neighbors=40) == (
        "smote_train.k_neighbors: 40 is too high for 40 purchases in the training set; lower it to at most 39"
    )


@pytest.mark.parametrize("variant", ["smote", "smotenc", "borderline"])
def test_one_neighbor_fewer_than_purchases_is_possible(variant: str) -> None:
    assert resample(variant=variant, k_neighbors=39)[1].mean() == 0.5


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("ratio", [0.1, 1 / 3, 0.34])
def test_a_ratio_that_the_training_set_already_has_is_an_error(variant: str, ratio: float) -> None:
    assert error(variant=variant, sampling_strategy=ratio) == (
        f"smote_train.sampling_strategy: {ratio} adds no purchases, since the training set's ratio is 0.333; raise it, "
        "or set smote_train.variant to none"
    )


@pytest.mark.parametrize(("variant", "rows"), [("smote", 40), ("smotenc", 40), ("borderline", 160), ("adasyn", 160)])
def test_more_pairs_than_can_be_compared_in_minutes_are_an_error(
    variant: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oversampling, "MAX_PAIRS", oversampling.MAX_PAIRS | {variant: 40 * rows})
    assert resample(variant=variant)[1].mean() == pytest.approx(0.5, abs=0.1)
    monkeypatch.setattr(oversampling, "MAX_PAIRS", oversampling.MAX_PAIRS | {variant: 40 * rows - 1})
    assert error(variant=variant) == (
        f"smote_train.variant: {variant} would compare 40 purchases with {rows} rows, and more than {40 * rows - 1} "
        f"pairs take too long; set it to none{'' if variant == 'smote' else ' or smote'}"
    )
    assert len(resample(variant="none")[0]) == len(TARGETS)


def test_more_rows_than_fit_in_memory_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oversampling, "MAX_BYTES", 4 * N_INPUTS * 240)
    assert len(resample(sampling_strategy=1.0)[0]) == 240
    monkeypatch.setattr(oversampling, "MAX_BYTES", 4 * N_INPUTS * 239)
    assert error(sampling_strategy=1.0) == (
        f"smote_train.sampling_strategy: 1.0 gives 240 rows of {N_INPUTS} inputs, and only 239 fit in memory; lower "
        "it, or set smote_train.variant to none"
    )
    assert len(resample(sampling_strategy=0.9)[0]) < 239
    assert len(resample(variant="none")[0]) == len(TARGETS)


@pytest.mark.parametrize("columns", [["pages"], ["browser"]], ids=["no category", "no number"])
def test_smotenc_needs_numeric_and_categorical_columns(columns: list[str]) -> None:
    encoder = fit_encoder(FEATURES[columns], standard_encoding())
    assert error(encoder=encoder, variant="smotenc") == (
        "smote_train.variant: smotenc failed: it needs at least one numeric and one categorical column"
    )


@pytest.mark.parametrize("variant", ["borderline", "adasyn"])
def test_variants_for_the_border_of_the_classes_fail_if_there_is_none(variant: str) -> None:
    separable = pd.DataFrame({"number": np.linspace(0, 1, 160) + 100 * TARGETS})
    message = error(separable, fit_encoder(separable, standard_encoding()), variant=variant)
    assert message.startswith(f"smote_train.variant: {variant} failed: ")
