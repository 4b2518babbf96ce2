"""What one more day of a click log takes: that day with all that is known, all days anew, and that day by itself.

    python -m benchmarks.prepare_by_days [--days 30] [--events 0.5]

Prints a table, writes it to --csv, and draws docs/prepare_by_days.svg. Events, in millions, are those of a day of the
simulated shop. Each run is a process of its own; memory is the peak of its process tree. All days are prepared anew at
a few points only, since that is what takes long.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.pictures import draw_lines
from benchmarks.prepare_by_events import EVENTS_PER_SESSION
from benchmarks.processes import MIB, measure_module
from benchmarks.tools import ROOT, write_params

PICTURE = ROOT / "docs" / "prepare_by_days.svg"
DAILY = {"prepare.clicks.days": "*.parquet"}
POINTS = 4  # at which all days are prepared anew
PANELS = {"seconds": "seconds", "memory_mib": "peak memory, MiB"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--events", type=float, default=0.5, help="in millions, of a day")
    parser.add_argument("--csv", type=Path, default=Path("prepare_by_days.csv"))
    options = parser.parse_args()
    results = measure_days(options.days, options.events * 10**6)
    print(results.to_string(index=False))
    results.to_csv(options.csv, index=False)
    draw_lines(results, "days", PANELS, "run", PICTURE, f"prepare, {options.events} million events a day")


def measure_days(days: int, events: float) -> pd.DataFrame:
    """A row for each number of days and each way of preparing the last of them."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=ROOT / "data") as name:  # on disk; /tmp may be in memory
        folder = Path(name)
        logs = simulate_days(folder, days, events)
        (folder / "known").mkdir()
        anew = {round(days * (number + 1) / POINTS) for number in range(POINTS)}
        for number, log in enumerate(logs, start=1):
            os.link(log, folder / "known" / log.name)
            rows.append(measure(folder, "known", number, "one more day", DAILY))
            if number in anew:
                rows.append(measure(folder, "known", number, "all days anew", {}))
                rows.append(measure(folder, f"{log.parent.name}/{log.name}", number, "that day by itself", {}))
    return pd.DataFrame(rows)


def simulate_days(folder: Path, days: int, events: float) -> list[Path]:
    """A file for each day."""
    sessions = round(days * events / EVENTS_PER_SESSION)
    shop = {"sessions": sessions, "purchases": sessions * 8 // 100, "days": days, "daily": True}
    write_params(folder / "params.yaml", {f"simulate.{name}": value for name, value in shop.items()})
    measure_module("stages.simulate", "log", folder=folder)
    return sorted((folder / "log").glob("*.parquet"))


def measure(folder: Path, source: str, days: int, run: str, changes: dict[str, Any]) -> dict[str, Any]:
    write_params(folder / "params.yaml", changes)
    measured = measure_module("stages.prepare", source, f"{run}.parquet", folder=folder)
    row = {
        "days": days,
        "run": run,
        "seconds": round(measured.seconds, 1),
        "memory_mib": round(measured.peak_memory / MIB),
    }
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
