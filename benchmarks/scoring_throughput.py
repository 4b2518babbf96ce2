"""How many sessions a minute `stages.score` scores, as a whole process, loading included; and its peak memory.

    python -m benchmarks.scoring_throughput [--sessions 1000000] [--models base strong]

Scores the default data's sessions, repeated, as a parquet and as a csv table, and a click log of as many scored
sessions. Needs the default data and models: run `dvc repro` or `dvc pull` first.
"""

import argparse
import json
import tempfile
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.processes import MIB, measure_module
from benchmarks.tools import ROOT, write_params
from stages.lib.common.checksums import write_checksums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--models", nargs="+", default=["base", "strong"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables = {"parquet": folder / "sessions.parquet", "csv": folder / "sessions.csv"}
        for path in tables.values():
            repeat_sessions(path, options.sessions)
        log = simulate(folder, options.sessions)
        print(f"{'model':8} {'source':8} {'sessions':>9} {'seconds':>8} {'a minute':>9} {'MiB':>6}")
        for model_name in options.models:
            model = ROOT / "models" / model_name
            table_model = copy_for_tables(model, folder / model_name)
            for source, path in tables.items():
                report(model_name, source, table_model, path, options.sessions)
            report(model_name, "clicks", model, log, options.sessions)


def repeat_sessions(path: Path, rows: int) -> None:
    """Write the default data's sessions, repeated up to `rows` rows."""
    sessions = pq.read_table(ROOT / "data/prepared/sessions.parquet")
    writer_class = pq.ParquetWriter if path.suffix == ".parquet" else pyarrow.csv.CSVWriter
    with writer_class(path, sessions.schema) as writer:
        for start in range(0, rows, len(sessions)):
            writer.write_table(sessions.slice(0, rows - start))


def simulate(folder: Path, sessions: int) -> Path:
    """Simulate a click log with so many scored sessions."""
    purchases = sessions * 8 // 100
    write_params(folder / "params.yaml", {"simulate.sessions": sessions, "simulate.purchases": purchases})
    measure_module("stages.simulate", "clicks.parquet", folder=folder)
    return folder / "clicks.parquet"


def copy_for_tables(model: Path, copy: Path) -> Path:
    """Copy a model of a click log as one that scores a table of sessions with the same features."""
    copy.mkdir()
    for path in model.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    schema = json.loads((model / "schema.json").read_text(encoding="utf-8"))
    (copy / "schema.json").write_text(json.dumps(schema | {"source_type": "sessions"}), encoding="utf-8")
    write_checksums(copy)
    return copy


def report(name: str, source: str, model: Path, rows: Path, sessions: int) -> None:
    """Score the rows and print a line of the table."""
    measured = measure_module("stages.score", model, rows, "--output", "scores.parquet", folder=rows.parent)
    seconds, memory = measured.seconds, measured.peak_memory / MIB
    print(f"{name:8} {source:8} {sessions:9,} {seconds:8.1f} {60 * sessions / seconds:9,.0f} {memory:6.0f}", flush=True)


if __name__ == "__main__":
    main()
