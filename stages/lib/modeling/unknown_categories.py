"""Categories that a model does not know, since its training set did not have them: counted while it scores.

`CategoricalColumn.unknown` says what they are encoded as.
"""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from stages.lib.common.errors import InputError
from stages.lib.modeling.columns import INFREQUENT, MISSING, CategoricalColumn
from stages.lib.modeling.encoder import Encoder

MAX_UNKNOWN_SHARE = 0.1  # of a column's values; if more are unknown, they may be spelled differently than in training
# Fewer known values than this share of those in the training set mean that a column has other values altogether.
MIN_KNOWN_SHARE = 0.1
MIN_ROWS = 10  # that say so; a few sessions may well be of new categories
EXAMPLES = 5


class UnknownCategories:
    """How many values of each categorical column are unknown, over all rows that were counted."""

    def __init__(self, encoder: Encoder) -> None:
        self.columns = encoder.categorical
        # Of a column of many categories, those with an input of their own are but a few.
        many = {column.name: {*column.frequent, *column.log_odds} for column in encoder.target_encoded}
        self.categories = {column.name: many.get(column.name, {*column.categories}) for column in self.columns}
        self.known_in_training = _known_in_training(encoder)
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {column.name: [] for column in self.columns}
        self.rows = 0

    def count(self, features: pd.DataFrame) -> None:
        """Add these rows."""
        self.rows += len(features)
        for column in self.columns:
            values = features[column.name].fillna(MISSING)
            unknown = values[~values.isin(self.categories[column.name])]
            self.counts[column.name] += len(unknown)
            examples = self.examples[column.name]
            if len(examples) <= EXAMPLES:
                examples += [value for value in unknown.unique()[: EXAMPLES + 1] if value not in examples]

    def warnings(self) -> list[str]:
        """A line for each column of which more than MAX_UNKNOWN_SHARE is unknown."""
        return [
            f"{self._problem(column)}, and scores them as {column.unknown}"
            for column in self.columns
            if self.counts[column.name] > MAX_UNKNOWN_SHARE * self.rows
        ]

    def check(self) -> None:
        """Raise an InputError for a column of which nearly all is unknown."""
        for column in self.columns:
            known = self.rows - self.counts[column.name]
            if self.rows >= MIN_ROWS and known <= MIN_KNOWN_SHARE * self.known_in_training[column.name] * self.rows:
                raise InputError(
                    f"{self._problem(column)}; if they are right, score them with --unknown-categories warn"
                )

    def _problem(self, column: CategoricalColumn) -> str:
        examples = _list(self.examples[column.name])
        return (
            f"column '{column.name}': {self.counts[column.name]} of {self.rows} values are unknown to the model, such "
            f"as {examples}; it was trained on {_list(column.categories)}"
        )


def _known_in_training(encoder: Encoder) -> dict[str, float]:
    """For each column, the share of the training set that has one of its categories, not an infrequent one."""
    # The mean of a one-hot input is the share of its category; the first category, without an input, has the rest.
    shares = dict(zip(encoder.input_names, encoder.mean, strict=True))
    known = {}
    target_encoded = {column.name for column in encoder.target_encoded}
    for column in encoder.categorical:
        if column.name in target_encoded:
            known[column.name] = 1.0
        elif column.categories[0] == INFREQUENT:
            known[column.name] = sum(shares[f"{column.name}={name}"] for name in column.categories[1:])
        else:
            known[column.name] = 1 - shares.get(f"{column.name}={INFREQUENT}", 0.0)
    return known


def _list(categories: Sequence[str]) -> str:
    return ", ".join([*categories[:EXAMPLES], *(["…"] if len(categories) > EXAMPLES else [])])
