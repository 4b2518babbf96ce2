"""DVC is killed while it runs a stage, or at any moment of the whole course.

Moments are in seconds of CPU, not of a clock, so that they hit about the same on a busy machine.
"""

import os
import signal
import time
from collections.abc import Callable
from random import Random

from faults.copies import Copy, remove
from faults.outcome import SAME, Outcome, Wrong, message

# Seconds of CPU from DVC's start to its end, about; the stages with networks come less often
SECONDS = {"simulate": 2, "prepare": 3, "split": 2, "train_reference": 5, "blend": 2, "evaluate": 5}
NETWORKS = {"train_base": 9, "grid_search": 9, "smote_train": 9, "train_strong": 9}
WHOLE_COURSE = 40
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def random_stage(rng: Random, network_share: float = 0.2) -> str:
    return rng.choice([*(NETWORKS if rng.random() < network_share else SECONDS)])


def kill_stage(copy: Copy, rng: Random) -> Outcome:
    """At a moment of a stage: from DVC's start, or from the first output, when DVC is to save what there is."""
    stage = random_stage(rng)
    copy.make_stale(stage)
    if rng.random() < 0.3:
        seconds, output = rng.uniform(0, 0.4), rng.choice(copy.outputs(stage))
        return _kill(copy, rng, seconds, f"{stage}, {{}} after {output.relative_to(copy.folder)}", output.exists)
    return _kill(copy, rng, rng.uniform(0, (SECONDS | NETWORKS)[stage]), f"{stage}, {{}} after the start")


def kill_course(copy: Copy, rng: Random) -> Outcome:
    """At a moment of the run from nothing to the end."""
    copy.make_stale(*copy.stages)
    remove(copy.folder / ".dvc/cache")
    return _kill(copy, rng, rng.uniform(0, WHOLE_COURSE), "all stages, {} after the start")


def _kill(copy: Copy, rng: Random, seconds: float, what: str, event: Callable[[], bool] = lambda: True) -> Outcome:
    number, whole_group = rng.choice(SIGNALS), rng.random() < 0.5
    running = copy.launch("dvc", "repro")
    while not event() and not running.ended():
        time.sleep(0.01)
    start = running.cpu_seconds()
    while running.cpu_seconds() - start < seconds and not running.ended():
        time.sleep(0.1)
    hit = not running.ended()
    if hit:
        (os.killpg if whole_group else os.kill)(running.pid, number)
    code = running.wait()
    what = f"{number.name} to {'all processes' if whole_group else 'DVC'} of {what.format(f'{seconds:.2f} s')}"
    if not hit:
        what += ", which had ended"
    if code != 0:
        _, line = message(running.text())
        what += f" ({line})" if line else ""
    # Whoever runs it again does not wait for what the first run has left behind.
    code, output = copy.recover()
    running.wait_for_group()
    if code != 0:
        how, line = message(output)
        code, output = copy.recover()
        if code != 0:
            raise Wrong(f"make repro failed twice: {output[-3000:]}")
        return Outcome(what, how, line)
    return Outcome(what, SAME)
