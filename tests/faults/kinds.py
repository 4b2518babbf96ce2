"""All kinds of faults, and the fault that a number stands for."""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from checkout import Checkout

from faults import damage, disk, kills, together
from faults.copies import Copy
from faults.outcome import IMPOSSIBLE, WRONG, Impossible, Outcome, Wrong

Fault = Callable[[Copy, Random], Outcome]

# In turn, some more often; the first 20 are of all kinds
KINDS: dict[str, tuple[Fault, int]] = {
    "killed in a stage": (kills.kill_stage, 5),
    "killed in the whole course": (kills.kill_course, 1),
    "no larger files": (disk.file_limit, 1),
    "full disk": (disk.full_disk, 2),
    "read-only folder": (disk.no_permission, 2),
    "damaged cache": (damage.damage_cache, 1),
    "damaged model": (damage.damage_model, 2),
    "damaged checkpoint": (damage.damage_checkpoint, 1),
    "damaged `.prepare`": (damage.damage_memo, 1),
    "damaged `dvc.lock`": (damage.damage_lock, 1),
    "damaged metrics": (damage.damage_metrics, 1),
    "two runs at once": (together.two_runs, 1),
    "a run while scoring": (together.run_while_scoring, 1),
}
TURN = [kind for kind, (_, times) in KINDS.items() for _ in range(times)]


def kind_of(number: int) -> str:
    return TURN[number % len(TURN)]


def run_fault(origin: Checkout, scratch: Path, seed: int, number: int) -> Outcome:
    """Do a fault to a copy of the checkout `origin`, which is removed afterwards.

    Args:
        origin: a built checkout, which stays as it is.
        scratch: a folder for the copy.
        seed: with `number`, gives the same fault again, though the machine decides what a moment hits.
        number: of the fault; it has the kind that is its turn.
    """
    folder, rng = scratch / f"{seed}-{number}", Random(f"{seed} {number}")
    try:
        copy = Copy(origin, folder)
        outcome = KINDS[kind_of(number)][0](copy, rng)
        if differences := [] if outcome.how == IMPOSSIBLE else copy.differences():
            raise Wrong(f"{outcome.what}: {differences}")
        return outcome
    except (Wrong, Impossible) as error:
        text = " ".join(str(error).split())
        return Outcome(text, IMPOSSIBLE if isinstance(error, Impossible) else WRONG)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
