"""Train the same network on a training part that SMOTE has balanced, and predict the test part."""

from functools import partial
from pathlib import Path

from stages.lib import params, stage
from stages.lib.model import train_and_predict
from stages.lib.resampling import resample


def main(train_rows: Path, test_rows: Path, encoder: Path, model: Path, predictions: Path) -> None:
    base, smote, split, validation, evaluate, seed = params.load(
        "train_base", "smote_train", "split", "validation", "evaluate", "seed"
    )
    train_and_predict(
        train_rows,
        test_rows,
        encoder,
        model,
        predictions,
        settings=base,
        split=split,
        validation=validation,
        repeats=evaluate.repeats,
        seed=seed,
        resample=partial(resample, settings=smote),
    )


if __name__ == "__main__":
    stage.run(main)
