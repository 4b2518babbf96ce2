"""Small session tables with one more column, whose type is to be inferred."""

from typing import Any

import numpy as np
import pandas as pd

from stages.lib.dataset.sessions import Sessions

ROWS = 40
BUYS = np.arange(ROWS) % 4 == 0
PAGES = np.arange(ROWS) % 9


def frame(**columns: Any) -> pd.DataFrame:
    """The columns between a number and the target, which is 1 in every fourth row."""
    return pd.DataFrame({"pages": PAGES, **columns, "buys": BUYS.astype(int)})


def repeated(*values: Any) -> list[Any]:
    """The values, over and over, to fill a column."""
    return [values[row % len(values)] for row in range(ROWS)]


def arrow_type(sessions: Sessions, name: str) -> str:
    """The type of a prepared column."""
    return str(sessions.table.schema.field(name).type)
