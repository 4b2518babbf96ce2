"""How well networks and boosted trees tell buyers from others, on real tables, and how long they take.

    python -m benchmarks.quality [--data ../shared/data] [--json quality.json] [--picture docs/quality.svg]
    python -m benchmarks.quality shop.csv --target Revenue --drop PageValues --categories Region,Browser

Rows are made by the prepare stage. A split holds out another stratified fifth of them; all else, encoders too, is
fitted on the rest. Differences are paired, from the boosted trees that are best on the table by their mean. Standard
errors are over the splits, which share rows: they say what another split would change, not other visitors.
Seconds are those of encoding, fitting and predicting; compiling counts (each fit compiles anew), imports do not.
Networks run on one thread, LightGBM and CatBoost on two. These two, with their defaults, are optional:
`pip install -r requirements-benchmark.txt`.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

# OpenMP reads it when it is loaded. Threads that wait busily, as they do by default, make trees take twenty times as
# long where another program runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pandas as pd
import yaml
from sklearn.metrics import roc_auc_score

from benchmarks import contestants
from benchmarks.contestants import LABELS, TREES, Fit
from stages import prepare
from stages.lib.common.errors import InputError
from stages.lib.common.files import atomic_write, write_json
from stages.lib.dataset.sessions import Sessions, read_sessions
from stages.lib.dataset.splits import train_test_split

ROOT = Path(__file__).parents[1]
PREPARED = ROOT / "data" / "prepared" / "sessions.parquet"
DEFAULT = "default"
TEST_SHARE = 0.2
VERSIONED = ("scikit-learn", "tensorflow", "keras", "lightgbm", "catboost")

# What is not in the file while a session, or a call, is going on is left out: bank's duration is known at its end.
SHOPPERS = {"target": "Revenue", "categories": ["OperatingSystems", "Browser", "Region", "TrafficType"]}
KNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "shoppers": ("online_shoppers_intention.csv", SHOPPERS),
    "shoppers-without-values": ("online_shoppers_intention.csv", SHOPPERS | {"drop": ["PageValues"]}),
    "bank": ("bank_full.csv", {"target": "y", "drop": ["duration"], "missing": ["unknown"]}),
}
TITLES = {
    "shoppers": "Online shoppers",
    "shoppers-without-values": "Online shoppers, without PageValues",
    "bank": "Bank marketing, without duration",
    DEFAULT: "The default data, simulated",
}
WIDEST = 0.045  # of AUC in a picture: models farther behind stand at its edge


def tables(options: argparse.Namespace) -> Iterable[tuple[str, Sessions]]:
    """Name and prepared rows of the tables that are asked for and there; a line for each that is not."""
    if options.table:
        names = ("target", "positive", "drop", "categories", "numbers", "missing")
        yield options.table.name.split(".")[0], prepared(options.table, {name: vars(options)[name] for name in names})
        return
    for name in options.tables:
        file, changes = KNOWN.get(name, (None, {}))
        path = options.data / file if file else PREPARED
        if not path.is_file():
            print(f"{name}: left out, there is no {path}" + "; dvc repro prepare writes it" * (name == DEFAULT))
        else:
            yield name, prepared(path, changes) if file else read_sessions(path)


def prepared(source: Path, changes: dict[str, Any]) -> Sessions:
    """The rows of a table of sessions, as the prepare stage makes them by the committed params with these `changes`.

    Texts in `missing` stand for no value beside those of the committed params.
    """
    document = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    missing = [*document["prepare"]["missing"], *changes.get("missing", [])]
    document["prepare"] |= {"source": str(source), "kind": "sessions"} | changes | {"missing": missing}
    source = source.resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("params.yaml").write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        prepare.main(source, Path("sessions.parquet"))
        return read_sessions(Path("sessions.parquet"))


def measure(name: str, sessions: Sessions, fits: dict[str, Fit], splits: int) -> pd.DataFrame:
    """AUC and seconds, a row a split and model; a line of progress each."""
    found = []
    for split in range(splits):
        train, test = (sessions.take(rows) for rows in train_test_split(sessions, "target", TEST_SHARE, seed=split))
        features, targets = test.features, test.column("target")
        for model, fit in fits.items():
            start = time.perf_counter()
            probabilities = fit(train, split).predict(features)
            seconds = time.perf_counter() - start
            auc = roc_auc_score(targets, probabilities)
            found.append({"split": split, "model": model, "auc": auc, "seconds": seconds})
            print(f"{name}, split {split + 1}/{splits}, {model}: AUC {auc:.4f}, {seconds:.1f} s", flush=True)
    return pd.DataFrame(found)


def summary(found: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """For each model means and standard errors over the splits; the best trees, or, without any, the best model."""
    by_split = {figure: found.pivot(index="split", columns="model", values=figure) for figure in ("auc", "seconds")}
    aucs = by_split["auc"][list(found["model"].unique())]
    best = aucs[[model for model in aucs if model in TREES] or list(aucs)].mean().idxmax()
    differences = aucs.sub(aucs[best], axis=0)
    figures = {
        "auc": aucs.mean(),
        "auc_se": aucs.sem(),
        "difference": differences.mean(),
        "difference_se": differences.sem(),
        "seconds": by_split["seconds"].mean(),
    }
    return pd.DataFrame(figures).loc[aucs.columns], best


def describe(name: str, sessions: Sessions, found: pd.DataFrame) -> dict[str, Any]:
    """Facts of a table and its models' figures, as JSON takes them."""
    figures, best = summary(found)
    return {
        "rows": len(sessions),
        "purchases": int(sessions.column("target").sum()),
        "features": len(sessions.names("feature")),
        "title": TITLES.get(name, name),
        "held_against": best,
        "models": {
            model: row.dropna().round(6).to_dict() | {"aucs": group["auc"].round(6).tolist()}
            for (model, row), (_, group) in zip(figures.iterrows(), found.groupby("model", sort=False), strict=True)
        },
    }


def show(result: dict[str, Any]) -> None:
    facts = "{rows} rows, {purchases} purchases, {features} features".format(**result)
    print(f"\n{result['title']}: {facts}; differences from {LABELS[result['held_against']]}")
    print(f"{'':30}{'AUC':>8}{'s.e.':>9}{'difference':>13}{'s.e.':>9}{'seconds':>10}")
    for model, figures in result["models"].items():
        errors = [f"{figures[key]:9.4f}" if key in figures else f"{'':9}" for key in ("auc_se", "difference_se")]
        auc, difference = f"{figures['auc']:8.4f}", f"{figures['difference']:+13.4f}"
        print(f"{LABELS[model]:30}{auc}{errors[0]}{difference}{errors[1]}{figures['seconds']:10.1f}")
    print(flush=True)


def show_all(results: dict[str, Any]) -> None:
    """Means over the real tables, and the worst of them."""
    real = [result["models"] for name, result in results.items() if name != DEFAULT]
    if len(real) < 2:
        return
    print(f"Over {len(real)} real tables: mean AUC, mean and least of the differences, seconds")
    for model in real[0]:
        figures = pd.DataFrame([models[model] for models in real])
        mean, worst = figures[["auc", "difference", "seconds"]].mean(), figures["difference"].min()
        print(f"{LABELS[model]:30}{mean.auc:8.4f}{mean.difference:+13.4f}{worst:+9.4f}{mean.seconds:10.1f}")


def draw(results: dict[str, Any], path: Path) -> None:
    """A panel a table: mean AUC of each model, with one standard error to both sides."""
    from matplotlib import pyplot

    from stages.lib.reporting.plots import PALETTE  # its settings make the file the same each time

    colours = {model: PALETTE[1 if model in TREES else 4 if model == "logistic" else 0][0] for model in LABELS}
    across = min(2, len(results))
    down = -(-len(results) // across)
    size = (4.5 * across, 0.6 + 2.3 * down)
    figure, panels = pyplot.subplots(down, across, figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axes, result in zip(panels.flat, results.values(), strict=False):
        models = result["models"]
        highest = max(figures["auc"] for figures in models.values())
        nearest = [figures["auc"] for figures in models.values() if figures["auc"] > highest - WIDEST]
        left = min(nearest) - 0.1 * (highest - min(nearest)) - 0.002
        for place, (model, figures) in enumerate(models.items()):
            auc, shown = figures["auc"], max(figures["auc"], left)
            error = figures.get("auc_se", 0) if auc > left else 0
            marker = "<" if auc < left else "s" if model in TREES else "o"
            axes.errorbar(shown, place, xerr=error, fmt=marker, color=colours[model], markersize=5, clip_on=False)
            axes.annotate(
                f"{auc:.3f}", (shown + error, place), (6, 0), textcoords="offset points", va="center", size=8.5
            )
        right = highest + 0.3 * (highest - left)  # room for figures
        axes.set(xlim=(left, right), yticks=range(len(models)), yticklabels=[LABELS[model] for model in models])
        axes.set_title(f"{result['title']}\n{result['rows']:,} rows", size=10)
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="x", alpha=0.3)
    for axes in panels.flat[len(results) :]:
        axes.set_visible(False)
    panels[0, 0].invert_yaxis()
    figure.supxlabel("AUC, mean ± standard error", size=10)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", type=Path, metavar="TABLE", help="a table of sessions, csv or parquet")
    parser.add_argument("--target", help="of TABLE: the column to predict")
    parser.add_argument("--positive", help="of TABLE: the target's value to predict, where it is no 1, true, yes, y")
    for option, what in (
        ("--drop", "columns to leave out"),
        ("--categories", "columns of codes that are no quantities"),
        ("--numbers", "columns that are numbers"),
        ("--missing", "more texts that stand for no value"),
    ):
        parser.add_argument(option, type=names, default=[], metavar="A,B", help=f"of TABLE: {what}")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the real tables")
    parser.add_argument("--tables", type=names, default=[*KNOWN, DEFAULT], help=f"of {', '.join([*KNOWN, DEFAULT])}")
    parser.add_argument("--models", type=names, default=list(LABELS), help=f"of {', '.join(LABELS)}")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--picture", type=Path, help="draw them there, as SVG")
    options = parser.parse_args()
    for option, known in (("tables", [*KNOWN, DEFAULT]), ("models", list(LABELS))):
        chosen = getattr(options, option)
        if not chosen or not {*chosen} <= {*known}:
            parser.error(f"--{option}: expected some of {', '.join(known)}")
    if options.table and not options.target:
        parser.error("TABLE needs --target")
    if options.splits < 1:
        parser.error("--splits: expected 1 or more")
    return options


def main() -> None:
    options = arguments()
    fits = contestants.fits(options.models)
    if not fits:
        sys.exit("quality: none of the models is installed")
    results: dict[str, Any] = {}
    try:
        for name, sessions in tables(options):
            found = measure(name, sessions, fits, options.splits)
            results[name] = describe(name, sessions, found)
            show(results[name])
            if options.json:  # after each table, so that a run that is stopped leaves what it has
                used = [package for package in VERSIONED if package in fits or package not in contestants.OPTIONAL]
                versions = {package: version(package) for package in used}
                write_json(options.json, {"splits": options.splits, "versions": versions, "tables": results})
    except InputError as error:
        sys.exit(f"quality: {error}")
    if not results:
        sys.exit("quality: no table to measure on; --data names the folder of the real ones")
    show_all(results)
    if options.picture:
        draw(results, options.picture)


if __name__ == "__main__":
    main()
