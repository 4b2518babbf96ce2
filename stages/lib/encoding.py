"""From a session's features to the network's inputs: imputed, one-hot and standardised, as the training rows say."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stages.lib.files import InputError, write_json

RARE, MISSING = "(rare)", "(missing)"


@dataclass(frozen=True)
class Number:
    """A number: missing values are the training median; `indicator` adds a second block column that marks them."""

    name: str
    median: float
    mean: float
    scale: float
    indicator: bool


@dataclass(frozen=True)
class Category:
    """One-hot of `levels`, less the first, the most frequent one.

    Levels of too few training rows are one level, RARE; a missing value is a level of its own, where training had
    some. A level that training never saw counts as RARE, or, where no level was rare, as the most frequent one.
    """

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Encoder:
    """Fitted on training rows by `fit`; gives float32 inputs with zero mean and unit variance on those rows."""

    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def names(self) -> list[str]:
        """The inputs' names, in order: a number by its own, a category by `column=level`."""
        marks = [f"{number.name}=(missing)" for number in self.numbers if number.indicator]
        levels = [f"{category.name}={level}" for category in self.categories for level in category.levels[1:]]
        return [number.name for number in self.numbers] + marks + levels

    @property
    def columns(self) -> list[str]:
        """For each input, the raw column that it comes from."""
        marks = [number.name for number in self.numbers if number.indicator]
        levels = [category.name for category in self.categories for _ in category.levels[1:]]
        return [number.name for number in self.numbers] + marks + levels

    def transform(self, features: pd.DataFrame) -> np.ndarray:
        """Inputs, float32 of shape (rows, inputs)."""
        return self.expand(self.codes(features))

    def codes(self, features: pd.DataFrame) -> np.ndarray:
        """Standardised numbers, then 0/1 marks of missing ones, then a level's place for each category; float64."""
        _require(features, [column.name for column in (*self.numbers, *self.categories)])
        values = features[[number.name for number in self.numbers]].to_numpy(np.float64)
        missing = np.isnan(values)
        values = np.where(missing, [number.median for number in self.numbers], values)
        values = (values - [number.mean for number in self.numbers]) / [number.scale for number in self.numbers]
        marks = missing[:, [number.indicator for number in self.numbers]]
        places = [_places(features[category.name], category.levels) for category in self.categories]
        return np.column_stack([values, marks, *places])

    def expand(self, codes: np.ndarray) -> np.ndarray:
        """Inputs, float32 of shape (rows, inputs), from `codes`: categories one-hot, these and the marks standard."""
        return ((_one_hot(codes, self.categories) - self.mean) / self.scale).astype(np.float32)

    @property
    def code_is_category(self) -> np.ndarray:
        """For each column of `codes`, whether it is a mark or a category, not a quantity."""
        categorical = sum(number.indicator for number in self.numbers) + len(self.categories)
        return np.arange(len(self.numbers) + categorical) >= len(self.numbers)

    def save(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Encoder":
        state = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            tuple(Number(**number) for number in state["numbers"]),
            tuple(Category(category["name"], tuple(category["levels"])) for category in state["categories"]),
            tuple(state["mean"]),
            tuple(state["scale"]),
        )


def fit(features: pd.DataFrame, rare_share: float) -> Encoder:
    """The encoder of these training rows; levels with less than `rare_share` of them are RARE."""
    numeric = [name for name in features if pd.api.types.is_numeric_dtype(features[name])]
    numbers = tuple(_fit_number(features[name]) for name in numeric)
    categories = tuple(_fit_category(features[name], rare_share) for name in features if name not in numeric)
    unscaled = Encoder(numbers, categories, mean=(0.0,), scale=(1.0,))
    columns = _one_hot(unscaled.codes(features), categories)
    mean, scale = columns.mean(axis=0), columns.std(axis=0)
    # Numbers are standard already; the second time would only change the last digits.
    mean[: len(numbers)], scale[: len(numbers)] = 0.0, 1.0
    scale[scale == 0] = 1.0
    return Encoder(numbers, categories, tuple(mean.tolist()), tuple(scale.tolist()))


def _fit_number(column: pd.Series) -> Number:
    values = column.to_numpy(np.float64)
    missing = np.isnan(values)
    median = float(np.median(values[~missing])) if not missing.all() else 0.0
    values = np.where(missing, median, values)
    # Where all values are the same, the mean's last digit can still leave a deviation.
    scale = float(values.std()) if values.min() < values.max() else 1.0
    return Number(column.name, median, float(values.mean()), scale, bool(missing.any()))


def _fit_category(column: pd.Series, rare_share: float) -> Category:
    counts = column.fillna(MISSING).value_counts()
    rare = counts < rare_share * len(column)
    # A level may be called RARE already.
    kept = counts.groupby(counts.index.where(~rare, RARE)).sum()
    # Most frequent first, and by name where counts tie, so that the order never depends on that of the rows.
    ordered = sorted(kept.items(), key=lambda item: (-item[1], item[0]))
    return Category(column.name, tuple(level for level, _ in ordered))


def _places(column: pd.Series, levels: tuple[str, ...]) -> np.ndarray:
    places = pd.Index(levels).get_indexer(column.fillna(MISSING))
    unknown = levels.index(RARE) if RARE in levels else 0
    return np.where(places < 0, unknown, places)


def _one_hot(codes: np.ndarray, categories: tuple[Category, ...]) -> np.ndarray:
    first = codes.shape[1] - len(categories)
    hot = [codes[:, [first + place]] == np.arange(1, len(category.levels)) for place, category in enumerate(categories)]
    return np.column_stack([codes[:, :first], *hot])


def _require(features: pd.DataFrame, names: list[str]) -> None:
    absent = [name for name in names if name not in features]
    if absent:
        raise InputError(f"no column '{absent[0]}', which the model was trained on; it has {', '.join(features)}")
