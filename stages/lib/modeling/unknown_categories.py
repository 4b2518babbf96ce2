"""Categories that a model does not know, since its training set did not have them: counted while it scores.

`CategoricalColumn.unknown` says what they are encoded as.
"""

from collections import Counter

import pandas as pd

from stages.lib.modeling.columns import MISSING
from stages.lib.modeling.encoder import Encoder

MAX_UNKNOWN_SHARE = 0.1  # of a column's values; if more are unknown, they may be spelled differently than in training
EXAMPLES = 5


class UnknownCategories:
    """How many values of each categorical column are unknown, over all rows that were counted."""

    def __init__(self, encoder: Encoder) -> None:
        self.columns = encoder.categorical
        self.counts: Counter[str] = Counter()
        self.rows = 0

    def count(self, features: pd.DataFrame) -> None:
        """Add these rows."""
        self.rows += len(features)
        for column in self.columns:
            is_known = features[column.name].fillna(MISSING).isin(column.categories)
            self.counts[column.name] += int((~is_known).sum())

    def warnings(self) -> list[str]:
        """A line for each column of which more than MAX_UNKNOWN_SHARE is unknown."""
        return [
            f"column '{column.name}': {self.counts[column.name]} of {self.rows} values are unknown to the model; it "
            f"was trained on {_examples(column.categories)}, and scores them as {column.unknown}"
            for column in self.columns
            if self.counts[column.name] > MAX_UNKNOWN_SHARE * self.rows
        ]


def _examples(categories: tuple[str, ...]) -> str:
    return ", ".join([*categories[:EXAMPLES], *(["…"] if len(categories) > EXAMPLES else [])])
