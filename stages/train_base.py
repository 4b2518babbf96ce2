"""Train the study's network on the training part, and predict the test part."""

from pathlib import Path

from stages.lib import params, stage, table
from stages.lib.encoding import Encoder
from stages.lib.model import train, write_predictions


def main(train_rows: Path, test_rows: Path, encoder: Path, model: Path, predictions: Path) -> None:
    settings, split, seed = params.load("train_base", "split", "seed")
    trained, history = train(table.read(train_rows), Encoder.load(encoder), settings, split.by, seed)
    trained.save(model, history)
    test = table.read(test_rows)
    write_predictions(predictions, test, trained.predict(test.features))


if __name__ == "__main__":
    stage.run(main)
