"""How training grows with rows: seconds per epoch and peak memory, where the rows need not fit into memory.

    python -m benchmarks.training_by_rows [--rows 200000 1000000 5000000 20000000] [--in-memory] [--stage]

Trains the study's network in batches of 24 on 125 inputs, in a file or, with --in-memory, in an array. With --stage,
also runs the stage train_base, without folds and for one epoch, on a table of as many sessions; that needs the default
data (`dvc repro split`). Each run is a process of its own. Prints a line per run, and draws docs/training_by_rows.svg
unless the rows are in memory.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.pictures import save_svg
from benchmarks.processes import GIB, measure_module
from benchmarks.tools import PARAMS, ROOT, write_params
from stages.lib.common.params import Params
from stages.lib.dataset.matrix import FileMatrix, write_npy
from stages.lib.dataset.sessions import read_sessions, write_batches

PICTURE = ROOT / "docs" / "training_by_rows.svg"
TRAIN = ROOT / "data" / "split" / "train.parquet"
ROWS = (200_000, 1_000_000, 5_000_000, 20_000_000)
INPUTS, BATCH_SIZE = 125, 24
ROWS_PER_CHUNK = 2**17  # written at a time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--in-memory", action="store_true", help="read all rows into memory before training")
    parser.add_argument("--stage", action="store_true", help="run the stage too")
    parser.add_argument("--folder", type=Path, help="on a disk with room for the rows")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)  # what the measured process does
    options = parser.parse_args()
    if options.train:
        print(json.dumps(train_epoch(options.train, options.in_memory)))
        return
    results = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            results.append(measure_epoch(rows, Path(name), options.in_memory))
            print(json.dumps(results[-1]), flush=True)
            if options.stage:
                print(json.dumps(measure_stage(rows, Path(name))), flush=True)
    if not options.in_memory:
        draw(pd.DataFrame(results), PICTURE)


def measure_epoch(rows: int, folder: Path, in_memory: bool) -> dict[str, Any]:
    """Train for an epoch on so many rows.

    Args:
        rows: how many.
        folder: where to write them.
        in_memory: read all of them before training.

    Returns:
        Rows, seconds per epoch, milliseconds per step, and GiB of the file and of the process' peak memory.
    """
    path = folder / "inputs.npy"
    with path.open("wb") as file:
        write_npy(file, (rows, INPUTS), random_chunks(rows))
    flags = ["--in-memory"] if in_memory else []
    measured = measure_module("benchmarks.training_by_rows", "--train", path, *flags, folder=folder)
    size = path.stat().st_size
    path.unlink()
    times = json.loads(measured.output.splitlines()[-1])
    return {"rows": rows, **times, "file_gib": round(size / GIB, 2), "memory_gib": round(measured.peak_memory / GIB, 2)}


def random_chunks(rows: int) -> Iterator[np.ndarray]:
    """Standard normal inputs, a chunk at a time."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, ROWS_PER_CHUNK):
        yield rng.standard_normal((min(ROWS_PER_CHUNK, rows - start), INPUTS), np.float32)


def train_epoch(path: Path, in_memory: bool) -> dict[str, float]:
    """Train for an epoch in this process; compiling, on the file's first rows, is not timed."""
    from benchmarks.training_step import EpochTimer, study_network
    from stages.lib.modeling.fit import fit

    file = FileMatrix.open(path)
    inputs = file[:] if in_memory else file
    targets = (np.random.default_rng(1).random(len(inputs)) < 0.08).astype(np.float32)
    settings = Params.load(PARAMS).train_base.with_point({"batch_size": BATCH_SIZE, "epochs": 1}).training
    first = 2 * BATCH_SIZE * 256  # rows of two calls of the compiled loop
    fit(study_network(), inputs[:first], targets[:first], settings, seed=1)
    timer = EpochTimer()
    fit(study_network(), inputs, targets, settings, seed=1, callbacks=[timer])
    seconds = timer.seconds[0]
    steps = math.ceil(len(inputs) / BATCH_SIZE)
    return {"seconds_per_epoch": round(seconds, 3), "ms_per_step": round(1000 * seconds / steps, 4)}


def measure_stage(rows: int, folder: Path) -> dict[str, Any]:
    """Run the stage train_base on so many sessions, four fifths of them the training set."""
    repeat_sessions(folder / "train.parquet", rows * 4 // 5)
    repeat_sessions(folder / "test.parquet", rows // 5)
    write_params(folder / "params.yaml", {"validation.folds": 0, "train_base.training.epochs": 1})
    paths = ("train.parquet", "test.parquet", "model", "predictions.parquet", "importance.csv")
    measured = measure_module("stages.train_base", *paths, folder=folder)
    memory = round(measured.peak_memory / GIB, 2)
    return {"stage": "train_base", "rows": rows, "seconds": round(measured.seconds, 1), "memory_gib": memory}


def repeat_sessions(path: Path, rows: int) -> None:
    """Write the default data's training set, repeated up to `rows` rows."""
    table = read_sessions(TRAIN).to_arrow()
    parts = (table.slice(0, rows - start) for start in range(0, rows, len(table)))
    write_batches(path, table.schema, (batch for part in parts for batch in part.to_batches()))


def draw(results: pd.DataFrame, path: Path) -> None:
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    millions = results["rows"] / 10**6
    left.plot(millions, results["seconds_per_epoch"], marker="o")
    right.plot(millions, results["memory_gib"], marker="o", label="peak memory")
    right.plot(millions, results["file_gib"], marker="o", linestyle="--", color="grey", label="the file")
    right.legend(frameon=False)
    for axes, label in ((left, "seconds per epoch"), (right, "GiB")):
        axes.set(xlabel=f"rows of {INPUTS} inputs, millions", ylabel=label, ylim=0)
        axes.grid(alpha=0.3)
    save_svg(figure, path)


if __name__ == "__main__":
    main()
