"""The models that benchmarks.quality holds against each other, each fitted on training rows and nothing else."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from stages.lib.baselines import factories
from stages.lib.common.params import ModelConfig, load
from stages.lib.dataset.sessions import Sessions
from stages.lib.modeling.compiled_loop import _programs
from stages.lib.modeling.cross_validation import Predictor
from stages.lib.modeling.encoder import fit_encoder
from stages.lib.modeling.model import Model, train_model

PARAMS = Path(__file__).parents[1] / "params.yaml"
THREADS = 2
MISSING = "(missing)"

LABELS = {
    "strong": "strong network",
    "study": "study's network",
    "faster": "study's network, faster",
    "logistic": "logistic regression",
    "trees": "histogram gradient boosting",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
}
TREES = ("trees", "lightgbm", "catboost")
OPTIONAL = ("lightgbm", "catboost")

# The study's rate and batches are for its own data: ten epochs of them leave most tables half learned.
FASTER = {"learning_rate": 0.001, "batch_size": 256}

# From training rows and a seed to something that predicts.
Fit = Callable[[Sessions, int], Predictor]


def fits(names: list[str]) -> dict[str, Fit]:
    """The models of these names that are installed, with the committed params."""
    base, strong, settings = load("train_base", "train_strong", "train_reference", path=PARAMS)
    known: dict[str, Fit] = {
        "strong": partial(_network, strong),
        "study": partial(_network, base),
        "faster": partial(_network, base.with_point(FASTER)),
        "lightgbm": LightGBM,
        "catboost": CatBoost,
    }
    for name in ("logistic", "trees"):
        known[name] = lambda sessions, seed, name=name: factories(settings, seed)[name](
            sessions, fit_encoder(sessions.features, base.encoding)
        )
    return {name: known[name] for name in names if name not in OPTIONAL or _installed(name)}


def _installed(package: str) -> bool:
    """Whether it is there, and if so loaded, so that no fit's seconds count it."""
    try:
        import_module(package)
    except ImportError as error:
        print(f"{package}: left out ({error}); it is in requirements-benchmark.txt")
        return False
    return True


def _network(recipe: ModelConfig, sessions: Sessions, seed: int) -> Model:
    # Else only the first split would compile.
    _programs.clear()
    encoder = fit_encoder(sessions.features, recipe.encoding)
    return train_model(sessions, encoder, recipe, "target", seed)[0]


class LightGBM:
    """LightGBM with its defaults, categories as such, missing values as they are."""

    def __init__(self, sessions: Sessions, seed: int):
        from lightgbm import LGBMClassifier

        features = sessions.features
        self.levels = {name: sorted(features[name].dropna().unique()) for name in _texts(features)}
        classifier = LGBMClassifier(random_state=seed, n_jobs=THREADS, verbose=-1)
        self.classifier = classifier.fit(self._rows(features), sessions.column("target"))

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        return self.classifier.predict_proba(self._rows(features))[:, 1]

    def _rows(self, features: pd.DataFrame) -> pd.DataFrame:
        """Levels that training never saw are missing; columns by number, as LightGBM refuses some signs in names."""
        columns = {
            name: pd.Categorical(features[name], self.levels[name]) if name in self.levels else features[name]
            for name in features
        }
        return pd.DataFrame(columns, index=features.index).set_axis(
            [f"c{place}" for place in range(len(columns))], axis=1
        )


class CatBoost:
    """CatBoost with its defaults, categories as texts, a missing one as a level, missing numbers as they are."""

    def __init__(self, sessions: Sessions, seed: int):
        from catboost import CatBoostClassifier

        features = sessions.features
        self.texts = _texts(features)
        classifier = CatBoostClassifier(
            random_seed=seed,
            thread_count=THREADS,
            cat_features=self.texts,
            verbose=False,
            allow_writing_files=False,
        )
        self.classifier = classifier.fit(self._rows(features), sessions.column("target"))

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        return self.classifier.predict_proba(self._rows(features))[:, 1]

    def _rows(self, features: pd.DataFrame) -> pd.DataFrame:
        return features.fillna(dict.fromkeys(self.texts, MISSING))


def _texts(features: pd.DataFrame) -> list[str]:
    return [name for name in features if not pd.api.types.is_numeric_dtype(features[name])]
