"""How many sessions a minute `stages.score` scores, as a whole process, loading included; and its peak memory.

    python -m benchmarks.score [--sessions 1000000] [--models base strong]

The default data's sessions, over and over, as a parquet and a csv table; and a click log of as many scored sessions.
Needs the default data and models: `dvc repro` or `dvc pull` first.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pyarrow.csv
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--models", nargs="+", default=["base", "strong"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {"parquet": folder / "sessions.parquet", "csv": folder / "sessions.csv"}
        for path in sources.values():
            repeat_sessions(path, options.sessions)
        log = simulate(folder, options.sessions)
        print(f"{'model':8} {'source':8} {'sessions':>9} {'seconds':>8} {'a minute':>9} {'MiB':>6}")
        for model in options.models:
            of_tables = takes_tables(ROOT / "models" / model, folder / model)
            for kind, path in sources.items():
                report(model, kind, of_tables, path, options.sessions)
            report(model, "clicks", ROOT / "models" / model, log, options.sessions)


def repeat_sessions(path: Path, count: int) -> None:
    """A table of the default data's sessions, repeated to `count` rows."""
    sessions = pq.read_table(ROOT / "data/prepared/sessions.parquet")
    make = pq.ParquetWriter if path.suffix == ".parquet" else pyarrow.csv.CSVWriter
    with make(path, sessions.schema) as writer:
        for start in range(0, count, len(sessions)):
            writer.write_table(sessions.slice(0, count - start))


def simulate(folder: Path, count: int) -> Path:
    """A log of `count` scored sessions of the simulated shop."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings["simulate"] |= {"sessions": count, "purchases": count * 8 // 100}
    (folder / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    run(folder, "stages.simulate", "clicks.parquet")
    return folder / "clicks.parquet"


def takes_tables(model: Path, copy: Path) -> Path:
    """The model as if it had been trained on a table of sessions with its features."""
    copy.mkdir()
    for path in model.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    schema = json.loads((model / "schema.json").read_text(encoding="utf-8"))
    (copy / "schema.json").write_text(json.dumps(schema | {"kind": "sessions"}), encoding="utf-8")
    return copy


def report(model: str, kind: str, folder: Path, rows: Path, count: int) -> None:
    seconds, memory = run(rows.parent, "stages.score", str(folder), str(rows), "-o", "scores.parquet")
    print(f"{model:8} {kind:8} {count:9,} {seconds:8.1f} {60 * count / seconds:9,.0f} {memory:6.0f}", flush=True)


def run(folder: Path, *command: str) -> tuple[float, float]:
    """Seconds and peak memory in MiB of a stage as a process of its own."""
    start, peak = time.perf_counter(), 0
    environment = {**psutil.Process().environ(), "PYTHONPATH": str(ROOT)}
    with psutil.Popen(
        [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            with process.oneshot():
                peak = max(peak, process.memory_info().rss)
            time.sleep(0.05)
    if process.returncode:
        sys.exit(f"{command[0]} failed")
    return time.perf_counter() - start, peak / 2**20


if __name__ == "__main__":
    main()
