"""`dvc repro` on the default data: cold, with nothing to do, after another learning rate, and without any folds.

    python -m benchmarks.repro

Works in a clone of the last commit with an empty cache. Memory is the largest sum over a stage's processes, seen
twenty times a second.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        repro("cold", clone, "--force")
        repro("nothing to do", clone)
        params = clone / "params.yaml"
        committed = params.read_text()
        params.write_text(committed.replace("learning_rate: 0.00005\n", "learning_rate: 0.00006\n"))
        repro("another learning rate", clone)
        params.write_text(committed.replace("folds: 5 ", "folds: 0 "))
        repro("cold, without folds, as the study", clone, "--force")


def repro(title: str, clone: Path, *options: str) -> None:
    """Run `dvc repro` and print its seconds, and for each stage that ran seconds and the peak of memory in MiB."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    start = time.perf_counter()
    process = psutil.Popen(
        ["dvc", "repro", *options],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.set_blocking(process.stdout.fileno(), False)
    stages: list[tuple[str, float]] = []
    peaks: dict[str, float] = {}
    while process.poll() is None:
        for line in process.stdout:
            if line.startswith("Running stage"):
                stages.append((line.split("'")[1], time.perf_counter()))
        if stages:
            peaks[stages[-1][0]] = max(peaks.get(stages[-1][0], 0), memory(process))
        time.sleep(0.05)
    end = time.perf_counter()
    if process.returncode:
        sys.exit(f"dvc repro failed: {process.stdout.read()}")
    print(f"{title}: {end - start:.1f} s")
    ends = [*(began for _, began in stages[1:]), end]
    for (stage, began), ended in zip(stages, ends, strict=False):
        print(f"  {stage:15} {ended - began:5.1f} s  {peaks[stage]:6.0f} MiB")


def memory(process: psutil.Process) -> float:
    """MiB of the processes that `process` has started."""
    total = 0
    for child in process.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


if __name__ == "__main__":
    main()
