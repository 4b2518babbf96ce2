"""`dvc repro` on the default data: cold, with nothing to do, after a change of the learning rate, and without folds.

    python -m benchmarks.repro

Works in a clone of the last commit with an empty cache. For each stage that ran, prints its seconds and the peak memory
of its processes.
"""

import subprocess
import tempfile
from pathlib import Path

from benchmarks.processes import MIB, measure_command
from benchmarks.tools import ROOT, write_params


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        params, committed = clone / "params.yaml", Path(name) / "committed.yaml"
        committed.write_bytes(params.read_bytes())
        repro("cold", clone, "--force")
        repro("nothing to do", clone)
        write_params(params, {"train_base.training.learning_rate": 0.00006}, base=committed)
        repro("another learning rate", clone)
        write_params(params, {"validation.folds": 0, "grid_search.folds": 0}, base=committed)
        repro("cold, without folds, as in the study", clone, "--force")


def repro(title: str, clone: Path, *options: str) -> None:
    """Run `dvc repro` and print what it and each of its stages took."""
    measured = measure_command(["dvc", "repro", *options], clone, phase_of=started_stage)
    print(f"{title}: {measured.seconds:.1f} s")
    for stage in measured.phases:
        print(f"  {stage.name:15} {stage.seconds:5.1f} s  {stage.peak_memory / MIB:6.0f} MiB", flush=True)


def started_stage(line: str) -> str | None:
    """The stage that DVC says it runs: Running stage 'prepare':"""
    return line.split("'")[1] if line.startswith("Running stage") else None


if __name__ == "__main__":
    main()
