"""How far the shares of scores are from those of many more orders of the columns, and how long they take.

    python -m benchmarks.explanation_error [--models base trees] [--rows 40]

Explains sessions of the test set. Needs the default data and models: run `dvc repro` or `dvc pull` first.
"""

import argparse
import time

import numpy as np
import pandas as pd

from benchmarks.tools import ROOT
from stages.lib.dataset.sessions import read_sessions
from stages.lib.explanation import SEED, explain
from stages.lib.modeling.blend import SavedModel, load_model

PAIRS = (1, 2, 4, 8, 16)  # of an order and its reverse
EXACT_PAIRS = 96
TOP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["base", "strong", "trees"])
    parser.add_argument("--rows", type=int, default=40)
    options = parser.parse_args()
    sessions = read_sessions(ROOT / "data/split/test.parquet")
    idx = np.sort(np.random.default_rng(0).permutation(len(sessions))[: options.rows])
    rows = sessions.take(idx).to_arrow().to_pandas()
    for name in options.models:
        print(f"{name}\n{measure(load_model(ROOT / 'models' / name), rows).to_string(index=False)}", flush=True)


def measure(model: SavedModel, rows: pd.DataFrame, exact_pairs: int = EXACT_PAIRS) -> pd.DataFrame:
    """Compare the shares of few orders with those of `exact_pairs` pairs of other ones.

    Returns:
        A row for each of PAIRS: `orders`, the root mean squared `error` of a share, the part of the `top_3` columns of
        a session on which both agree, and `ms` a session.
    """
    exact = explain(model, rows, pairs=exact_pairs, seed=SEED + 1).shares
    results = []
    for pairs in PAIRS:
        start = time.perf_counter()
        shares = explain(model, rows, pairs=pairs).shares
        seconds = time.perf_counter() - start
        agreed = [len(np.intersect1d(*pair)) / TOP for pair in zip(_top(shares), _top(exact), strict=True)]
        error = np.sqrt(np.mean((shares - exact) ** 2))
        results.append((2 * pairs, error, np.mean(agreed), 1000 * seconds / len(rows)))
    return pd.DataFrame(results, columns=["orders", "error", f"top_{TOP}", "ms"])


def _top(shares: np.ndarray) -> np.ndarray:
    """Of each row, the numbers of the TOP columns with the largest shares."""
    return np.argsort(-np.abs(shares), axis=1, kind="stable")[:, :TOP]


if __name__ == "__main__":
    main()
