"""Scikit-learn's histogram gradient boosting, saved without pickle: the arrays that it predicts from.

Only names of scikit-learn that are not public give access to these: `_predictors` and what is around them. A test holds
the predictions to those of the classifier.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.lib.format import read_array
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

from stages.lib.common.checksums import write_checksums
from stages.lib.common.errors import InputError, file_errors
from stages.lib.common.files import atomic_write
from stages.lib.common.model_params import Trees
from stages.lib.common.progress import advance
from stages.lib.dataset.parquet import Frame, iter_chunks
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import Sessions
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import Encoder

FILE = "trees.npz"
MAX_CATEGORIES = 255  # scikit-learn's limit; columns with more are split by their ordinals, as numbers are
WORDS = 8  # of 32 bits, in which a split of a categorical column has a bit for each category

# What is saved, and the type and the number of dimensions of each
ARRAYS: dict[str, tuple[Any, int]] = {
    "baseline": (np.float64, 0),  # the log-odds that the trees add to
    "nodes": (PREDICTOR_RECORD_DTYPE, 1),  # of all trees
    "n_nodes": (np.int64, 1),  # of each tree
    "bitsets": (np.uint32, 2),  # of all categorical splits: the categories that go to the left
    "n_bitsets": (np.int64, 1),  # of each tree
    "known": (np.uint32, 2),  # for each categorical column, the categories in the training set
    "columns": (np.int64, 1),  # of `Encoder.ordinals`: the categorical ones come first
    "categories": (np.float64, 1),  # the ordinals that each categorical column had in the training set, ascending
    "n_categories": (np.int64, 1),
}


@dataclass(frozen=True)
class BoostedTrees:
    """Trees with the encoder of their inputs; `arrays` are described at ARRAYS."""

    encoder: Encoder
    arrays: dict[str, np.ndarray]

    @classmethod
    def fit(
        cls,
        sessions: Sessions,
        encoder: Encoder,
        *,
        settings: Trees,
        seed: int,
        extra_seed: int = 0,
        verbose: bool = False,
    ) -> Self:
        """Fit on ordinals: a categorical column is one column, not one-hot; see `Fit`.

        Predictions rise with the log-odds of target-encoded columns. Without that, trees that tell from other columns
        which category a row has see that its value is the lower, the more of the rows left out with it are purchases.
        """
        is_categorical = encoder.is_categorical
        if encoder.categorical:
            few = [len(column.categories) <= MAX_CATEGORIES for column in encoder.categorical]
            is_categorical[-len(few) :] = few
        classifier = HistGradientBoostingClassifier(
            **settings.model_dump(),
            categorical_features=is_categorical,
            monotonic_cst=encoder.is_target_encoded.astype(int) if encoder.target_encoded else None,
            random_state=seed + extra_seed,
            early_stopping=False,  # the committed params were chosen without it, and it takes a tenth of the rows
        )
        inputs = np.concatenate([encoder.ordinals(chunk) for chunk in iter_chunks(sessions.features)])
        classifier.fit(inputs, sessions.column("target").to_numpy(), sample_weight=sessions.weights)
        advance()
        return cls(encoder, _arrays_of(classifier))

    def predict(self, features: Frame) -> np.ndarray:
        """Probabilities of a purchase, not calibrated, float32 of shape (rows,)."""
        return np.concatenate([self._predict_chunk(chunk) for chunk in iter_chunks(features)])

    def _predict_chunk(self, features: pd.DataFrame) -> np.ndarray:
        ordinals, arrays = self.encoder.ordinals(features), self.arrays
        inputs = np.ascontiguousarray(ordinals[:, arrays["columns"]])
        for i, categories in enumerate(_split(arrays["categories"], arrays["n_categories"])):
            position = np.searchsorted(categories, inputs[:, i]).clip(max=len(categories) - 1)
            inputs[:, i] = np.where(categories[position] == inputs[:, i], position, np.nan)  # unknown means missing
        log_odds = np.full(len(inputs), arrays["baseline"])
        nodes, bitsets = (_split(arrays[name], arrays[f"n_{name}"]) for name in ("nodes", "bitsets"))
        places = np.arange(inputs.shape[1], dtype=np.uint32)  # of a categorical column, in `known`
        for tree, splits in zip(nodes, bitsets, strict=True):
            log_odds += TreePredictor(tree, splits, splits).predict(inputs, arrays["known"], places, n_threads=1)
        return expit(log_odds).astype(np.float32)

    def save(self, folder: Path, decision: Decision, schema: Schema) -> None:
        """Write trees.npz, the encoder, the decision, the schema and checksums; equal trees give equal bytes."""
        with atomic_write(folder) as temporary:
            temporary.mkdir()
            # What np.savez writes depends on the version of Python.
            with zipfile.ZipFile(temporary / FILE, "w") as archive:
                for name, array in self.arrays.items():
                    content = io.BytesIO()
                    np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
                    archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
            self.encoder.save(temporary / "encoder.json")
            decision.save(temporary / "decision.json")
            schema.save(temporary / "schema.json")
            write_checksums(temporary)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The trees that were saved there.

        Raises:
            InputError: the file is none that `save` wrote, perhaps with another version of scikit-learn.
        """
        path, encoder = folder / FILE, Encoder.load(folder / "encoder.json")
        # Of a broken zip file and the arrays in it, errors are of many kinds, from zlib's to the tokenizer's.
        with (
            file_errors(path, "trees that were saved", "expected the folder of a trained model", (Exception,)),
            zipfile.ZipFile(path) as file,
        ):
            arrays = {name: _read(file, f"{name}.npy") for name in ARRAYS}
        if not _is_sound(arrays, len(encoder.is_categorical)):
            raise InputError(f"{path}: not trees that this version of scikit-learn can load; run the stage again")
        return cls(encoder, arrays)


def _arrays_of(classifier: HistGradientBoostingClassifier) -> dict[str, np.ndarray]:
    predictors = [predictor for (predictor,) in classifier._predictors]
    known, _ = classifier._bin_mapper.make_known_categories_bitsets()
    is_categorical = classifier.is_categorical_
    if is_categorical is None:  # if none is
        is_categorical = np.zeros(classifier.n_features_in_, bool)
    categories = classifier._preprocessor.named_transformers_["encoder"].categories_ if is_categorical.any() else []
    values = {
        "baseline": np.reshape(classifier._baseline_prediction, ()),
        "nodes": np.concatenate([predictor.nodes for predictor in predictors]),
        "n_nodes": [len(predictor.nodes) for predictor in predictors],
        "bitsets": np.concatenate([predictor.raw_left_cat_bitsets.reshape(-1, WORDS) for predictor in predictors]),
        "n_bitsets": [len(predictor.raw_left_cat_bitsets) for predictor in predictors],
        "known": np.reshape(known, (-1, WORDS)),
        "columns": np.concatenate([np.flatnonzero(is_categorical), np.flatnonzero(~is_categorical)]),
        "categories": np.concatenate([np.empty(0), *categories]),
        "n_categories": [len(values) for values in categories],
    }
    return {name: np.asarray(values[name], dtype) for name, (dtype, _) in ARRAYS.items()}


def _read(file: zipfile.ZipFile, name: str) -> np.ndarray:
    """Unlike those of `np.load`, what is not an array is an error."""
    with file.open(name) as member:
        return read_array(member, allow_pickle=False)


def _split(array: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    return np.split(array, counts.cumsum()[:-1]) if len(counts) else []


def _is_sound(arrays: dict[str, np.ndarray], n_columns: int) -> bool:
    """Whether no tree leads out of its arrays, or in a circle: a file may have been damaged or tampered with."""
    if any(arrays[name].dtype != dtype or arrays[name].ndim != ndim for name, (dtype, ndim) in ARRAYS.items()):
        return False
    for name in ("nodes", "bitsets", "categories"):
        counts = arrays[f"n_{name}"]
        # A sum of numbers that are too large could be the right one again, modulo 2^64.
        if ((counts < 0) | (counts > len(arrays[name]))).any() or counts.sum() != len(arrays[name]):
            return False
    n_categorical, columns = len(arrays["n_categories"]), arrays["columns"]
    shapes = {arrays["bitsets"].shape[1], arrays["known"].shape[1]}
    if shapes != {WORDS} or len(arrays["known"]) != n_categorical or len(arrays["n_nodes"]) != len(arrays["n_bitsets"]):
        return False
    if sorted(columns) != [*range(n_columns)] or n_categorical > n_columns:
        return False
    if not arrays["n_nodes"].all() or not arrays["n_categories"].all():
        return False
    return all(
        _leads_to_leaves(nodes, n_bitsets, n_columns, n_categorical)
        for nodes, n_bitsets in zip(_split(arrays["nodes"], arrays["n_nodes"]), arrays["n_bitsets"], strict=True)
    )


def _leads_to_leaves(nodes: np.ndarray, n_bitsets: int, n_columns: int, n_categorical: int) -> bool:
    places = np.arange(len(nodes))
    splits = nodes[nodes["is_leaf"] == 0]
    for child in ("left", "right"):  # which comes after its parent
        if not ((splits[child] > places[nodes["is_leaf"] == 0]) & (splits[child] < len(nodes))).all():
            return False
    column, is_categorical = splits["feature_idx"], splits["is_categorical"] != 0
    if not ((column >= 0) & (column < n_columns)).all() or not (splits["bitset_idx"][is_categorical] < n_bitsets).all():
        return False
    return bool((column[is_categorical] < n_categorical).all())
