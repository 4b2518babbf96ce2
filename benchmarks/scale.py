"""How prepare grows with events: seconds, peak memory and bytes spilled, by engine; a table, a CSV and docs/scale.svg.

    python -m benchmarks.scale [--events 2 5 20 50] [--engines duckdb "duckdb, 1 GiB" pandas spark] [--csv scale.csv]

Events are in millions, of the simulated shop. Each run is a process of its own. Memory is the largest sum over its
processes, and what is spilled the largest size of its scratch folder, both seen ten times a second. pandas works out a
fifth of the measures (see benchmarks/scale_pandas.py), and is left out where it would not fit into this machine.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pyarrow.parquet as pq
import yaml

from stages.lib.common.files import scratch_path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "scale.svg"
EVENTS_A_SESSION = 20.2  # that is scored, in the simulated shop
# Spark's 200 parts of each shuffle are for clusters: on two cores they alone take minutes.
SPARK = (
    "pyspark://?spark.master=local[2]&spark.driver.host=127.0.0.1&spark.driver.bindAddress=127.0.0.1"
    "&spark.driver.memory=6g&spark.sql.shuffle.partitions=16"
)
PREPARE = ("stages.prepare", {})
ENGINES = {
    "duckdb": PREPARE,
    "duckdb, 1 GiB": ("stages.prepare", {"memory_limit": "1GiB"}),
    "pandas": ("benchmarks.scale_pandas", {}),
    "spark": ("stages.prepare", {"engine": SPARK}),
}
PANDAS = 700  # bytes it takes an event


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, nargs="+", default=[2, 5, 20, 50], help="in millions")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=[*ENGINES])
    parser.add_argument("--csv", type=Path, default=Path("scale.csv"))
    options = parser.parse_args()
    found = prepare(options.events, options.engines)
    print(found.to_string(index=False))
    found.to_csv(options.csv, index=False)
    draw(found)


def prepare(millions: list[float], engines: list[str]) -> pd.DataFrame:
    """A row for each number of events and engine: seconds, and MiB of memory and on disk."""
    found = []
    with tempfile.TemporaryDirectory(dir=ROOT / "data") as name:  # not in memory, as /tmp may be
        folder = Path(name)
        for wanted in millions:
            log, events = simulate(folder, wanted * 10**6)
            for engine in engines:
                if engine == "pandas" and events * PANDAS > psutil.virtual_memory().available:
                    continue
                module, settings = ENGINES[engine]
                write_params(folder, prepare=settings)
                figures = run(folder, module, log.name, "sessions.parquet")
                found.append({"events": events, "engine": engine, **figures})
                print(found[-1], flush=True)
    return pd.DataFrame(found)


def simulate(folder: Path, events: float) -> tuple[Path, int]:
    """A log of about so many events, and how many they are."""
    sessions = round(events / EVENTS_A_SESSION)
    write_params(folder, simulate={"sessions": sessions, "purchases": sessions * 8 // 100})
    run(folder, "stages.simulate", "clicks.parquet")
    log = folder / "clicks.parquet"
    parts = log.glob("*.parquet") if log.is_dir() else [log]
    return log, sum(pq.read_metadata(part).num_rows for part in parts)


def write_params(folder: Path, **changes: dict) -> None:
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, values in changes.items():
        settings[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def run(folder: Path, module: str, *paths: str) -> dict[str, float]:
    """Seconds, peak of memory and peak of the scratch folder beside the last path, in MiB, of a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SPARK_LOCAL_IP": "127.0.0.1"}
    start, memory, spilled = time.perf_counter(), 0.0, 0.0
    with psutil.Popen(
        [sys.executable, "-m", module, *paths], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            memory = max(memory, sum(map(resident, [process, *children(process)])))
            spilled = max(spilled, held(scratch_path(folder / paths[-1])))
            time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{module} failed")
    seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 1), "memory": round(memory / 2**20), "spilled": round(spilled / 2**20)}


def children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def held(folder: Path) -> int:
    """Bytes of the files in it; what has gone meanwhile does not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(place, name).stat().st_size
    return total


def draw(found: pd.DataFrame) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    shown = {"seconds": "seconds", "memory": "peak memory, MiB", "spilled": "peak of the scratch folder, MiB"}
    for place, (column, label) in zip(axes, shown.items(), strict=True):
        for engine, group in found.groupby("engine", sort=False):
            place.plot(group["events"] / 10**6, group[column], marker="o", label=engine)
        place.set(xlabel="events, millions", ylabel=label, ylim=0)
        place.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
