"""What target encoding is worth: the AUC of models with and without it, on tables with a column of many categories.

    python -m benchmarks.many_categories [--models network,logistic,trees] [--splits 5]
    python -m benchmarks.many_categories flights.csv --target late --categories flight

Without a table, three are simulated: 20,000 rows whose code of 3,000 is drawn evenly, with log-odds that have a
standard deviation of 1 between codes; by a power law, with one of 0.5; and evenly, with none. Splits are those of
benchmarks.quality, and so are seconds and models, but for `network`, which is a single one with the params of the
strong network.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import pandas as pd

from benchmarks.compared_models import CANDIDATES, FitModel, fit_network, installed_models
from benchmarks.quality import measure, own_splits, split_names
from benchmarks.quality_tables import prepare_table
from benchmarks.tools import PARAMS
from stages.lib.common.errors import InputError
from stages.lib.common.params import Params
from stages.lib.dataset.sessions import Sessions
from stages.lib.modeling.cross_validation import Predictor

ROWS, CODES = 20_000, 3000
SIMULATED = {"evenly": (1.0, 0.0), "by a power law": (0.5, 0.7), "no effect": (0.0, 0.0)}  # deviation and exponent
ENCODED = " with target encoding"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", type=Path, metavar="TABLE", help="a session table, csv or parquet")
    parser.add_argument("--target", help="of TABLE: the column to predict")
    parser.add_argument("--categories", type=split_names, default=[], metavar="A,B", help="of TABLE: columns of codes")
    known = ["network", *CANDIDATES]
    parser.add_argument("--models", type=split_names, default=["network", "logistic", "trees"], help=f"of {known}")
    parser.add_argument("--splits", type=int, default=5)
    options = parser.parse_args()
    if options.table and not options.target:
        parser.error("TABLE needs --target")
    fits = installed_models([name for name in options.models if name in CANDIDATES])
    if "network" in options.models:
        fits = {"network": partial(fit_network, Params.load(PARAMS).train_strong), **fits}
    models = {
        name + label: fit
        for name, with_it in fits.items()
        for label, fit in (("", _without(with_it)), (ENCODED, with_it))
    }
    try:
        for name, sessions in tables(options):
            print_table(name, measure(name, sessions, models, own_splits(sessions, options.splits)))
    except InputError as error:
        sys.exit(f"many_categories: {error}")


def tables(options: argparse.Namespace) -> Iterator[tuple[str, Sessions]]:
    if options.table:
        changes = {"target": options.target, "categories": options.categories}
        yield options.table.name, prepare_table(options.table, changes)
        return
    for name, (deviation, exponent) in SIMULATED.items():
        yield name, simulate(deviation, exponent)


def simulate(deviation: float, exponent: float, rows: int = ROWS, codes: int = CODES, seed: int = 0) -> Sessions:
    """Six numbers, of which three matter and two of these interact, and a code.

    Args:
        deviation: the standard deviation of the log-odds of codes.
        exponent: of the power law of their frequencies; 0: all are as frequent.
        rows: how many.
        codes: how many.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    weights = np.arange(1, codes + 1) ** -exponent
    code, numbers = rng.choice(codes, rows, p=weights / weights.sum()), rng.standard_normal((rows, 6))
    effect = deviation * rng.standard_normal(codes)
    z = numbers @ [0.6, 0.4, 0.2, 0, 0, 0] + 0.5 * numbers[:, 0] * numbers[:, 1] + effect[code] - 2.3
    frame = pd.DataFrame(numbers, columns=[f"x{i}" for i in range(6)]).assign(
        code=[f"c{number}" for number in code], buys=(z > rng.logistic(size=rows)).astype(int)
    )
    with TemporaryDirectory() as folder:
        frame.to_parquet(Path(folder) / "rows.parquet")
        return prepare_table(Path(folder) / "rows.parquet", {"target": "buys"})


def print_table(name: str, measured: pd.DataFrame) -> None:
    """A line per model: its mean AUC without and with target encoding, the paired difference, and seconds of both."""
    aucs, seconds = (measured.pivot(index="split", columns="model", values=key) for key in ("auc", "seconds"))
    for model in [label for label in map(str, aucs) if label + ENCODED in aucs]:
        pair = [model, model + ENCODED]
        difference = np.diff(aucs[pair].to_numpy())
        spread = f" ± {difference.std(ddof=1) / len(difference) ** 0.5:.4f}" if len(difference) > 1 else ""
        means = ", ".join(f"{mean:.4f}" for mean in aucs[pair].to_numpy().mean(axis=0))
        times = ", ".join(f"{mean:.1f}" for mean in seconds[pair].to_numpy().mean(axis=0))
        print(f"{name}: {model} {means}, {difference.mean():+.4f}{spread}; seconds {times}", flush=True)


def _without(fit: FitModel) -> FitModel:
    def without(sessions: Sessions, seed: int) -> Predictor:
        with patch("stages.lib.modeling.encoder.MANY_CATEGORIES", sys.maxsize):
            return fit(sessions, seed)

    return without


if __name__ == "__main__":
    main()
