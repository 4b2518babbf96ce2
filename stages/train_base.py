"""Train the study's network on the training part, and predict the test part."""

from pathlib import Path

from stages.lib import params, stage
from stages.lib.model import train_and_predict


def main(train_rows: Path, test_rows: Path, encoder: Path, model: Path, predictions: Path) -> None:
    settings, split, seed = params.load("train_base", "split", "seed")
    train_and_predict(train_rows, test_rows, encoder, model, predictions, settings=settings, by=split.by, seed=seed)


if __name__ == "__main__":
    stage.run(main)
