"""Which rows are held out: by target, by visitor or by time."""

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit

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
    for side, name in ((stay, "stay"), (held, "are held out")):
        if len(np.unique(target[side])) < 2:
            raise InputError(
                f"too few rows: the {len(side)} of {len(rows)} that {name} have {int(target[side].sum())} purchases; "
                "both classes are needed on both sides"
            )
    return np.sort(stay), np.sort(held)
