"""The models that benchmarks.quality compares, each fitted on the training set only."""

from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed

from benchmarks.tools import PARAMS, write_params
from stages import blend
from stages.lib.baselines import fit_logistic
from stages.lib.common.model_params import Encoding, ModelConfig, Trees
from stages.lib.common.params import Params
from stages.lib.common.processes import Pool, process_pool
from stages.lib.dataset.parquet import Frame
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import Sessions, write_sessions
from stages.lib.modeling import compiled_loop
from stages.lib.modeling.blend import SavedModel, load_model
from stages.lib.modeling.boosted_trees import BoostedTrees
from stages.lib.modeling.cross_validation import Predictor
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import fit_to_train
from stages.lib.modeling.model import Model, train_model
from stages.lib.modeling.network_stage import train_network
from stages.lib.modeling.target_encoding import inner_folds
from stages.lib.modeling.trainer import Candidate as TrainerCandidate
from stages.lib.modeling.training_stage import train_and_predict

THREADS = 2  # or processes of one thread, of a model that is many
LOADED = ("stages.lib.modeling.model", __name__)  # by the process that these are forks of
MISSING = "(missing)"

# From a training set and a seed to a fitted model
FitModel = Callable[[Sessions, int], Predictor]


@dataclass(frozen=True)
class Candidate:
    """A model to compare."""

    label: str
    family: str  # network, linear, trees or blend
    package: str | None = None  # which may not be installed


CANDIDATES = {
    "strong": Candidate("strong network", "network"),
    "study": Candidate("study's network", "network"),
    "faster": Candidate("study's network, faster", "network"),
    "logistic": Candidate("logistic regression", "linear"),
    "trees": Candidate("histogram gradient boosting", "trees"),
    "blend": Candidate("blend of strong network and trees", "blend"),
    "lightgbm": Candidate("LightGBM", "trees", "lightgbm"),
    "catboost": Candidate("CatBoost", "trees", "catboost"),
}

# The study's learning rate and batch size are for its own data: on most tables, ten epochs of them learn little.
FASTER = {"learning_rate": 0.001, "batch_size": 256}


def installed_models(names: list[str]) -> dict[str, FitModel]:
    """How to fit each of these models, with the committed params; without those whose package is not installed."""
    params = Params.load(PARAMS)
    base, encoding, baselines = params.train_base, params.train_base.encoding, params.train_reference
    models: dict[str, FitModel] = {
        "strong": partial(_fit_strong, params),
        "study": partial(fit_network, base),
        "faster": partial(fit_network, base.with_point(FASTER)),
        "logistic": lambda sessions, seed: fit_logistic(
            **_encoded(sessions, encoding, seed), settings=baselines.logistic
        ),
        "trees": lambda sessions, seed: BoostedTrees.fit(
            **_encoded(sessions, encoding, seed), settings=baselines.trees, seed=seed
        ),
        "blend": partial(_fit_blend, params),
        "lightgbm": LightGBM,
        "catboost": CatBoost,
    }
    if {"strong", "blend"} & {*names}:
        with process_pool(*LOADED, max_workers=THREADS) as pool:
            pool([delayed(int)()])  # loads them, so that this is not timed
    return {name: models[name] for name in names if _is_installed(CANDIDATES[name].package)}


def _is_installed(package: str | None) -> bool:
    """Whether a package is there; it is imported already, so that its import is not timed."""
    if package:
        try:
            import_module(package)
        except ImportError as error:
            print(f"{package}: left out ({error}); install it with pip install -r requirements-benchmark.txt")
            return False
    return True


def _encoded(sessions: Sessions, encoding: Encoding, seed: int) -> dict[str, Any]:
    """The rows and the encoder that a model is fitted with."""
    encoder, encoded = fit_to_train(sessions, encoding, inner_folds("stratified", seed))
    return {"sessions": encoded, "encoder": encoder}


def fit_network(config: ModelConfig, sessions: Sessions, seed: int) -> Model:
    # Each fit compiles anew; otherwise only the first split would, and the mean of the seconds would be too low.
    compiled_loop.clear_cache()
    return train_model(**_encoded(sessions, config.encoding, seed), config=config, strategy="stratified", seed=seed)


def _fit_strong(params: Params, sessions: Sessions, seed: int) -> SavedModel:
    """As its stage does, which chooses a candidate by cross-validation."""
    with _stage_files(params, sessions, seed) as run:
        run.train_strong()
        return load_model(Path("models/strong"))


def _fit_blend(params: Params, sessions: Sessions, seed: int) -> SavedModel:
    """As the three stages do that it takes."""
    with _stage_files(params, sessions, seed) as run:
        run.train_strong()
        train_and_predict(
            [run.trees(params.train_reference.trees)],
            run.params,
            *run.paths("trees"),
            save=partial(_save, folder=Path("models/trees").absolute()),
            pool=run.pool,
        )
        blend.main(Path("out_of_fold"), Path("predictions"), Path("models"))
        return load_model(Path("models/blend"))


def _save(model: BoostedTrees, decision: Decision, schema: Schema, folder: Path) -> None:
    model.save(folder, decision, schema)


@dataclass(frozen=True)
class _Stages:
    params: Params
    pool: Pool

    def paths(self, name: str) -> tuple[Path, ...]:
        names = ("train.parquet", "test.parquet", f"predictions/{name}.parquet", f"out_of_fold/{name}.parquet")
        return tuple(map(Path, names))

    def train_strong(self) -> None:
        config, (train, test, predictions, out_of_fold) = self.params.train_strong, self.paths("strong")
        paths, points = (train, test, Path("models/strong"), predictions, out_of_fold), config.candidates
        train_network(config, self.params, *paths, points=points, teacher=self.trees(config.teacher), pool=self.pool)

    def trees(self, settings: Trees) -> TrainerCandidate:
        fit = partial(BoostedTrees.fit, settings=settings, seed=self.params.seed)
        return TrainerCandidate(fit, self.params.train_base.encoding)


@contextmanager
def _stage_files(params: Params, sessions: Sessions, seed: int) -> Iterator[_Stages]:
    """A folder as the working directory, with a training set, and a test set of one row that nobody looks at.

    The workers are new ones, so that each fit compiles anew.
    """
    with TemporaryDirectory() as folder, chdir(folder), process_pool(*LOADED, max_workers=THREADS) as pool:
        write_params(Path("params.yaml"), {"seed": seed})
        write_sessions(Path("train.parquet"), sessions)
        write_sessions(Path("test.parquet"), sessions.take(np.arange(1)).select("feature", "key"))
        yield _Stages(params.model_copy(update={"seed": seed}), pool)


class LightGBM:
    """LightGBM with its defaults; categories are passed as such, missing values as they are."""

    def __init__(self, sessions: Sessions, seed: int) -> None:
        from lightgbm import LGBMClassifier

        features = _in_memory(sessions.features)
        self.categories = {name: sorted(features[name].dropna().unique()) for name in _categorical(features)}
        classifier = LGBMClassifier(random_state=seed, n_jobs=THREADS, verbose=-1)
        self.classifier = classifier.fit(self._encode(features), sessions.column("target"))

    def predict(self, features: Frame) -> np.ndarray:
        return self.classifier.predict_proba(self._encode(_in_memory(features)))[:, 1]

    def _encode(self, features: pd.DataFrame) -> pd.DataFrame:
        """Categories that are not in the training set become missing."""
        columns = {
            name: pd.Categorical(column, self.categories[name]) if name in self.categories else column
            for name, column in features.items()
        }
        # LightGBM refuses some characters in names, so columns are numbered.
        numbered = [f"c{number}" for number in range(len(columns))]
        return pd.DataFrame(columns, index=features.index).set_axis(numbered, axis=1)


class CatBoost:
    """CatBoost with its defaults; a missing category is a category, missing numbers are passed as they are."""

    def __init__(self, sessions: Sessions, seed: int) -> None:
        from catboost import CatBoostClassifier

        features = _in_memory(sessions.features)
        self.categorical = _categorical(features)
        classifier = CatBoostClassifier(
            random_seed=seed,
            thread_count=THREADS,
            cat_features=self.categorical,
            verbose=False,
            allow_writing_files=False,
        )
        self.classifier = classifier.fit(self._encode(features), sessions.column("target"))

    def predict(self, features: Frame) -> np.ndarray:
        return self.classifier.predict_proba(self._encode(_in_memory(features)))[:, 1]

    def _encode(self, features: pd.DataFrame) -> pd.DataFrame:
        return features.fillna(dict.fromkeys(self.categorical, MISSING))


def _in_memory(features: Frame) -> pd.DataFrame:
    return features if isinstance(features, pd.DataFrame) else pd.DataFrame(dict(features.items()))


def _categorical(features: pd.DataFrame) -> list[str]:
    return [str(name) for name, column in features.items() if not pd.api.types.is_numeric_dtype(column)]
