"""Search a grid by validation AUC on training rows only, train its winner on all of them, predict the test part."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from joblib import delayed

from stages.lib import params, stage, sweep, workers
from stages.lib.files import replacing
from stages.lib.params import Encoding, GridSearch, Recipe, Split

CHECKPOINTS = Path(".grid_search")


def main(
    train_rows: Path, test_rows: Path, encoder: Path, model: Path, predictions: Path, importances: Path, results: Path
) -> None:
    settings, study, strong, split, validation, evaluate, seed = params.load(
        "grid_search", "train_base", "train_strong", "split", "validation", "evaluate", "seed"
    )
    base = {"train_base": study, "train_strong": strong}[settings.recipe]
    with workers.pool(len(sweep.shards(settings.grid)), settings.backend) as pool:
        folds = judged_rows(train_rows, settings, base, split, seed)
        found, walkers = sweep.walk(pool, settings.grid, base, folds, seed, CHECKPOINTS)
        row = sweep.best(found)
        winner = sweep.points(settings.grid)[row]
        print(f"the winner, with a validation AUC of {found[sweep.JUDGE][row]:.4f}: {sweep.said(winner)}", flush=True)
        recipe = base.at(winner)
        fitted = encoder if recipe.encoding == study.encoding else None
        train_winner = delayed(_train_winner)(
            [path and path.absolute() for path in (train_rows, test_rows, fitted, model, predictions, importances)],
            settings=recipe,
            split=split,
            validation=validation,
            repeats=evaluate.repeats,
            seed=seed,
        )
        pool.by(walkers[row], train_winner)
    with replacing(results) as temporary:
        found.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    shutil.rmtree(CHECKPOINTS, ignore_errors=True)  # a lost worker may hold a file in there


def judged_rows(train_rows: Path, settings: GridSearch, base: Recipe, split: Split, seed: int) -> sweep.Folds:
    """For each fold the training rows, in a part to train on, which the encoder is fitted on, and one to judge by.

    Of more than a chunk they are in files without names, until the walk keeps them under CHECKPOINTS: the disk needs
    twice the room of all folds' inputs.
    """
    # Here, so that the workers can load TensorFlow while this process loads these.
    from stages.lib import encoding, table
    from stages.lib.splitting import folds, hold_out

    sessions = table.read(train_rows)
    if settings.folds:
        parts = folds(sessions, split.by, settings.folds, seed)
    else:
        parts = [hold_out(sessions, split.by, settings.validation_share, seed)]

    def rows(stay: np.ndarray, held: np.ndarray, encoded: Encoding) -> sweep.Rows:
        train, judge = sessions.take(stay), sessions.take(held)
        encoder = encoding.fit(train.features, encoded)
        sides = [(encoder.inputs(side.features), side.column("target").to_numpy("float32")) for side in (train, judge)]
        return sweep.Rows(*sides[0], *sides[1])

    encodings = dict.fromkeys(base.at(point).encoding for point in sweep.points(settings.grid))
    return {encoded: [rows(*part, encoded) for part in parts] for encoded in encodings}


def _train_winner(paths: list[Any], **settings: Any) -> None:
    # In a worker, which has TensorFlow loaded.
    from stages.lib.model import train_and_predict

    train_and_predict(*paths, **settings)


if __name__ == "__main__":
    stage.run(main)
