"""What the report says: the files of metrics/ as values, words and pictures, and the templates they are put in."""

import json
import math
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from stages.lib.common.errors import InputError
from stages.lib.evaluation.delong import in_words
from stages.lib.reporting import plots
from stages.lib.reporting.plots import Dot, Line, Picture

SIMULATED = "data/raw/clicks.parquet"
NETWORKS = {"base": "study's network", "grid": "grid's winner", "smote": "with SMOTE", "strong": "strong network"}
REFERENCES = {"logistic": "logistic regression", "trees": "boosted trees"}
NAMES = NETWORKS | REFERENCES
IN_A_SENTENCE = {
    "base": "the study's network",
    "grid": "the grid's winner",
    "smote": "the network with SMOTE",
    "strong": "the strong network",
}
SUBJECTS = {"grid": "Tuning by the grid", "smote": "SMOTE"}
LIBRARIES = (
    "tensorflow", "keras", "talos", "imbalanced-learn", "scikit-learn", "pandas", "numpy", "duckdb", "ibis-framework",
    "dvc",
)  # fmt: skip
MOST_IMPORTANT = 15
STEADY_RECALL = 0.05

Scores = dict[str, dict[str, Any]]


def gather(metrics: Path) -> dict[str, Any]:
    """All that the templates show of the files in `metrics`; models are those of scores.json.

    Raises InputError for a file that is missing or broken.
    """
    data, decisions = _read(metrics / "data.json"), _read(metrics / "decisions.json")
    scores = _read(metrics / "scores.json", "test")
    scored = [name for name, figures in scores.items() if "auc" in figures]
    models = [name for name in NAMES if name in scored] + [name for name in scored if name not in NAMES]
    if not models or set(models) - set(decisions):
        raise InputError(f"{metrics}: scores.json has no models, or some that decisions.json lacks; run evaluate again")
    grid = _read(metrics / "grid.csv", "val_auc") if "grid" in models else None
    best = max(models, key=lambda name: scores[name]["auc"])
    return {
        "data": data,
        "scores": scores,
        "decisions": decisions,
        "models": models,
        "shown": [name for name in models if name in NETWORKS] or models,  # the card's: those that are saved
        "names": {name: NAMES.get(name, name) for name in models},
        "test": scores["test"],
        "constant": constant(scores["test"]),
        "best": best,
        "best_name": _said(best),
        "headline": headline(scores[best], decisions[best]),
        "references": references_in_words(scores, models),
        "comparisons": comparisons(scores, models),
        "grid": grid,
        "grid_is_cut": grid is not None and plots.is_cut(grid),
        "pictures": pictures(metrics, models, scores, grid),
    }


def constant(test: dict[str, float]) -> dict[str, float]:
    """What giving every session of the test part the same probability, the share of purchases, scores."""
    rate = test["purchases"] / test["rows"]
    loss = -sum(share * math.log(share) for share in (rate, 1 - rate) if share)
    return {"average_precision": rate, "log_loss": loss, "brier": rate * (1 - rate)}


def headline(scores: dict[str, float], decision: dict[str, float]) -> str:
    """What the best model, of these figures, does for the shop."""
    if scores["auc_low"] <= 0.5:
        return "No model is shown to tell sessions that end in a purchase from others"
    return f"The likeliest 10% of sessions hold {percent(decision['captured_top_10'], 0)} of the purchases"


def references_in_words(scores: Scores, models: list[str]) -> list[str]:
    """Whether the references beat the networks: a sentence for each that does, or one if none does."""
    present = [name for name in REFERENCES if name in models and f"{name}_minus_base" in scores]
    sentences = []
    for name in present:
        change = scores[f"{name}_minus_base"]
        if change["low"] <= 0:
            continue
        level = [_said(one) for one in NETWORKS if one in models and scores[one]["auc"] >= scores[name]["auc"]]
        pair = scores.get(f"strong_minus_{name}", {"low": -1, "high": -1})
        sentences.append(
            f"The study's network is beaten by {_said(name)}: the AUC is higher by {number(change['difference'])} "
            f"({number(change['low'])} to {number(change['high'])}). "
            + (
                f"The strong network is not told apart from {_said(name)}."
                if pair["low"] <= 0 <= pair["high"]
                else f"The AUC of {' and '.join(level)} is not lower."
                if level
                else "No network comes up to that."
            )
        )
    if present and not sentences:
        sentences = [f"Nothing shows that {' or '.join(map(_said, present))} would beat the study's network."]
    return sentences


def comparisons(scores: Scores, models: list[str]) -> list[dict[str, str]]:
    """What is told of each model against the study's network, and of the strong one against the others.

    A sentence each, and the p-value.
    """
    subjects = {
        f"{name}_minus_base": SUBJECTS.get(name, f"Taking {_said(name)} instead of the study's network")
        for name in models
    } | {f"strong_minus_{name}": f"Taking the strong network instead of {_said(name)}" for name in models}
    return [
        {
            "words": in_words(subject, change),
            "p_value": "p < 0.001" if change["p_value"] < 0.001 else f"p = {number(change['p_value'])}",
        }
        for pair, subject in subjects.items()
        if (change := scores.get(pair))
    ]


def pictures(metrics: Path, models: list[str], scores: Scores, grid: pd.DataFrame | None) -> dict[str, Picture]:
    """The page's pictures by name; those of curves have a line for each of `models`."""
    # A known model looks the same whichever others there are.
    styles = {name: place for place, name in enumerate(dict.fromkeys([*NAMES, *models]))}

    def lines(folder: str, x: str, y: str) -> list[Line]:
        tables = {name: _read(metrics / folder / f"{name}.csv", x, y) for name in models}
        return [Line(NAMES.get(name, name), styles[name], table[x], table[y]) for name, table in tables.items()]

    aucs = [
        Dot(NAMES.get(name, name), styles[name], *(scores[name][key] for key in ("auc", "auc_low", "auc_high")))
        for name in models
    ]
    found, promised = lines("precision_recall", "recall", "precision"), lines("reliability", "predicted", "observed")
    # At the far left a handful of sessions make the precision, and would make the scale.
    steady = min(1, 1.2 * max(line.y[line.x >= STEADY_RECALL].max() for line in found))
    most = 1.05 * max(max(line.x.max(), line.y.max()) for line in promised)
    rate = constant(scores["test"])["average_precision"]
    figures = {
        "aucs": plots.dots(aucs, "AUC on the test part"),
        "roc": plots.curves(lines("roc", "fpr", "tpr"), "false positive rate", "true positive rate"),
        "precision_recall": plots.curves(found, "recall", "precision", most=(1, steady), thin=((0, rate), (1, rate))),
        "reliability": plots.curves(
            promised, "predicted probability", "share of purchases", most=(most, most), marked=True
        ),
        "lift": plots.curves(
            lines("lift", "share", "captured"), "share of sessions taken", "share of purchases in them"
        ),
    }
    if networks := _losses(metrics, models, styles):
        figures["loss"] = plots.losses(networks)
    if grid is not None:
        figures["grid"] = plots.grid(grid)
    for name in ("base", "grid", "strong"):
        path = metrics / "importance" / f"{name}.csv"
        # Without validation folds there are none.
        if name in models and path.exists() and (falls := _importances(path, styles[name])):
            figures[f"importance_{name}"] = plots.dots(falls, "fall in AUC", zero=True)
    return {name: plots.inline(figure, name) for name, figure in figures.items()}


def filled(template: str, content: dict[str, Any]) -> str:
    """The template of this name with `content` in it, escaped if it is a page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        # Column names are somebody else's text.
        autoescape=jinja2.select_autoescape(enabled_extensions=["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "percent": percent, "count": "{:,}".format, "period": period}
    return environment.get_template(template).render(
        content,
        libraries=libraries(),
        palette=plots.PALETTE,
        most_important=MOST_IMPORTANT,
        most_in_grid=plots.MOST_DOWN,
    )


def libraries() -> dict[str, str]:
    """Versions of Python and of the libraries that figures depend on; of those that are there."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def percent(share: float, digits: int = 1) -> str:
    return f"{number(100 * share, digits)}%"


def period(data: dict[str, Any]) -> str:
    """From when to when; with the hours if it is one day."""
    length = 16 if data["first"][:10] == data["last"][:10] else 10
    return f"{data['first'][:length]} to {data['last'][:length]}".replace("T", " ")


def _losses(metrics: Path, models: list[str], styles: dict[str, int]) -> list[Line]:
    """Lines of the networks, which alone have epochs, and pale ones for losses on validation rows."""
    lines = []
    for name in models:
        path = metrics / "loss" / f"{name}.csv"
        if name not in NETWORKS and not path.exists():
            continue
        table, label = _read(path, "epoch", "loss"), NAMES.get(name, name)
        lines.append(Line(label, styles[name], table["epoch"], table["loss"]))
        if "val_loss" in table:
            seen = table.dropna(subset="val_loss")
            lines.append(Line(f"{label}, validation", styles[name], seen["epoch"], seen["val_loss"], pale=True))
    return lines


def _importances(path: Path, style: int) -> list[Dot]:
    # A column may be called NA.
    table = _read(path, "column", "importance", "se", dtype={"column": str}, keep_default_na=False)
    return [
        Dot(row.column, style, row.importance, row.importance - row.se, row.importance + row.se)
        for row in table.head(MOST_IMPORTANT).itertuples()
    ]


def _said(name: str) -> str:
    return IN_A_SENTENCE.get(name, NAMES.get(name, name))


def _read(path: Path, *keys: str, **options: Any) -> Any:
    """A json or csv file's content, which must have `keys` (of csv: columns); `options` are pandas'."""
    try:
        found = json.loads(path.read_bytes()) if path.suffix == ".json" else pd.read_csv(path, **options)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the stages before write it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable: {' '.join(str(error).split())}") from None
    if missing := [key for key in keys if key not in found]:
        raise InputError(f"{path}: no {missing[0]} in it; the stages before write it")
    return found
