"""More purchases for a training set that has few: SMOTE and its variants, from imbalanced-learn."""

import numpy as np
from imblearn.over_sampling import ADASYN, SMOTE, SMOTENC, BorderlineSMOTE

from stages.lib.common.errors import InputError
from stages.lib.common.params import SmoteTrain
from stages.lib.dataset.matrix import Matrix
from stages.lib.dataset.parquet import Frame, iter_chunks
from stages.lib.modeling.encoder import Encoder

# Neighbors are found by brute force if there are more than 15 inputs. A pair of rows takes 15 ns, with SMOTENC 300 ns,
# so these numbers of pairs take a few minutes.
MAX_PAIRS = {"smote": 10**10, "smotenc": 10**9, "borderline": 10**10, "adasyn": 10**10}
MAX_BYTES = 2**31  # of inputs, synthetic rows included; imbalanced-learn needs a few times as much


def oversample(
    features: Frame, targets: np.ndarray, encoder: Encoder, extra_seed: int = 0, *, settings: SmoteTrain
) -> tuple[Matrix, np.ndarray]:
    """The inputs and targets of the training set, followed by synthetic purchases.

    SMOTENC interpolates ordinals, where a categorical column is one column, and gives each synthetic row one of the
    categories. The other variants interpolate the inputs, as in the study, so that most synthetic rows are between
    categories.

    With MAX_PAIRS, SMOTE handles up to 100,000 purchases and SMOTENC 31,000; borderline and ADASYN, which compare
    purchases with all rows, 28,000 if one session in twelve ends in a purchase.

    Args:
        features: of the training set.
        targets: (rows,), 0 or 1.
        encoder: fitted on the training set.
        extra_seed: added to the seed of the settings.
        settings: the variant, the ratio of purchases to other sessions to reach, and so on.

    Returns:
        Inputs, float32 of shape (rows, inputs), and targets, (rows,).

    Raises:
        InputError: there are at most `k_neighbors` purchases, or enough already, or too many rows for the limits above.
    """
    if settings.variant == "none":
        return encoder.inputs(features), targets
    purchases, others = int(targets.sum()), int(len(targets) - targets.sum())
    _check_feasible(settings, purchases, others, n_inputs=len(encoder.mean))
    sampler_args = {"sampling_strategy": settings.sampling_strategy, "random_state": settings.seed + extra_seed}
    ordinals = np.concatenate([encoder.ordinals(chunk) for chunk in iter_chunks(features)])
    inputs = encoder.expand(ordinals)
    try:
        if settings.variant == "smotenc":
            if encoder.is_categorical.all() or not encoder.is_categorical.any():
                raise ValueError("it needs at least one numeric and one categorical column")
            categorical_features = np.flatnonzero(encoder.is_categorical).tolist()
            sampler = SMOTENC(categorical_features, k_neighbors=settings.k_neighbors, **sampler_args)
            resampled, resampled_targets = sampler.fit_resample(ordinals, targets)
            return encoder.expand(resampled), resampled_targets
        if settings.variant == "adasyn":
            sampler = ADASYN(n_neighbors=settings.k_neighbors, **sampler_args)
        else:
            smote_class = BorderlineSMOTE if settings.variant == "borderline" else SMOTE
            sampler = smote_class(k_neighbors=settings.k_neighbors, **sampler_args)
        resampled, resampled_targets = sampler.fit_resample(inputs, targets)
        if len(resampled) == len(inputs):
            raise ValueError("no purchase has other sessions as neighbors, so there are no synthetic rows")
        return resampled, resampled_targets
    except (ValueError, RuntimeError) as error:
        message = " ".join(str(error).split())
        raise InputError(f"smote_train.variant: {settings.variant} failed: {message}") from None


def _check_feasible(settings: SmoteTrain, purchases: int, others: int, n_inputs: int) -> None:
    variant, ratio = settings.variant, settings.sampling_strategy
    if purchases <= settings.k_neighbors:
        raise InputError(
            f"smote_train.k_neighbors: {settings.k_neighbors} is too high for {purchases} purchases in the training "
            f"set; lower it to at most {purchases - 1}"
        )
    if ratio * others < purchases + 1:
        raise InputError(
            f"smote_train.sampling_strategy: {ratio} adds no purchases, since the training set's ratio is "
            f"{purchases / others:.3f}; raise it, or set smote_train.variant to none"
        )
    neighbors = purchases + others if variant in ("borderline", "adasyn") else purchases
    if purchases * neighbors > MAX_PAIRS[variant]:
        alternative = " or smote" if purchases**2 <= MAX_PAIRS["smote"] else ""
        raise InputError(
            f"smote_train.variant: {variant} would compare {purchases} purchases with {neighbors} rows, and more than "
            f"{MAX_PAIRS[variant]} pairs take too long; set it to none{alternative}"
        )
    n_rows = others + max(purchases, int(ratio * others))
    max_rows = MAX_BYTES // (4 * n_inputs)
    if n_rows > max_rows:
        raise InputError(
            f"smote_train.sampling_strategy: {ratio} gives {n_rows} rows of {n_inputs} inputs, and only {max_rows} fit "
            "in memory; lower it, or set smote_train.variant to none"
        )
