"""The AUC of networks and boosted trees on real tables, and how long they take.

    python -m benchmarks.quality [--data ../shared/data] [--json quality.json] [--picture docs/quality.svg]
    python -m benchmarks.quality shop.csv --target Revenue --drop PageValues --categories Region,Browser
    python -m benchmarks.quality --protocol tabarena

Tables are prepared by the prepare stage. Each split is another stratified one, whose test set is a fifth of the rows;
with --protocol tabarena, tables and splits are those of BeyondArena (https://tabarena.ai), three times three folds;
encoders and models are fitted on the training set. Differences are paired, to the boosted trees with the highest mean
AUC on the table. Standard errors are over the splits, which share rows: they measure how much another split would
change, not other visitors. Seconds are those of encoding, fitting and predicting; they include compiling (each fit
compiles anew), but not imports. The strong network and the blend, which are many models, are fitted by two processes of
one thread, as their stages do it. LightGBM and CatBoost, with their defaults, have two threads, other networks one.
These two are optional: pip install -r requirements-benchmark.txt
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

# OpenMP reads this when it is loaded. By default its threads wait busily, which makes trees twenty times slower where
# another program runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold

from benchmarks.compared_models import CANDIDATES, FitModel, installed_models
from benchmarks.quality_picture import draw
from benchmarks.quality_tables import DEFAULT, REAL_TABLES, TABARENA, TITLES, load_tables, prepare_table
from benchmarks.tools import ROOT
from stages.lib.common.errors import InputError
from stages.lib.common.files import write_json
from stages.lib.dataset.sessions import Sessions
from stages.lib.dataset.splits import train_test_split

TEST_SIZE = 0.2
Split = tuple[np.ndarray, np.ndarray]
PACKAGES = ("scikit-learn", "tensorflow", "keras")  # whose versions are reported


def main() -> None:
    options = parse_arguments()
    models = installed_models(options.models)
    if not models:
        sys.exit("quality: none of the models is installed")
    packages = [*PACKAGES, *(package for name in models if (package := CANDIDATES[name].package))]
    versions = {package: version(package) for package in packages}
    results: dict[str, Any] = {}
    try:
        for name, sessions in chosen_tables(options):
            splits = SPLITS[options.protocol](sessions, options.splits)
            results[name] = summarize(name, sessions, measure(name, sessions, models, splits))
            print_table(results[name])
            if options.json:  # after each table, so that an interrupted run leaves what it has
                write_json(options.json, {"splits": options.splits, "versions": versions, "tables": results})
    except InputError as error:
        sys.exit(f"quality: {error}")
    if not results:
        sys.exit("quality: no table to measure on; --data names the folder of the real ones")
    print_means(results)
    if options.picture:
        draw(results, options.picture)


def chosen_tables(options: argparse.Namespace) -> Iterator[tuple[str, Sessions]]:
    """Name and sessions of the table on the command line, or of the known ones."""
    if options.protocol == "tabarena":
        yield from load_tables([*TABARENA], options.data, TABARENA)
        return
    if not options.table:
        yield from load_tables(options.tables, options.data)
        return
    names = ("target", "positive_class", "drop", "categories", "numeric", "na_values")
    changes = {name: getattr(options, name) for name in names}
    yield options.table.name.split(".")[0], prepare_table(options.table, changes)


def own_splits(sessions: Sessions, splits: int) -> Iterator[Split]:
    """Stratified ones, whose test set is a fifth of the rows."""
    for split in range(splits):
        yield train_test_split(sessions, "stratified", TEST_SIZE, seed=split)


def tabarena_splits(sessions: Sessions, splits: int) -> Iterator[Split]:
    """The first of the nine of BeyondArena."""
    shuffled = sessions.column("target").sample(frac=1, random_state=42)
    folds = RepeatedStratifiedKFold(n_splits=3, n_repeats=3, random_state=4267).split(shuffled, shuffled)
    for train_idx, test_idx in islice(folds, splits):
        yield np.sort(shuffled.index[train_idx]), np.sort(shuffled.index[test_idx])


def measure(name: str, sessions: Sessions, models: dict[str, FitModel], splits: Iterable[Split]) -> pd.DataFrame:
    """Fit and evaluate each model on each split; prints a line of progress each.

    Args:
        name: of the table.
        sessions: its rows.
        models: how to fit each model.
        splits: positions of training and of test rows, ascending.

    Returns:
        A row per split and model with its AUC and seconds.
    """
    rows = []
    for split, (train_idx, test_idx) in enumerate(splits):
        train, test = sessions.take(train_idx), sessions.take(test_idx)
        features, targets = test.features, test.column("target")
        for model, fit in models.items():
            start = time.perf_counter()
            probabilities = fit(train, split).predict(features)
            seconds = time.perf_counter() - start
            auc = roc_auc_score(targets, probabilities)
            rows.append({"split": split, "model": model, "auc": auc, "seconds": seconds})
            print(f"{name}, split {split + 1}, {model}: AUC {auc:.4f}, {seconds:.1f} s", flush=True)
    return pd.DataFrame(rows)


def summarize(name: str, sessions: Sessions, measured: pd.DataFrame) -> dict[str, Any]:
    """Facts of a table, and means and standard errors of its models.

    Args:
        name: of the table.
        sessions: its rows.
        measured: what `measure` has returned.

    Returns:
        A document for JSON. Differences are from its `reference`: the best trees or, without any, the best model.
    """
    names = [str(model) for model in measured["model"].unique()]
    aucs = measured.pivot(index="split", columns="model", values="auc")[names]
    seconds = measured.pivot(index="split", columns="model", values="seconds")[names]
    trees = [model for model in names if CANDIDATES[model].family == "trees"]
    reference = str(aucs[trees or names].mean().idxmax())
    differences = aucs.sub(aucs[reference], axis=0)
    metrics = pd.DataFrame(
        {
            "auc": aucs.mean(),
            "auc_se": aucs.sem(),
            "difference": differences.mean(),
            "difference_se": differences.sem(),
            "seconds": seconds.mean(),
        }
    )
    return {
        "rows": len(sessions),
        "purchases": int(sessions.column("target").sum()),
        "features": len(sessions.names("feature")),
        "title": TITLES.get(name, name),
        "reference": reference,
        "models": {
            model: metrics.loc[model].dropna().round(6).to_dict() | {"aucs": aucs[model].round(6).tolist()}
            for model in names
        },
    }


def print_table(result: dict[str, Any]) -> None:
    facts = "{rows} rows, {purchases} purchases, {features} features".format(**result)
    print(f"\n{result['title']}: {facts}; differences from {CANDIDATES[result['reference']].label}")
    print(f"{'':30}{'AUC':>8}{'s.e.':>9}{'difference':>13}{'s.e.':>9}{'seconds':>10}")
    for model, metrics in result["models"].items():
        # One split has no standard error.
        auc_se, difference_se = (
            f"{metrics[name]:9.4f}" if name in metrics else f"{'':9}" for name in ("auc_se", "difference_se")
        )
        auc, difference = f"{metrics['auc']:8.4f}", f"{metrics['difference']:+13.4f}"
        print(f"{CANDIDATES[model].label:30}{auc}{auc_se}{difference}{difference_se}{metrics['seconds']:10.1f}")
    print(flush=True)


def print_means(results: dict[str, Any]) -> None:
    """Print each model's means over the real tables, and its worst difference, if there are several tables."""
    real = [result["models"] for name, result in results.items() if name != DEFAULT]
    if len(real) < 2:
        return
    print(f"Over {len(real)} real tables: mean AUC, mean and lowest difference, seconds")
    for model in real[0]:
        metrics = pd.DataFrame([models[model] for models in real])
        mean, lowest = metrics[["auc", "difference", "seconds"]].mean(), metrics["difference"].min()
        print(
            f"{CANDIDATES[model].label:30}{mean['auc']:8.4f}{mean['difference']:+13.4f}{lowest:+9.4f}"
            f"{mean['seconds']:10.1f}"
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", type=Path, metavar="TABLE", help="a session table, csv or parquet")
    parser.add_argument("--target", help="of TABLE: the column to predict")
    parser.add_argument("--positive-class", help="of TABLE: the target's value to predict, if not 1, true, yes or y")
    for option, what in (
        ("--drop", "columns to leave out"),
        ("--categories", "columns of codes that are no quantities"),
        ("--numeric", "numeric columns"),
        ("--na-values", "more texts that mean a missing value"),
    ):
        parser.add_argument(option, type=split_names, default=[], metavar="A,B", help=f"of TABLE: {what}")
    known_tables, known_models = [*REAL_TABLES, DEFAULT], [*CANDIDATES]
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the real tables")
    parser.add_argument("--tables", type=split_names, default=known_tables, help=f"any of {', '.join(known_tables)}")
    parser.add_argument("--models", type=split_names, default=known_models, help=f"any of {', '.join(known_models)}")
    parser.add_argument("--protocol", choices=SPLITS, default="own", help="whose tables and splits")
    parser.add_argument("--splits", type=int, default=5, help="of tabarena, 9 at most")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--picture", type=Path, help="draw the results to this file, as SVG")
    options = parser.parse_args()
    for option, known in (("tables", known_tables), ("models", known_models)):
        chosen = getattr(options, option)
        if not chosen or not set(chosen) <= set(known):
            parser.error(f"--{option}: expected some of {', '.join(known)}")
    if options.table and not options.target:
        parser.error("TABLE needs --target")
    if options.splits < 1:
        parser.error("--splits: expected 1 or more")
    return options


SPLITS = {"own": own_splits, "tabarena": tabarena_splits}


def split_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    main()
