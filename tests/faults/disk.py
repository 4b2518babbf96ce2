"""The disk is full, files may not grow, or a folder may not be written to."""

import os
import subprocess
from pathlib import Path
from random import Random

from faults.copies import CACHE, Copy
from faults.kills import random_stage
from faults.outcome import SAME, Impossible, Outcome, Wrong, message

ROOM = 1_500_000  # bytes: more than a stage and DVC write on tiny data


def file_limit(copy: Copy, rng: Random) -> Outcome:
    """No file may be larger than some KiB, as on a disk with a quota; no rights are needed."""
    stage, limit = random_stage(rng), rng.randint(1, 60)
    copy.make_stale(stage)
    run = copy.ended("bash", "-c", f'ulimit -f {limit}; exec "$@"', "bash", "dvc", "repro")
    return recovered(copy, f"{stage}, no file larger than {limit} KiB", run)


def full_disk(copy: Copy, rng: Random) -> Outcome:
    """A file system of its own, in memory, with little room."""
    stage, room, disk = random_stage(rng), rng.randint(0, ROOM), str(copy.folder)
    _mount("-t", "tmpfs", "faults", disk)
    try:
        copy = Copy(copy.origin, copy.folder)
        copy.make_stale(stage)
        used = sum(path.lstat().st_blocks * 512 for path in copy.folder.rglob("*"))
        _mount("-o", f"remount,size={used + room}", disk)
        run = copy.ended("dvc", "repro")
        _mount("-o", "remount,size=1g", disk)
        return recovered(copy, f"{stage}, {room} bytes are free", run)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def no_permission(copy: Copy, rng: Random) -> Outcome:
    """A folder that a stage or DVC writes to is read-only."""
    stage = random_stage(rng)
    folder = rng.choice([*(path.parent for path in copy.outputs(stage)), copy.folder, copy.folder / CACHE])
    copy.make_stale(stage)
    mode = folder.stat().st_mode
    folder.chmod(mode & ~0o222)
    try:
        run = copy.ended(*_bound_by_permissions(), "dvc", "repro")
    finally:
        folder.chmod(mode)
    return recovered(copy, f"{stage}, {folder.relative_to(copy.folder)}/ is read-only", run)


def recovered(copy: Copy, what: str, run: tuple[int, str]) -> Outcome:
    """How a run ended whose obstacle is now out of the way, and `make repro` after it.

    Args:
        copy: where it ran.
        what: was done to it.
        run: its exit code and its output.

    Raises:
        Wrong: it failed without a line that is on the page, or `make repro` fails or gives other bytes.
    """
    try:
        code, output = run
        how, line = message(output) if code else (SAME, "")
        if not how:
            raise Wrong(f"it failed without a message: {output[-2000:]}")
        code, output = copy.recover()
        if code != 0:
            raise Wrong(f"make repro: {output[-2000:]}")
        if differences := copy.differences():
            raise Wrong(f"{differences}")
    except Wrong as error:
        raise Wrong(f"{what}: {error}") from None
    return Outcome(what, how, line)


def _bound_by_permissions() -> list[str]:
    """Root may write to every folder, unless the capability is taken away."""
    if os.geteuid():
        return []
    if not Path("/usr/bin/setpriv").exists():
        raise Impossible("root needs setpriv")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


def _mount(*options: str) -> None:
    if os.geteuid():
        raise Impossible("mount needs root")
    completed = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if completed.returncode:
        raise Impossible(completed.stderr.strip())
