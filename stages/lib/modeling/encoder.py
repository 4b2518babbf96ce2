"""From a session's features to the network's inputs, as the training rows say."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from stages.lib.common.errors import InputError
from stages.lib.common.files import write_json
from stages.lib.common.params import Encoding
from stages.lib.dataset.matrix import Matrix, concatenate
from stages.lib.dataset.parquet import Frame, iter_chunks

INFREQUENT, MISSING = "(rare)", "(missing)"
FARTHEST = 3.0  # normal scores beyond are as far
KNOTS = 256  # of a normal score, at most


@dataclass(frozen=True)
class Number:
    """A number: missing values are the training median; `indicator` adds a column that marks them.

    Its code is standardised by `mean` and `scale`. Where there are `knots`, codes, the input is not the code but a
    line between the `scores` that belong to them. `edges` are codes too: between two of them another input rises
    from 0 to 1.
    """

    name: str
    median: float
    mean: float
    scale: float
    indicator: bool
    knots: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()


@dataclass(frozen=True)
class Category:
    """One-hot of `levels`, less the first, the most frequent one.

    Levels of too few training rows are one level, INFREQUENT; a missing value is a level of its own, where training had
    some. A level that training never saw counts as INFREQUENT, or, where no level was rare, as the most frequent one.
    """

    name: str
    levels: tuple[str, ...]

    @property
    def unknown(self) -> int:
        """The place of the level that a level that training never saw counts as."""
        return self.levels.index(INFREQUENT) if INFREQUENT in self.levels else 0


@dataclass(frozen=True)
class Encoder:
    """Fitted on training rows by `fit`; gives float32 inputs, less their `mean` on those rows, and over `scale`."""

    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def names(self) -> list[str]:
        """The inputs' names, in order: a number's own, its parts' `column[part]`, a category's `column=level`."""
        marks = [f"{number.name}=(missing)" for number in self._marked]
        parts = [f"{number.name}[{part}]" for number in self.numbers for part in range(1, len(number.edges))]
        levels = [f"{category.name}={level}" for category in self.categories for level in category.levels[1:]]
        return [number.name for number in self.numbers] + marks + parts + levels

    @property
    def columns(self) -> list[str]:
        """For each input, the raw column that it comes from."""
        parts = [number.name for number in self.numbers for _ in number.edges[1:]]
        levels = [category.name for category in self.categories for _ in category.levels[1:]]
        return [number.name for number in (*self.numbers, *self._marked)] + parts + levels

    @property
    def _marked(self) -> list[Number]:
        return [number for number in self.numbers if number.indicator]

    def inputs(self, features: Frame) -> Matrix:
        """Inputs, float32 of shape (rows, inputs), in a file if they are more than a chunk; made a part at a time."""
        return concatenate((len(features), len(self.mean)), map(self.transform, iter_chunks(features)))

    def transform(self, features: pd.DataFrame) -> np.ndarray:
        """Inputs, float32 of shape (rows, inputs)."""
        return self.expand(self.codes(features))

    def codes(self, features: pd.DataFrame) -> np.ndarray:
        """Standardised numbers, then 0/1 marks of missing ones, then a level's place for each category; float64."""
        columns: list[Number | Category] = [*self.numbers, *self.categories]
        _require(features, [column.name for column in columns])
        values = features[[number.name for number in self.numbers]].to_numpy(np.float64)
        missing = np.isnan(values)
        values = np.where(missing, [number.median for number in self.numbers], values)
        values = (values - [number.mean for number in self.numbers]) / [number.scale for number in self.numbers]
        marks = missing[:, [number.indicator for number in self.numbers]]
        places = [_places(features[category.name], category) for category in self.categories]
        return np.column_stack([values, marks, *places])

    def expand(self, codes: np.ndarray) -> np.ndarray:
        """Inputs, float32 of shape (rows, inputs), from `codes`: numbers, marks, parts, one-hot categories."""
        inputs = np.empty((len(codes), len(self.mean)), np.float32)
        for start, block in _blocks(codes, self.numbers, self.categories):
            part = slice(start, start + block.shape[1])
            inputs[:, part] = (block - np.array(self.mean[part])) / self.scale[part]
        return inputs

    @property
    def code_is_category(self) -> np.ndarray:
        """For each column of `codes`, whether it is a mark or a category, not a quantity."""
        categorical = len(self._marked) + len(self.categories)
        return np.arange(len(self.numbers) + categorical) >= len(self.numbers)

    def save(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Encoder":
        state = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            tuple(Number(**_tuples(number)) for number in state["numbers"]),
            tuple(Category(**_tuples(category)) for category in state["categories"]),
            tuple(state["mean"]),
            tuple(state["scale"]),
        )


def fit_encoder(features: Frame, settings: Encoding) -> Encoder:
    """The encoder of these training rows, of which a column or a part is looked at at a time.

    numbers: standard, or quantile: the normal score of a value's rank among them, within ±3. bins: beside it the
    number's piecewise-linear encoding in so many parts (Gorishniy, Rubachev & Babenko 2022, "On Embeddings for
    Numerical Features in Tabular Deep Learning"), cut at its values where they are no more, or else at quantiles.
    Marks and categories are standardised with standard numbers, and only centred with quantiles, as parts are.
    """
    fitted = [
        (_fit_number if pd.api.types.is_numeric_dtype(column) else _fit_category)(column, settings)
        for _, column in features.items()
    ]
    numbers = tuple(one for one in fitted if isinstance(one, Number))
    categories = tuple(one for one in fitted if isinstance(one, Category))
    mean, variance = _moments(features, Encoder(numbers, categories, (), ()))
    scale = np.sqrt(variance) if settings.scaling == "standard" else np.ones(len(mean))
    # Numbers are on their scale already; the second time would only change the last digits.
    mean[: len(numbers)], scale[: len(numbers)] = 0.0, 1.0
    scale[scale == 0] = 1.0
    return Encoder(numbers, categories, tuple(mean.tolist()), tuple(scale.tolist()))


def _moments(features: Frame, encoder: Encoder) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the variance of each input before it is centred and scaled: of parts, put together."""
    found, counts = [], []
    for part in iter_chunks(features):
        blocks = _blocks(encoder.codes(part), encoder.numbers, encoder.categories)
        moments = [(block.mean(axis=0), block.var(axis=0)) for _, block in blocks]
        found.append(np.hstack(moments))
        counts.append(len(part))
    shares = (np.array(counts) / sum(counts))[:, np.newaxis]
    means, variances = np.stack(found, axis=1)
    mean = (shares * means).sum(axis=0)
    return mean, (shares * (variances + (means - mean) ** 2)).sum(axis=0)


def _fit_number(column: pd.Series, settings: Encoding) -> Number:
    values = column.to_numpy(np.float64)
    missing = np.isnan(values)
    median = float(np.median(values[~missing])) if not missing.all() else 0.0
    values = np.where(missing, median, values)
    # Where all values are the same, the mean's last digit can still leave a deviation.
    mean, scale = float(values.mean()), float(values.std()) if values.min() < values.max() else 1.0
    codes = (values - mean) / scale
    knots, scores = _normal_scores(codes) if settings.scaling == "quantile" else ((), ())
    edges = _edges(codes[~missing], settings.bins)
    return Number(str(column.name), median, mean, scale, bool(missing.any()), knots, scores, edges)


def _normal_scores(codes: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Values, at most KNOTS of them, and the normal score of each one's middle rank."""
    values, counts = np.unique(codes, return_counts=True)
    scores = norm.ppf((counts.cumsum() - counts / 2) / len(codes))
    if len(values) > KNOTS:
        # Even in scores, not in ranks, which would leave few for the tails.
        chosen = np.unique(np.searchsorted(scores, np.linspace(scores[0], scores[-1], KNOTS)).clip(max=len(values) - 1))
        values, scores = values[chosen], scores[chosen]
    scores = np.clip(scores, -FARTHEST, FARTHEST) if len(values) > 1 else np.zeros(1)
    return tuple(values.tolist()), tuple(scores.tolist())


def _edges(codes: np.ndarray, bins: int) -> tuple[float, ...]:
    if not bins or not len(codes):
        return ()
    values = np.unique(codes)
    if len(values) > bins:
        values = np.unique(np.quantile(codes, np.linspace(0, 1, bins + 1)))
    return tuple(values.tolist()) if len(values) > 1 else ()


def _fit_category(column: pd.Series, settings: Encoding) -> Category:
    counts = column.fillna(MISSING).value_counts()
    # By name where counts tie, so that the order never depends on that of the rows.
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    most = settings.max_categories if len(order) <= settings.max_categories else settings.max_categories - 1
    kept = {level for level, count in order[:most] if count >= settings.min_frequency * len(column)}
    # A level may be called INFREQUENT already.
    merged = counts.groupby(counts.index.where(counts.index.isin(kept), INFREQUENT)).sum()
    ordered = sorted(merged.items(), key=lambda item: (-item[1], item[0]))
    return Category(str(column.name), tuple(str(level) for level, _ in ordered))


def _places(column: pd.Series, category: Category) -> np.ndarray:
    places = pd.Index(category.levels).get_indexer(pd.Index(column.fillna(MISSING)))
    return np.where(places < 0, category.unknown, places)


def _blocks(
    codes: np.ndarray, numbers: tuple[Number, ...], categories: tuple[Category, ...]
) -> Iterator[tuple[int, np.ndarray]]:
    """The inputs before they are centred and scaled, some columns at a time, each with the place of the first."""
    first, start = codes.shape[1] - len(categories), len(numbers)
    for place, number in enumerate(numbers):
        code = codes[:, place]
        yield place, (np.interp(code, number.knots, number.scores) if number.knots else code)[:, np.newaxis]
    yield start, codes[:, start:first]
    start = first
    for place, number in enumerate(numbers):
        if number.edges:
            low, high = np.array(number.edges[:-1]), np.array(number.edges[1:])
            yield start, np.clip((codes[:, [place]] - low) / (high - low), 0, 1)
            start += len(low)
    for place, category in enumerate(categories, start=first):
        yield start, codes[:, [place]] == np.arange(1, len(category.levels))
        start += len(category.levels) - 1


def _tuples(state: dict[str, Any]) -> dict[str, Any]:
    # In JSON they are lists.
    return {name: tuple(value) if isinstance(value, list) else value for name, value in state.items()}


def _require(features: pd.DataFrame, names: list[str]) -> None:
    absent = [name for name in names if name not in features]
    if absent:
        known = ", ".join(map(str, features))
        raise InputError(f"no column '{absent[0]}', which the model was trained on; it has {known}")
