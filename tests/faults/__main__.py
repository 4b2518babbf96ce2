"""Run seeded faults on a small copy of the pipeline: `make faults COUNT=200 SEED=1`, or one of them: `ONLY=17`."""

import argparse
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from checkout import TINY, Checkout

from faults.kinds import KINDS, kind_of, run_fault
from faults.outcome import HOW, IMPOSSIBLE, WRONG, Outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many faults")
    parser.add_argument("--seed", type=int, default=1, help="other seeds draw other faults")
    parser.add_argument("--only", type=int, help="the number of the only one to run")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once")
    parser.add_argument("--built", type=Path, help="a checkout that an earlier run has built: faults of today's code")
    options = parser.parse_args()
    numbers = range(options.count) if options.only is None else [options.only]
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch, ThreadPoolExecutor(options.jobs) as pool:
        origin = Checkout.at(options.built) if options.built else build(Path(scratch, "built"))
        print(f"seed {options.seed}", flush=True)

        def run(number: int) -> tuple[int, Outcome]:
            start = time.monotonic()
            outcome = run_fault(origin, Path(scratch), options.seed, number)
            print(
                f"{number}: {kind_of(number)}: {outcome.what}: {outcome.how}: {outcome.line}"
                f" [{time.monotonic() - start:.0f} s]",
                flush=True,
            )
            return number, outcome

        outcomes = dict(pool.map(run, numbers))
    print(table(outcomes))
    return int(any(outcome.how == WRONG for outcome in outcomes.values()))


def build(folder: Path) -> Checkout:
    """The undisturbed run."""
    built = Checkout(folder, **TINY)
    built.dvc("repro")
    built.commit("First")
    return built


def table(outcomes: dict[int, Outcome]) -> str:
    """The counts of each kind, by how they ended."""
    counts = Counter((kind_of(number), outcome.how) for number, outcome in outcomes.items())
    used = [how for how in HOW if how in (WRONG, IMPOSSIBLE) or any(counts[kind, how] for kind in KINDS)]
    lines = ["| fault | runs |" + "".join(f" {how} |" for how in used), "|---|" + "--:|" * (len(used) + 1)]
    for kind in KINDS:
        row = [counts[kind, how] for how in used]
        lines.append(f"| {kind} | {sum(row)} |" + "".join(f" {count} |" for count in row))
    totals = [sum(counts[kind, how] for kind in KINDS) for how in used]
    lines.append(f"| all | {sum(totals)} |" + "".join(f" {count} |" for count in totals))
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
