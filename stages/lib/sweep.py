"""A grid of settings, walked by talos on all workers; killed and started again, it goes on where it was."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import delayed

from stages.lib import chunks
from stages.lib.chunks import Matrix
from stages.lib.files import InputError, replacing
from stages.lib.params import Encoding, Recipe
from stages.lib.workers import Pool, say

if TYPE_CHECKING:
    import pandas as pd  # where it is used: the workers start a quarter of a second sooner

POINTS_A_SHARD = 10
JUDGE = "val_auc"
STANDARD_ERROR = "val_auc_se"
FIGURES = (JUDGE, "val_loss", "loss")
WORKER = "worker"

Point = dict[str, Any]
Grid = dict[str, list[Any]]


@dataclass(frozen=True)
class Rows:
    """Inputs and targets, float32, to train on and to be judged by: one fold."""

    inputs: Matrix
    targets: np.ndarray
    validation_inputs: Matrix
    validation_targets: np.ndarray

    def save(self, folder: Path) -> Path:
        """A .npy file for each array, unless it is there; returns the folder."""
        for name, array in vars(self).items():
            path = folder / f"{name}.npy"
            if not path.exists():
                with replacing(path) as temporary, temporary.open("wb") as file:
                    chunks.write(file, array.shape, chunks.pieces(array))
        return folder

    @classmethod
    def load(cls, folder: Path) -> Rows:
        """As it was saved; inputs are read from disk where they are used."""
        inputs, targets, *held_out = [chunks.OnDisk.open(folder / f"{field.name}.npy") for field in fields(cls)]
        return cls(inputs, targets[:], held_out[0], held_out[1][:])


Folds = dict[Encoding, list[Rows]]  # the same folds, by how they are encoded
SavedFolds = dict[Encoding, list[Path]]


def points(grid: Grid) -> list[Point]:
    """Every combination of the grid's values; the last key changes fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def shards(grid: Grid) -> list[Grid]:
    """Grids of at most POINTS_A_SHARD points that together are `grid`.

    Each has one value of everything but the learning rate, so that it compiles once; and few, because talos' books
    grow with the square of the points. They depend on the grid alone, so that any number of workers can resume.
    """
    rates = grid.get("learning_rate")
    others = {name: values for name, values in grid.items() if name != "learning_rate"}
    found = [{name: [value] for name, value in point.items()} for point in points(others)]
    if rates is None:
        return found
    parts = [rates[start : start + POINTS_A_SHARD] for start in range(0, len(rates), POINTS_A_SHARD)]
    return [shard | {"learning_rate": part} for shard in found for part in parts]


def walk(
    pool: Pool, grid: Grid, base: Recipe, folds: Folds, seed: int, checkpoints: Path
) -> tuple[pd.DataFrame, list[int]]:
    """Train at every point of the grid, once a fold: a row a point, in the grid's order, with last epochs' figures.

    Beside it, the process id of the worker that each point came from.

    With several folds these are means, and beside that of the AUC stands its standard error, the folds' deviation
    over the root of their number. It is a little too small, as folds share rows to train on (Bengio & Grandvalet
    2004, "No unbiased estimator of the variance of k-fold cross-validation").
    The figures do not depend on the number of workers in the `pool`, nor on the order they work in. Finished points
    are kept under `checkpoints`, for another walk of the same folds, grid and settings to go on from; so are the
    rows, to be read by the workers.
    Raises InputError if the walk was interrupted: a part of a grid is no result.
    """
    import pandas as pd

    wanted = points(grid)
    folder = checkpoints.absolute() / _fingerprint(grid, base, folds, seed)
    for other in checkpoints.absolute().glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)  # a worker of that walk may be at work yet
    saved = {
        encoded: [rows.save(folder / "rows" / f"{number}-{part}") for part, rows in enumerate(parts)]
        for number, (encoded, parts) in enumerate(folds.items())
    }
    first, *others = next(iter(folds.values()))
    print(
        f"{len(wanted)} points, {len(others) + 1} {'folds' if others else 'part held out'}, "
        f"{len(first.inputs)} rows each, judged by {len(first.validation_inputs)}", flush=True
    )  # fmt: skip
    work = (
        delayed(_walk_shard)(shard, wanted, base, _needed(saved, base, shard), seed, folder / f"{number:04}")
        for number, shard in enumerate(shards(grid))
    )
    found = pd.concat(pool(work), ignore_index=True)
    rows = pd.DataFrame([_row(point, found) for point in wanted])
    return rows.drop(columns=WORKER).assign(epochs=rows["epochs"].round().astype("Int64")), rows[WORKER].tolist()


def said(point: Point) -> str:
    """The point for people: no exponents, as in params.yaml."""
    values = (
        (name, np.format_float_positional(value, trim="-") if isinstance(value, float) else value)
        for name, value in point.items()
    )
    return ", ".join(f"{name} {value}" for name, value in values)


def best(results: pd.DataFrame) -> int:
    """The row of the point with the highest validation AUC; the first of them, if several are."""
    if results[JUDGE].isna().all():
        raise InputError("no point of the grid has a validation AUC")
    return int(results[JUDGE].argmax())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other worker is in here for the same folder; the lock of a killed one goes with it.

    A scheduler that has lost sight of a worker gives its call to another, while it may still be at work.
    """
    try:
        lock = folder.with_suffix(".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise InputError(f"{folder.parent}: workers must share this folder, and lock files in it: {error}") from None
    with lock:
        yield


def _walk_shard(
    shard: Grid, wanted: list[Point], base: Recipe, folds: SavedFolds, seed: int, folder: Path
) -> pd.DataFrame:
    """What talos found for the points of `shard`, in a worker process."""
    import pandas as pd
    from talos import Scan

    # talos is handed the numbers of the folds, not their rows, which it would hash several times a round.
    def train(numbers: np.ndarray, _y: np.ndarray, _x_val: np.ndarray, _y_val: np.ndarray, point: Point) -> dict:
        settings = base.at(point)
        by_fold = pd.DataFrame([_figures(Rows.load(rows), settings, seed) for rows in folds[settings.encoding]])
        figures = by_fold.mean().to_dict() | {STANDARD_ERROR: by_fold[JUDGE].sem(skipna=False)}
        if by_fold.isna().any(axis=None):
            figures |= dict.fromkeys((*FIGURES, STANDARD_ERROR), float("nan"))
        auc = f"{figures[JUDGE]:.4f}" + (f" ± {figures[STANDARD_ERROR]:.4f}" if len(numbers) > 1 else "")
        say(
            f"point {wanted.index(dict(point)) + 1}/{len(wanted)}  {said(point)}:  {JUDGE} {auc}  val_loss "
            f"{figures['val_loss']:.4f}  after {figures['epochs_trained']:.0f} epochs"
        )
        return figures

    def scan(resume: bool) -> Any:
        numbers = np.arange(len(next(iter(folds.values()))))
        return Scan(
            x=numbers,
            y=numbers,
            x_val=numbers,
            y_val=numbers,
            params=shard,
            # talos hashes the source of all that is called, and goes on from nothing where it has changed. Of a bare
            # function it would hash the bytecode too, which differs with what the process has done before.
            model=partial(train),
            experiment_name="grid",
            experiment_dir=folder,
            resume=resume,
            seed=seed,
            reduction_metric=JUDGE,
            save_weights=False,
            disable_progress_bar=True,
        )

    with _alone(folder):
        try:
            result = scan(resume=(folder / "checkpoint.json").exists())
        except (ValueError, OSError):
            # Made by other code or other versions, or cut off while it was written: nothing to go on from.
            if not folder.exists():
                raise
            shutil.rmtree(folder)
            result = scan(resume=False)
    # talos swallows an interrupt and returns what it has.
    if result.status != "complete" or len(result.data) != len(points(shard)):
        raise InputError(f"the grid was interrupted after {len(result.data)} of {len(points(shard))} points of a shard")
    return result.data.assign(**{WORKER: os.getpid()})


def _needed(folds: SavedFolds, base: Recipe, shard: Grid) -> SavedFolds:
    return {encoded: folds[encoded] for encoded in {base.at(point).encoding: None for point in points(shard)}}


def _figures(rows: Rows, settings: Recipe, seed: int) -> dict[str, float]:
    """The last epoch's figures of a network trained on one fold."""
    from stages.lib import network
    from stages.lib.training import fit

    # talos seeds each round anew; here every point starts from the same weights and sees the same batches.
    built = network.build(settings.network, rows.inputs.shape[1], seed)
    weights = network.left_out(len(rows.inputs), settings.network.members, seed)
    try:
        history = fit(
            built,
            rows.inputs,
            rows.targets,
            settings.training,
            seed=seed,
            validation=(rows.validation_inputs, rows.validation_targets),
            sample_weight=weights,
            validation_freq=1 if settings.training.patience else settings.training.epochs,
        )
    except FloatingPointError:
        # A rate that is too high is a result, not the end of the grid.
        return dict.fromkeys((*FIGURES, "epochs_trained"), float("nan"))
    return {name: history[name][-1] for name in FIGURES} | {"epochs_trained": len(history["loss"])}


def _row(point: Point, found: pd.DataFrame) -> dict[str, Any]:
    is_point = np.logical_and.reduce([found[name].map(repr) == repr(value) for name, value in point.items()])
    if is_point.sum() != 1:
        raise RuntimeError(f"talos returned {is_point.sum()} rows for {point}")
    row = found[is_point].iloc[0]
    figures = (JUDGE, STANDARD_ERROR, *(name for name in FIGURES if name != JUDGE))
    return point | {name: row[name] for name in figures} | {"epochs": row["epochs_trained"], WORKER: row[WORKER]}


def _fingerprint(grid: Grid, base: Recipe, folds: Folds, seed: int) -> str:
    content = hashlib.sha256(repr((grid, base, seed, [*folds])).encode())
    for array in (array for parts in folds.values() for rows in parts for array in vars(rows).values()):
        for piece in chunks.pieces(array):
            content.update(np.ascontiguousarray(piece).data)
    return content.hexdigest()[:16]
