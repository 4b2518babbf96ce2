"""More purchases for a training part that has few: SMOTE and its kin, from imbalanced-learn."""

import numpy as np
from imblearn.over_sampling import ADASYN, SMOTE, SMOTENC, BorderlineSMOTE

from stages.lib.common.errors import InputError
from stages.lib.common.params import SmoteTrain
from stages.lib.dataset.matrix import Matrix
from stages.lib.dataset.parquet import Frame, iter_chunks
from stages.lib.modeling.encoder import Encoder

# Among more than 15 inputs a neighbour is found by comparing all rows: 15 nanoseconds a pair, and 300 for SMOTENC, so
# that this many take some minutes.
MOST_PAIRS = {"smote": 10**10, "smotenc": 10**9, "borderline": 10**10, "adasyn": 10**10}
MOST_BYTES = 2**31  # of inputs, made-up ones too; imbalanced-learn needs a few times as many


def oversample(
    features: Frame, targets: np.ndarray, encoder: Encoder, repeat: int = 0, *, settings: SmoteTrain
) -> tuple[Matrix, np.ndarray]:
    """Inputs and targets of the training rows, followed by made-up purchases up to `settings.sampling_strategy` of the others.

    A `repeat` above 0 makes up others.

    SMOTENC works on codes, where a category is one column, and gives each made-up row one of the levels; the other
    variants work on the network's inputs, as in the study, where most made-up rows lie between levels.
    Raises InputError if there are not more purchases than `settings.k_neighbors`, if they are enough already, or if
    there are more rows than MOST_PAIRS and MOST_BYTES allow. SMOTE takes 100,000 purchases, SMOTENC 31,000; borderline
    and ADASYN, which compare purchases with all rows, 28,000 where one session in twelve ends in one.
    """
    if settings.variant == "none":
        return encoder.inputs(features), targets
    purchases, others = int(targets.sum()), int(len(targets) - targets.sum())
    if purchases <= settings.k_neighbors:
        raise InputError(
            f"{purchases} purchases to train on, too few for smote_train.k_neighbors: {settings.k_neighbors}; "
            f"at most {purchases - 1} are possible"
        )
    if settings.sampling_strategy * others < purchases + 1:
        raise InputError(
            f"smote_train.sampling_strategy: {settings.sampling_strategy} asks for no more purchases than the training part has, a ratio "
            f"of {purchases / others:.3f}; raise it, or set smote_train.variant to none"
        )
    _check_size(settings, purchases, others, len(encoder.mean))
    settings = settings.model_copy(update={"seed": settings.seed + repeat})
    codes = np.concatenate([encoder.codes(part) for part in iter_chunks(features)])
    inputs = encoder.expand(codes)
    try:
        if settings.variant == "smotenc":
            return _smotenc(codes, targets, encoder, settings)
        made = _sampler(settings).fit_resample(inputs, targets)
        if len(made[0]) == len(inputs):
            raise ValueError("no purchase lies among the others, so none was made up")
        return made
    except (ValueError, RuntimeError) as error:
        raise InputError(f"smote_train.variant: {settings.variant} failed: {' '.join(str(error).split())}") from None


def _check_size(settings: SmoteTrain, purchases: int, others: int, inputs: int) -> None:
    compared = purchases + others if settings.variant in ("borderline", "adasyn") else purchases
    if purchases * compared > MOST_PAIRS[settings.variant]:
        quicker = ", or to smote" if purchases**2 <= MOST_PAIRS["smote"] else ""
        raise InputError(
            f"smote_train.variant: {settings.variant} would compare {purchases} purchases with {compared} rows, and "
            f"more than {MOST_PAIRS[settings.variant]} pairs take too long; set it to none{quicker}"
        )
    rows = others + max(purchases, int(settings.sampling_strategy * others))
    if 4 * inputs * rows > MOST_BYTES:
        raise InputError(
            f"smote_train.sampling_strategy: {settings.sampling_strategy} makes {rows} rows of {inputs} inputs, and there is room for "
            f"{MOST_BYTES // (4 * inputs)} in memory; lower it, or set smote_train.variant to none"
        )


def _sampler(settings: SmoteTrain) -> SMOTE | BorderlineSMOTE | ADASYN:
    neighbours = {"sampling_strategy": settings.sampling_strategy, "random_state": settings.seed}
    if settings.variant == "adasyn":
        return ADASYN(n_neighbors=settings.k_neighbors, **neighbours)
    kind = BorderlineSMOTE if settings.variant == "borderline" else SMOTE
    return kind(k_neighbors=settings.k_neighbors, **neighbours)


def _smotenc(
    codes: np.ndarray, targets: np.ndarray, encoder: Encoder, settings: SmoteTrain
) -> tuple[np.ndarray, np.ndarray]:
    if encoder.code_is_category.all() or not encoder.code_is_category.any():
        raise ValueError("it needs at least one number and one category")
    sampler = SMOTENC(
        np.flatnonzero(encoder.code_is_category).tolist(),
        sampling_strategy=settings.sampling_strategy,
        k_neighbors=settings.k_neighbors,
        random_state=settings.seed,
    )
    made, made_targets = sampler.fit_resample(codes, targets)
    return encoder.expand(made), made_targets
