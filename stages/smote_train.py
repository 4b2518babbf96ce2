"""Train the same network on a training part that SMOTE has balanced, and predict the test part."""

from functools import partial
from pathlib import Path

from stages.lib import params, stage, table
from stages.lib.encoding import Encoder
from stages.lib.model import train, write_predictions
from stages.lib.resampling import resample


def main(train_rows: Path, test_rows: Path, encoder: Path, model: Path, predictions: Path) -> None:
    base, smote, split, seed = params.load("train_base", "smote_train", "split", "seed")
    fitted = Encoder.load(encoder)
    balance = partial(resample, encoder=fitted, settings=smote)
    trained, history = train(table.read(train_rows), fitted, base, split.by, seed, balance)
    trained.save(model, history)
    test = table.read(test_rows)
    write_predictions(predictions, test, trained.predict(test.features))


if __name__ == "__main__":
    stage.run(main)
