"""Splits of the sessions into training and test (or validation) rows: stratified, grouped by visitor, or temporal.

A session may have several rows, one for each page view at which it is scored: sessions are split, and all rows of one
are on one side.
"""

import numpy as np

from stages.lib.common.errors import InputError
from stages.lib.dataset.sessions import Sessions


def train_test_split(sessions: Sessions, strategy: str, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows once.

    Args:
        sessions: rows with a target, and with a visitor or a time if the strategy needs one.
        strategy: "stratified": both sides have the same purchase rate; "grouped": the test rows are all sessions of
            `test_size` of the visitors; "temporal": the test rows are the latest, none as early as a training row.
        test_size: the fraction of rows (of visitors, if grouped) in the test set.
        seed: of the random choice.

    Returns:
        train_idx and test_idx, both ascending.

    Raises:
        InputError: one side would lack a class.
    """
    # scikit-learn is imported where it is used, since processes that only train need none of it.
    from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit

    codes = _session_codes(sessions)
    if codes is not None:
        train, test = train_test_split(_first_rows(sessions, codes), strategy, test_size, seed)
        return _rows_of(train, codes), _rows_of(test, codes)
    target = sessions.column("target").to_numpy()
    rows = np.arange(len(sessions))
    if strategy == "temporal":
        time = sessions.column("time").to_numpy()
        train_size = len(rows) - int(np.ceil(test_size * len(rows)))
        boundary = np.sort(time)[train_size]
        return _with_both_classes(rows[time < boundary], rows[time >= boundary], target)
    try:
        if strategy == "grouped":
            splitter = GroupShuffleSplit(1, test_size=test_size, random_state=seed)
            train_idx, test_idx = next(splitter.split(rows, target, groups=sessions.column("visitor")))
        else:
            splitter = StratifiedShuffleSplit(1, test_size=test_size, random_state=seed)
            train_idx, test_idx = next(splitter.split(rows, target))
    except ValueError as error:
        raise InputError(f"too few rows for a test_size of {test_size}: {error}") from None
    return _with_both_classes(train_idx, test_idx, target)


def cv_folds(sessions: Sessions, strategy: str, n_folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split the rows into folds for cross-validation.

    Args:
        sessions: as for `train_test_split`.
        strategy: "stratified" or "grouped": each row is in one validation fold; "temporal": the rows are cut into
            `n_folds` + 1 consecutive blocks, and each block but the first is validated on models of all earlier ones.
        n_folds: how many.
        seed: of the random assignment.

    Returns:
        train_idx and val_idx of each fold, all ascending.

    Raises:
        InputError: a training or a validation set would lack a class.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    codes = _session_codes(sessions)
    if codes is not None:
        by_session = cv_folds(_first_rows(sessions, codes), strategy, n_folds, seed)
        return [(_rows_of(train, codes), _rows_of(val, codes)) for train, val in by_session]
    target = sessions.column("target").to_numpy()
    if strategy == "temporal":
        folds = _temporal_folds(sessions.column("time").to_numpy(), n_folds)
    else:
        rows = np.arange(len(sessions))
        # scikit-learn only warns of this.
        if (smallest := min(target.sum(), len(target) - target.sum())) < n_folds:
            raise InputError(f"too few rows for {n_folds} folds: one class has only {smallest}")
        try:
            if strategy == "grouped":
                splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
                folds = list(splitter.split(rows, target, groups=sessions.column("visitor")))
            else:
                folds = list(StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(rows, target))
        except ValueError as error:
            raise InputError(f"too few rows for {n_folds} folds: {error}") from None
    return [_with_both_classes(train_idx, val_idx, target) for train_idx, val_idx in folds]


def _session_codes(sessions: Sessions) -> np.ndarray | None:
    """The number of each row's session, in order of their first rows; None if each session has one row."""
    if not sessions.names("view"):
        return None
    import pandas as pd  # where it is used, as scikit-learn

    keys = sessions.select("key", "visitor").to_arrow().to_pandas()
    return pd.MultiIndex.from_frame(keys).factorize()[0]


def _first_rows(sessions: Sessions, codes: np.ndarray) -> Sessions:
    """The first row of each session, which has its target and its time, as a table of one row per session."""
    _, first = np.unique(codes, return_index=True)
    return sessions.take(first).select("key", "visitor", "time", "target")


def _rows_of(units: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The positions of the rows of these sessions, ascending."""
    return np.flatnonzero(np.isin(codes, units))


def _temporal_folds(time: np.ndarray, n_folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rows = np.arange(len(time))
    starts = np.sort(time)[np.arange(1, n_folds + 1) * len(rows) // (n_folds + 1)]
    before = [time < start for start in starts]
    before_end = [*before[1:], np.full(len(rows), True)]
    return [(rows[train], rows[~train & until]) for train, until in zip(before, before_end, strict=True)]


def _with_both_classes(
    train_idx: np.ndarray, test_idx: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    for idx, name in ((train_idx, "to train on"), (test_idx, "held out")):
        if len(np.unique(target[idx])) < 2:
            raise InputError(
                f"too few rows: the {len(idx)} of {len(target)} {name} have {int(target[idx].sum())} purchases; both "
                "sides of a split need both classes"
            )
    return np.sort(train_idx), np.sort(test_idx)
