"""Two commands at once: two runs, or a run while sessions are scored."""

import time
from random import Random

from faults.copies import Copy
from faults.disk import recovered
from faults.kills import random_stage
from faults.outcome import Outcome
from faults.scores import CLICKS, SCORES, compare, score_command


def two_runs(copy: Copy, rng: Random) -> Outcome:
    """In one checkout."""
    stage, seconds = random_stage(rng), rng.uniform(0, 4)
    copy.make_stale(stage)
    runs = [copy.launch("dvc", "repro")]
    time.sleep(seconds)
    runs.append(copy.launch("dvc", "repro"))
    ended = [(run.wait(), run.text()) for run in runs]
    failed = [run for run in ended if run[0]] or [(0, "")]
    return recovered(copy, f"{stage}, {seconds:.2f} s apart", failed[-1])


def run_while_scoring(copy: Copy, rng: Random) -> Outcome:
    """The model that scores is trained again."""
    model, stage = rng.choice([("trees", "train_reference"), ("blend", "blend")])
    copy.make_stale(stage)
    seconds = rng.uniform(0, 6)
    run = copy.launch("dvc", "repro")
    time.sleep(seconds)
    command = score_command(model, copy.origin.folder / CLICKS, copy.folder / SCORES)
    scored = copy.ended(*command)
    code, output = run.wait(), run.text()
    compare(copy, model, scored)
    return recovered(copy, f"{model} scores {seconds:.2f} s after the start", (code, output) if code else scored)
