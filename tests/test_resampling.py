"""Made-up purchases: after the real rows, as many as asked for, and the same each time."""

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, sessions_frame, standard

from stages.lib import oversampling as resampling
from stages.lib.common.errors import InputError
from stages.lib.common.params import SmoteTrain, load
from stages.lib.modeling.encoder import fit_encoder
from stages.lib.oversampling import oversample

SMOTES = ("smote", "smotenc", "borderline", "adasyn")
FRAME = sessions_frame(160)
BUYS = FRAME.buys.to_numpy()
FEATURES = FRAME.drop(columns="buys")
ENCODER = fit_encoder(FEATURES, standard(0.002))


def settings(**changes) -> SmoteTrain:
    return load("smote_train", path=ROOT / "params.yaml")[0].model_copy(update=changes)


def resampled(**changes) -> tuple[np.ndarray, np.ndarray]:
    return oversample(FEATURES, BUYS, ENCODER, settings=settings(**changes))


def made_levels(inputs: np.ndarray) -> np.ndarray:
    """The marks and levels of the made-up rows, as 0 and 1 where they are whole."""
    raw = inputs[len(BUYS) :] * np.array(ENCODER.scale) + ENCODER.mean
    return raw[:, 2:]


def is_whole(levels: np.ndarray) -> np.ndarray:
    return (np.isclose(levels, 0, atol=1e-5) | np.isclose(levels, 1, atol=1e-5)).all(axis=1)


@pytest.mark.parametrize("variant", SMOTES)
def test_the_real_rows_come_first_and_unchanged(variant) -> None:
    inputs, targets = resampled(variant=variant)
    np.testing.assert_array_equal(inputs[: len(BUYS)], ENCODER.transform(FEATURES))
    np.testing.assert_array_equal(targets[: len(BUYS)], BUYS)
    assert (targets[len(BUYS) :] == 1).all()


@pytest.mark.parametrize("variant", [*SMOTES, "none"])
def test_inputs_are_float32_and_finite(variant) -> None:
    inputs, targets = resampled(variant=variant)
    assert inputs.dtype == np.float32
    assert inputs.shape == (len(targets), len(ENCODER.names))
    assert np.isfinite(inputs).all()


@pytest.mark.parametrize("variant", SMOTES)
@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_the_ratio_is_reached(variant, ratio) -> None:
    _, targets = resampled(variant=variant, ratio=ratio)
    others = (targets == 0).sum()
    assert others == (BUYS == 0).sum()
    # ADASYN rounds how many it makes of each purchase.
    assert targets.sum() == pytest.approx(ratio * others, abs=BUYS.sum() / 2 if variant == "adasyn" else 0)


def test_none_changes_nothing() -> None:
    inputs, targets = resampled(variant="none")
    np.testing.assert_array_equal(inputs, ENCODER.transform(FEATURES))
    np.testing.assert_array_equal(targets, BUYS)


@pytest.mark.parametrize("variant", SMOTES)
def test_the_same_seed_makes_the_same_rows(variant) -> None:
    first, second, other = (resampled(variant=variant, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert len(other) != len(first) or not np.array_equal(other, first)


def test_smotenc_gives_each_made_up_row_one_level() -> None:
    levels = made_levels(resampled(variant="smotenc")[0])
    assert is_whole(levels).all()
    assert (levels[:, 1:].round().sum(axis=1) <= 1).all()


def test_smote_puts_rows_between_levels() -> None:
    assert not is_whole(made_levels(resampled(variant="smote")[0])).all()


@pytest.mark.parametrize("variant", SMOTES)
def test_made_up_numbers_lie_among_those_of_the_purchases(variant) -> None:
    inputs, _ = resampled(variant=variant)
    bought = inputs[: len(BUYS)][BUYS == 1, :2]
    made = inputs[len(BUYS) :, :2]
    assert (made >= bought.min(axis=0) - 1e-5).all()
    assert (made <= bought.max(axis=0) + 1e-5).all()


def refusal(features=FEATURES, targets=BUYS, encoder=ENCODER, **changes) -> str:
    with pytest.raises(InputError) as refused:
        oversample(features, targets, encoder, settings=settings(**changes))
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


@pytest.mark.parametrize("variant", SMOTES)
def test_too_few_purchases_for_the_neighbours_are_refused(variant) -> None:
    assert refusal(variant=variant, neighbours=40) == (
        "40 purchases to train on, too few for smote_train.k_neighbors: 40; at most 39 are possible"
    )


@pytest.mark.parametrize("variant", ["smote", "smotenc", "borderline"])
def test_as_many_neighbours_as_there_can_be_will_do(variant) -> None:
    assert resampled(variant=variant, neighbours=39)[1].mean() == 0.5


@pytest.mark.parametrize("variant", SMOTES)
@pytest.mark.parametrize("ratio", [0.1, 1 / 3, 0.34])
def test_a_ratio_that_is_there_already_is_refused(variant, ratio) -> None:
    text = refusal(variant=variant, ratio=ratio)
    assert text.startswith(
        f"smote_train.sampling_strategy: {ratio} asks for no more purchases than the training part has"
    )
    assert text.endswith("a ratio of 0.333; raise it, or set smote_train.variant to none")


@pytest.mark.parametrize(("variant", "rows"), [("smote", 40), ("smotenc", 40), ("borderline", 160), ("adasyn", 160)])
def test_more_pairs_than_can_be_compared_in_minutes_are_refused(variant, rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "MOST_PAIRS", resampling.MOST_PAIRS | {variant: 40 * rows})
    assert resampled(variant=variant)[1].mean() == pytest.approx(0.5, abs=0.1)
    monkeypatch.setattr(resampling, "MOST_PAIRS", resampling.MOST_PAIRS | {variant: 40 * rows - 1})
    assert refusal(variant=variant) == (
        f"smote_train.variant: {variant} would compare 40 purchases with {rows} rows, and more than {40 * rows - 1} "
        f"pairs take too long; set it to none{'' if variant == 'smote' else ', or to smote'}"
    )
    assert len(resampled(variant="none")[0]) == len(BUYS)


def test_more_rows_than_memory_has_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "MOST_BYTES", 4 * len(ENCODER.names) * 240)
    assert len(resampled(ratio=1.0)[0]) == 240
    monkeypatch.setattr(resampling, "MOST_BYTES", 4 * len(ENCODER.names) * 239)
    assert refusal(ratio=1.0) == (
        f"smote_train.sampling_strategy: 1.0 makes 240 rows of {len(ENCODER.names)} inputs, and there is room for 239 in memory; "
        "lower it, or set smote_train.variant to none"
    )
    assert len(resampled(ratio=0.9)[0]) < 239
    assert len(resampled(variant="none")[0]) == len(BUYS)


@pytest.mark.parametrize("columns", [["pages"], ["browser"]], ids=["no category", "no number"])
def test_smotenc_needs_numbers_and_categories(columns) -> None:
    encoder = fit_encoder(FEATURES[columns], standard())
    text = refusal(FEATURES, encoder=encoder, variant="smotenc")
    assert text == "smote_train.variant: smotenc failed: it needs at least one number and one category"


@pytest.mark.parametrize("variant", ["borderline", "adasyn"])
def test_variants_for_the_border_are_refused_where_there_is_none(variant) -> None:
    apart = pd.DataFrame({"number": np.linspace(0, 1, 160) + 100 * BUYS})
    encoder = fit_encoder(apart, standard())
    text = refusal(apart, encoder=encoder, variant=variant)
    assert text.startswith(f"smote_train.variant: {variant} failed: ")


def test_a_repeat_makes_up_others() -> None:
    first, again, other = (oversample(FEATURES, BUYS, ENCODER, repeat, settings=settings())[0] for repeat in (1, 1, 2))
    assert (first == again).all()
    assert (first[: len(BUYS)] == other[: len(BUYS)]).all() and (first != other).any()
