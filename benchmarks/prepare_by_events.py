"""How the prepare stage grows with events: seconds, peak memory and bytes spilled, by engine.

    python -m benchmarks.prepare_by_events [--events 2 5 20 50] [--engines duckdb "duckdb, 1 GiB" pandas spark]

Prints a table, writes it to --csv, and draws docs/prepare_by_events.svg. Events, in millions, are those of the
simulated shop. Each run is a process of its own; memory is the peak of its process tree, and spilled the largest size
of its scratch folder. pandas computes a fifth of the features (see benchmarks/pandas_session_table.py), and is left out
where the log would not fit into memory.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow.parquet as pq

from benchmarks.pictures import draw_lines
from benchmarks.processes import MIB, measure_module
from benchmarks.tools import ROOT, write_params
from stages.lib.common.files import scratch_path

PICTURE = ROOT / "docs" / "prepare_by_events.svg"
EVENTS_PER_SESSION = 20.2  # scored session of the simulated shop
PANDAS_BYTES_PER_EVENT = 700
# By default Spark cuts each shuffle into 200 partitions, which is for clusters: on two cores they alone take minutes.
SPARK = (
    "pyspark://?spark.master=local[2]&spark.driver.host=127.0.0.1&spark.driver.bindAddress=127.0.0.1"
    "&spark.driver.memory=6g&spark.sql.shuffle.partitions=16"
)
# For each engine, the module to run and the params to change
ENGINES: dict[str, tuple[str, dict[str, Any]]] = {
    "duckdb": ("stages.prepare", {}),
    "duckdb, 1 GiB": ("stages.prepare", {"runtime.memory_limit": "1GiB"}),
    "pandas": ("benchmarks.pandas_session_table", {}),
    "spark": ("stages.prepare", {"runtime.engine": SPARK}),
}

PANELS = {"seconds": "seconds", "memory_mib": "peak memory, MiB", "spilled_mib": "peak of the scratch folder, MiB"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, nargs="+", default=[2, 5, 20, 50], help="in millions")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=[*ENGINES])
    parser.add_argument("--csv", type=Path, default=Path("prepare_by_events.csv"))
    options = parser.parse_args()
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    results = measure_engines(options.events, options.engines)
    print(results.to_string(index=False))
    results.to_csv(options.csv, index=False)
    draw_lines(
        results.assign(**{"events, millions": results["events"] / 10**6}), "events, millions", PANELS, "engine", PICTURE
    )


def measure_engines(millions: list[float], engines: list[str]) -> pd.DataFrame:
    """A row for each number of events and engine."""
    rows = []
    with tempfile.TemporaryDirectory(dir=ROOT / "data") as name:  # on disk; /tmp may be in memory
        folder = Path(name)
        for million in millions:
            log, events = simulate(folder, million * 10**6)
            for engine in engines:
                if engine == "pandas" and events * PANDAS_BYTES_PER_EVENT > psutil.virtual_memory().available:
                    continue
                row = {"events": events, "engine": engine, **measure_engine(engine, folder, log)}
                print(row, flush=True)
                rows.append(row)
    return pd.DataFrame(rows)


def simulate(folder: Path, events: float) -> tuple[Path, int]:
    """Simulate a click log of about so many events; returns its path and their exact number."""
    sessions = round(events / EVENTS_PER_SESSION)
    changes = {"simulate.sessions": sessions, "simulate.purchases": sessions * 8 // 100}
    write_params(folder / "params.yaml", changes)
    measure_module("stages.simulate", "clicks.parquet", folder=folder)
    log = folder / "clicks.parquet"
    files = log.glob("*.parquet") if log.is_dir() else [log]
    return log, sum(pq.read_metadata(file).num_rows for file in files)


def measure_engine(engine: str, folder: Path, log: Path) -> dict[str, float]:
    """Seconds, and MiB in memory and on disk, of preparing the log with an engine."""
    module, changes = ENGINES[engine]
    write_params(folder / "params.yaml", changes)
    sessions = folder / "sessions.parquet"
    measured = measure_module(module, log.name, sessions.name, folder=folder, scratch=scratch_path(sessions))
    return {
        "seconds": round(measured.seconds, 1),
        "memory_mib": round(measured.peak_memory / MIB),
        "spilled_mib": round(measured.peak_spilled / MIB),
    }


if __name__ == "__main__":
    main()
