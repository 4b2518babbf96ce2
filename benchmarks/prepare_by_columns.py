"""How the prepare stage grows with columns: seconds and peak memory, for session tables in csv files.

    python -m benchmarks.prepare_by_columns [--columns 10 30 100 300 1000] [--rows 400 10000]

Prints a table, writes it to --csv, and draws docs/prepare_by_columns.svg. All columns but the target are numbers. Each
run is a process of its own; memory is the peak of its process tree.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.pictures import draw_lines
from benchmarks.processes import MIB, measure_module
from benchmarks.tools import ROOT, write_params

PICTURE = ROOT / "docs" / "prepare_by_columns.svg"
COLUMNS, ROWS = (10, 30, 100, 300, 1000), (400, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, nargs="+", default=COLUMNS)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--csv", type=Path, default=Path("prepare_by_columns.csv"))
    options = parser.parse_args()
    results = measure_tables(options.columns, options.rows)
    print(results.to_string(index=False))
    results.to_csv(options.csv, index=False)
    panels = {"seconds": "seconds", "memory_mib": "peak memory, MiB"}
    draw_lines(results, "columns", panels, "rows", PICTURE, "prepare, from a csv file")


def measure_tables(columns: list[int], rows: list[int]) -> pd.DataFrame:
    """A row for each number of columns and of rows."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_params(folder / "params.yaml", {"prepare.source_type": "sessions", "prepare.target": "buys"})
        for n_rows in rows:
            for n_columns in columns:
                random_table(n_rows, n_columns).to_csv(folder / "table.csv", index=False)
                measured = measure_module("stages.prepare", "table.csv", "sessions.parquet", folder=folder)
                result = {
                    "rows": f"{n_rows:,} rows",
                    "columns": n_columns,
                    "seconds": round(measured.seconds, 1),
                    "memory_mib": round(measured.peak_memory / MIB),
                }
                print(result, flush=True)
                results.append(result)
    return pd.DataFrame(results)


def random_table(rows: int, columns: int) -> pd.DataFrame:
    """Standard normal numbers with four decimals, and a target that depends on the first of them."""
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((rows, columns)).round(4)
    table = pd.DataFrame(numbers, columns=[f"column_{number}" for number in range(columns)])
    return table.assign(buys=(numbers[:, 0] + rng.standard_normal(rows) > 1).astype(int))


if __name__ == "__main__":
    main()
