"""Train the study's network on the training part, and predict the test part."""

from pathlib import Path

from stages.lib import params, stage
from stages.lib.model import train_and_predict


def main(train_rows: Path, test_rows: Path, encoder: Path, model: Path, predictions: Path, importances: Path) -> None:
    base, split, validation, evaluate, seed = params.load("train_base", "split", "validation", "evaluate", "seed")
    paths = (train_rows, test_rows, encoder, model, predictions, importances)
    train_and_predict(*paths, settings=base, split=split, validation=validation, repeats=evaluate.repeats, seed=seed)


if __name__ == "__main__":
    stage.run(main)
