"""`dvc repro` of the default data: cold, of small data, after a change of the learning rate, and so on.

    python -m benchmarks.repro [--against COMMIT] [--rounds 3] [--only cold small]

Works in a clone of the last commit with an empty cache, and without DVC's run cache. Prints the medians of the seconds,
and for each stage its peak memory. With --against, another clone has that commit checked out and both run in turn in
each round, so that what else the machine does slows both; their ratio is printed too.
"""

import argparse
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.processes import MIB, Measurement, measure_command
from benchmarks.tools import ROOT, write_params

TRAINING = "train_base.training.learning_rate"


@dataclass(frozen=True)
class Workload:
    """What to run, on params with `changes`; `before` are those that the clone was brought up to date with."""

    title: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] | None = None


WORKLOADS = {
    "cold": Workload("cold"),
    "nothing": Workload("nothing to do", before={}),
    "rate": Workload("another learning rate", {TRAINING: 0.00006}, before={}),
    "small": Workload("cold, small data, as `make small`"),
    "folds": Workload("cold, without folds, as in the study", {"validation.folds": 0, "grid_search.folds": 0}),
}


class Clone:
    """A clone of this repository with a commit checked out."""

    def __init__(self, folder: Path, commit: str) -> None:
        self.folder, self.params = folder, folder / "params.yaml"
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=folder, check=True)
        self.committed = folder.with_suffix(".yaml")
        self.committed.write_bytes(self.params.read_bytes())

    def run(self, workload: Workload) -> Measurement:
        """Measure the workload; what has to be up to date before is brought there first."""
        if workload.before is not None:
            self._repro(workload.before)
        changes = self._small() if workload is WORKLOADS["small"] else workload.changes
        return self._repro(changes, *(["--force"] if workload.before is None else []))

    def _small(self) -> dict[str, Any]:
        """The params of `make small` at this commit."""
        (settings,) = re.findall(r"^SMALL := (.*)$", (self.folder / "Makefile").read_text(), re.M)
        return {key: int(value) for key, value in (setting.split("=") for setting in settings.split())}

    def _repro(self, changes: Mapping[str, Any], *options: str) -> Measurement:
        write_params(self.params, changes, base=self.committed)
        command = ["dvc", "repro", "--no-run-cache", *options]
        return measure_command(command, self.folder, phase_of=started_stage)


def main() -> None:
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as name:
        commits = {"HEAD": "HEAD"} | ({options.against: options.against} if options.against else {})
        clones = {title: Clone(Path(name) / f"clone{i}", commit) for i, (title, commit) in enumerate(commits.items())}
        for workload in map(WORKLOADS.__getitem__, options.only):
            runs: dict[str, list[Measurement]] = {title: [] for title in clones}
            for _ in range(options.rounds):
                for title, clone in clones.items():
                    runs[title].append(clone.run(workload))
            report(workload.title, runs)


def report(title: str, runs: Mapping[str, list[Measurement]]) -> None:
    """Print medians over the rounds, and ratios of the first clone to the second.

    Args:
        title: of the workload.
        runs: for each clone its measurements, one per round.
    """
    print(f"{title}:")
    stages = list(dict.fromkeys(phase.name for measured in runs.values() for run in measured for phase in run.phases))
    for stage in ["", *stages]:
        seconds = [median([seconds_of(run, stage) for run in measured]) for measured in runs.values()]
        line = f"  {stage or 'whole':15} " + "  ".join(f"{value:6.1f} s" for value in seconds)
        if len(seconds) > 1 and seconds[1]:
            line += f"  ratio {seconds[0] / seconds[1]:.2f}"
        first = next(iter(runs.values()))
        memory = max((phase.peak_memory for run in first for phase in run.phases if phase.name == stage), default=0)
        print(line + (f"  {memory / MIB:6.0f} MiB" if memory else ""), flush=True)


def seconds_of(run: Measurement, stage: str) -> float:
    """The seconds of a stage, 0 if it did not run; of the whole if `stage` is empty."""
    return sum(phase.seconds for phase in run.phases if phase.name == stage) if stage else run.seconds


def started_stage(line: str) -> str | None:
    """The stage that DVC says it runs: Running stage 'prepare':"""
    return line.split("'")[1] if line.startswith("Running stage") else None


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="COMMIT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: expected 1 or more")
    return options


if __name__ == "__main__":
    main()
