"""The slices of a test set by a column: the rows of each value, or of each range of values.

Missing values, and those that are grouped since a column has many, are slices of their own, with labels in parentheses.
"""

import numpy as np
import pandas as pd

# Of a click log: the device, whether the visitor is new, and when the session began
CLICK_LOG_COLUMNS = ("operatingSystem", "visitorKnown", "weekday", "month")
CLICK_LOG_LABELS = {
    "visitorKnown": {"0": "new visitor", "1": "returning visitor"},
    "weekday": dict(zip("0123456", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), strict=True)),
    "month": {
        str(number): name
        for number, name in enumerate(
            ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
        )
    },
}

MAX_SLICES = 12  # of a column, without the missing values
QUANTILES = 4  # groups of a column of numbers or dates that has more values
MISSING, OTHER = "(missing)", "(other)"

Slices = list[tuple[str, np.ndarray]]  # of each the label, and which rows are in it: bool of shape (rows,)


def slice_column(values: pd.Series) -> Slices:
    """The slices of a column, none of them empty.

    Up to MAX_SLICES different values are a slice each. Of more, numbers and dates are cut at their quantiles into
    QUANTILES groups of about as many rows, and the least frequent categories are grouped.
    """
    is_ordered = pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values)
    if not is_ordered:
        values = values.astype(str).where(values.notna())
    present = values[values.notna()]
    if present.nunique() <= MAX_SLICES:
        slices = [(_text(value), (values == value).to_numpy()) for value in _in_order(present, is_ordered)]
    elif is_ordered:
        slices = _quantile_groups(values, present)
    else:
        frequent = _in_order(present, is_ordered)[: MAX_SLICES - 1]
        slices = [(_text(value), (values == value).to_numpy()) for value in frequent]
        slices.append((OTHER, (values.notna() & ~values.isin(frequent)).to_numpy()))
    if len(present) < len(values):
        slices.append((MISSING, values.isna().to_numpy()))
    return slices


def _in_order(present: pd.Series, is_ordered: bool) -> list:
    """The different values: numbers and dates ascending, categories by how frequent they are."""
    if is_ordered:
        return sorted(present.unique())
    counts = present.value_counts()
    return sorted(counts.index, key=lambda value: (-counts[value], value))


def _quantile_groups(values: pd.Series, present: pd.Series) -> Slices:
    shares = np.arange(1, QUANTILES) / QUANTILES
    # A value that is as frequent as a whole group is the upper end of one, and the next group starts above it.
    ends = np.unique(present.quantile(shares, interpolation="lower").to_numpy())
    groups = np.where(values.notna(), np.searchsorted(ends, values.to_numpy()), -1)
    slices = []
    for group in range(len(ends) + 1):
        inside = groups == group
        if inside.any():
            low, high = _text(values[inside].min()), _text(values[inside].max())
            slices.append((low if low == high else f"{low} to {high}", inside))
    return slices


def _text(value: object) -> str:
    if isinstance(value, pd.Timestamp | np.datetime64):
        return str(pd.Timestamp(value).date())
    if isinstance(value, float) and not float(value).is_integer():
        return f"{value:.4g}"
    return str(value).removesuffix(".0")
