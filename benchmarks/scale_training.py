"""How training grows with rows that need not fit in memory: seconds, peak memory and docs/scale_training.svg.

The study's network and batches of 24, on 125 inputs in a file, each size in a process of its own. With --stage also
the stage train_base without folds and with one epoch, from a table of sessions in a parquet file to predictions.

python -m benchmarks.scale_training [--rows 200000 1000000 5000000 20000000] [--stage]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from stages.lib.common.params import load
from stages.lib.dataset.matrix import FileMatrix, write_npy
from stages.lib.dataset.sessions import read_sessions, write_batches

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "scale_training.svg"
ROWS = (200_000, 1_000_000, 5_000_000, 20_000_000)
INPUTS, BATCH = 125, 24
MADE_AT_ONCE = 2**17
TRAIN, ENCODER = ROOT / "data/split/train.parquet", ROOT / "data/split/encoder.json"


def peak() -> float:
    """The most memory that this process has had, in GiB."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 2**20


def made(rows: int) -> Iterator[np.ndarray]:
    """Standard normal inputs, a part at a time."""
    random = np.random.default_rng(0)
    for start in range(0, rows, MADE_AT_ONCE):
        yield random.standard_normal((min(MADE_AT_ONCE, rows - start), INPUTS), np.float32)


def epoch(path: Path) -> dict[str, float]:
    """Train on a file, in this process; what is compiled is so before, on a few rows of it."""
    from benchmarks import step
    from stages.lib.modeling.fit import fit

    inputs = FileMatrix.open(path)
    targets = (np.random.default_rng(1).random(len(inputs)) < 0.08).astype(np.float32)
    (base,) = load("train_base", path=ROOT / "params.yaml")
    settings = base.with_point({"batch_size": BATCH, "epochs": 1}).training
    some = 2 * BATCH * 256
    fit(step.network(), inputs[:some], targets[:some], settings, seed=1)
    loaded, clock = peak(), step._Clock()
    fit(step.network(), inputs, targets, settings, seed=1, callbacks=[clock])
    seconds = clock.seconds[0]
    steps = -(-len(inputs) // BATCH)
    return {"seconds an epoch": seconds, "ms a step": 1000 * seconds / steps, "GiB": peak(), "GiB before": loaded}


def stage(folder: Path) -> dict[str, float]:
    """The stage train_base, in this process, on the tables and params in `folder`."""
    import os

    from stages import train_base

    os.chdir(folder)
    start = time.perf_counter()
    train_base.main(*map(Path, ("train.parquet", "test.parquet", str(ENCODER), "model", "predictions", "importances")))
    return {"seconds": time.perf_counter() - start, "GiB": peak()}


def prepare_stage(rows: int, folder: Path) -> None:
    """The default data's training rows, over and over, as four parts to train on and one to predict."""
    sessions = read_sessions(TRAIN)
    for name, count in (("train", rows * 4 // 5), ("test", rows // 5)):
        whole, rest = divmod(count, len(sessions))
        tables = [sessions.table] * whole + [sessions.table.slice(0, rest)]
        batches = (batch for one in tables for batch in one.to_batches())
        write_batches(folder / f"{name}.parquet", sessions.table.schema, batches)
    changed = yaml.safe_load((ROOT / "params.yaml").read_text())
    changed["validation"] |= {"folds": 0}
    changed["train_base"]["training"] |= {"epochs": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(changed))


def in_a_process(what: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scale_training", "--one", what, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return {name: round(value, 3) for name, value in json.loads(done.stdout.splitlines()[-1]).items()}


def timed(rows: int, folder: Path, with_stage: bool) -> list[dict]:
    """What an epoch on so many rows takes, and the stage."""
    path = folder / "inputs.npy"
    with path.open("wb") as file:
        write_npy(file, (rows, INPUTS), made(rows))
    size = {"rows": rows, "file, GiB": round(path.stat().st_size / 2**30, 2)}
    found = [{"what": "epoch"} | size | in_a_process("epoch", path)]
    print(json.dumps(found[-1]), flush=True)
    path.unlink()
    if with_stage:
        prepare_stage(rows, folder)
        found.append({"what": "stage", "rows": rows} | in_a_process("stage", folder))
        print(json.dumps(found[-1]), flush=True)
    return found


def draw(found: pd.DataFrame) -> None:
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    epochs = found[found["what"] == "epoch"]
    millions = epochs["rows"] / 10**6
    left.plot(millions, epochs["seconds an epoch"], marker="o")
    right.plot(millions, epochs["GiB"], marker="o", label="peak memory")
    right.plot(millions, epochs["file, GiB"], marker="o", linestyle="--", color="grey", label="the file")
    right.legend(frameon=False)
    for place, label in ((left, "seconds an epoch"), (right, "GiB")):
        place.set(xlabel=f"rows of {INPUTS} inputs, millions", ylabel=label, ylim=0)
        place.grid(alpha=0.3)
    figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--stage", action="store_true", help="the whole stage too; needs the default data's split")
    parser.add_argument("--folder", type=Path, help="where there is room for the rows; by default the system's")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        what, path = options.one
        print(json.dumps({"epoch": epoch, "stage": stage}[what](Path(path))))
        return
    found = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            found += timed(rows, Path(name), options.stage)
    draw(pd.DataFrame(found))


if __name__ == "__main__":
    main()
