"""Which rows are held out: by target, by visitor or by time; once, or in turn."""

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, StratifiedKFold, StratifiedShuffleSplit

from stages.lib.files import InputError
from stages.lib.table import Sessions


def hold_out(sessions: Sessions, by: str, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers, ascending, of those that stay and of the `share` that is held out.

    by target: stratified, so that both have the same rate of purchases; by visitor: `share` of the visitors with
    all their sessions, so that nobody stands on both sides; by time: the latest, and none that starts at the same
    moment as one that stays. Raises InputError where one side would lack a class.
    """
    target = sessions.column("target").to_numpy()
    rows = np.arange(len(sessions))
    if by == "time":
        time = sessions.column("time").to_numpy()
        kept = len(rows) - int(np.ceil(share * len(rows)))
        boundary = np.sort(time)[kept]
        stay, held = rows[time < boundary], rows[time >= boundary]
    else:
        try:
            if by == "visitor":
                splitter = GroupShuffleSplit(1, test_size=share, random_state=seed)
                stay, held = next(splitter.split(rows, target, groups=sessions.column("visitor")))
            else:
                splitter = StratifiedShuffleSplit(1, test_size=share, random_state=seed)
                stay, held = next(splitter.split(rows, target))
        except ValueError as error:
            raise InputError(f"too few rows to hold out a share of {share}: {error}") from None
    return _with_both_classes(stay, held, target)


def folds(sessions: Sessions, by: str, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For cross-validation: `count` times the row numbers, ascending, of those that stay and those that are held out.

    by target: each row is held out once, and all parts have the same rate of purchases; by visitor: the same, as far
    as visitors with all their sessions allow; by time: `count` times the next part of the sessions, and only earlier
    ones stay, so the first part, of `count` + 1, is never held out.
    Raises InputError where a part, or what stays, would lack a class.
    """
    target = sessions.column("target").to_numpy()
    rows = np.arange(len(sessions))
    if by == "time":
        time = sessions.column("time").to_numpy()
        starts = np.sort(time)[np.arange(1, count + 1) * len(rows) // (count + 1)]
        ends = [*starts[1:], None]
        parts = [
            (rows[time < start], rows[(time >= start) & ((time < end) if end is not None else True)])
            for start, end in zip(starts, ends, strict=True)
        ]
    else:
        # scikit-learn would only warn
        if (fewest := min(target.sum(), len(target) - target.sum())) < count:
            raise InputError(f"too few rows for {count} folds: one class has only {fewest}")
        try:
            if by == "visitor":
                splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
                parts = list(splitter.split(rows, target, groups=sessions.column("visitor")))
            else:
                parts = list(StratifiedKFold(count, shuffle=True, random_state=seed).split(rows, target))
        except ValueError as error:
            raise InputError(f"too few rows for {count} folds: {error}") from None
    return [_with_both_classes(stay, held, target) for stay, held in parts]


def _with_both_classes(stay: np.ndarray, held: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    for side, name in ((stay, "stay"), (held, "are held out")):
        if len(np.unique(target[side])) < 2:
            raise InputError(
                f"too few rows: the {len(side)} of {len(target)} that {name} have {int(target[side].sum())} purchases; "
                "both classes are needed on both sides"
            )
    return np.sort(stay), np.sort(held)
