"""Files are damaged: a byte changed, cut off or emptied."""

import shutil
import signal
import threading
import time
from functools import cache
from pathlib import Path
from random import Random

import documentation
from checkout import TINY, Checkout

from benchmarks.tools import write_params
from faults.copies import CACHE, Copy, remove, tree
from faults.disk import recovered
from faults.kills import random_stage
from faults.outcome import SAME, SILENT, Outcome, Wrong, message
from faults.scores import check_score

MODELS = ["trees", "trees", "trees", "blend", "base"]  # TensorFlow takes seconds, which few faults need
DAYS = TINY | {"simulate.daily": True, "simulate.days": 4, "prepare.source": "days", "prepare.clicks.days": "*.parquet"}
PREPARE = ("python", "-m", "stages.prepare", "days", "sessions.parquet")
_lock = threading.Lock()


def damage(path: Path, rng: Random) -> str:
    """Change the file in place, whoever may write to it; returns what was done."""
    content, mode = bytearray(path.read_bytes()), path.stat().st_mode
    position, how = rng.randrange(len(content) or 1), rng.choice(["bit", "cut off", "emptied"])
    if how == "bit" and content:
        bit = rng.randrange(8)
        content[position] ^= 1 << bit
        how = f"bit {bit} of byte {position} flipped"
    elif how == "cut off":
        del content[position:]
        how = f"cut off at byte {position}"
    else:
        content.clear()
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)
    return how


def damage_cache(copy: Copy, rng: Random) -> Outcome:
    """A file of DVC's cache, from which an output comes back."""
    stage = random_stage(rng)
    path = rng.choice(copy.cached(stage))
    what = f"{path.relative_to(copy.folder / CACHE)} of {stage}: {damage(path, rng)}"
    for written in copy.outputs(stage):
        remove(written)
    code, output = copy.recover()
    how, _ = message(output) if code else (SAME, "")
    if code == 0 and not copy.differences():
        return Outcome(what, SAME)
    for command in documentation.section("chmod -R u+w"):
        code, output = copy.ended(*command)
        if code != 0:
            raise Wrong(f"{what}: {command}: {output[-2000:]}")
    return Outcome(what, SILENT if how == SAME else how)


def damage_model(copy: Copy, rng: Random) -> Outcome:
    """A file of a model's folder, before sessions are scored with it."""
    model = rng.choice(MODELS)
    path = rng.choice(sorted(path for path in (copy.folder / "models" / model).rglob("*") if path.is_file()))
    what = f"{path.relative_to(copy.folder)}: {damage(path, rng)}"
    return recovered(copy, what, check_score(copy, model))


def damage_checkpoint(copy: Copy, rng: Random) -> Outcome:
    """A file that a killed grid search goes on from."""
    copy.make_stale("grid_search")
    running, folder = copy.launch("dvc", "repro"), copy.folder / ".grid_search"
    while not running.ended() and not list(folder.rglob("checkpoint.json")):
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 1))
    running.kill(signal.SIGKILL)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        return recovered(copy, "the grid search had ended", (0, ""))
    path = rng.choice(files)
    return recovered(copy, f"{path.relative_to(folder)}: {damage(path, rng)}", (0, ""))


def damage_memo(copy: Copy, rng: Random) -> Outcome:
    """A file of what prepare knows of days, before one more day comes."""
    copy = Copy(Checkout.at(days(copy.origin)), copy.folder / ".dvc/days")
    memo = copy.folder / ".prepare"
    path = rng.choice(sorted(path for path in memo.rglob("*") if path.is_file()))
    what = f"{path.relative_to(copy.folder)}: {damage(path, rng)}"
    code, output = copy.ended(*PREPARE)
    how, line = message(output) if code else (SAME, "")
    if code:
        shutil.rmtree(memo)
        code, output = copy.ended(*PREPARE)
    expected, found = (tree(copy.folder / name) for name in ("expected.parquet", "sessions.parquet"))
    if code or expected != found:
        raise Wrong(
            f"{what}: {sorted(name for name in expected if found.get(name) != expected[name])} {output[-2000:]}"
        )
    return Outcome(what, how, line)


@cache
def _days(origin: Path) -> Path:
    folder = origin.with_name("days")
    copy = Copy(Checkout.at(origin), folder)
    write_params(folder / "params.yaml", DAYS)
    commands = [("python", "-m", "stages.simulate", "days"), (*PREPARE[:-1], "expected.parquet")]
    for command in commands:
        code, output = copy.ended(*command)
        assert code == 0, output
    shutil.rmtree(folder / ".prepare")
    last = sorted((folder / "days").iterdir())[-1]
    last.rename(folder / last.name)
    code, output = copy.ended(*PREPARE)
    assert code == 0, output
    (folder / last.name).rename(last)
    return folder


def days(origin: Checkout) -> Path:
    """A folder of days of which `.prepare` knows all but the last, and the sessions of all of them."""
    with _lock:
        return _days(origin.folder)


def damage_lock(copy: Copy, rng: Random) -> Outcome:
    """dvc.lock."""
    return recovered(copy, f"dvc.lock: {damage(copy.folder / 'dvc.lock', rng)}", (0, ""))


def damage_metrics(copy: Copy, rng: Random) -> Outcome:
    """A file in metrics/, which git keeps."""
    path = rng.choice(sorted(path for path in (copy.folder / "metrics").rglob("*") if path.is_file()))
    return recovered(copy, f"{path.relative_to(copy.folder)}: {damage(path, rng)}", (0, ""))
