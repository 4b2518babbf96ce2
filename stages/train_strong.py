"""Train the network that is to hold its own against boosted trees, and predict the test part."""

from pathlib import Path

from stages.lib import params, stage
from stages.lib.model import train_and_predict


def main(train_rows: Path, test_rows: Path, model: Path, predictions: Path, importances: Path) -> None:
    recipe, split, validation, evaluate, seed = params.load("train_strong", "split", "validation", "evaluate", "seed")
    train_and_predict(
        train_rows,
        test_rows,
        None,
        model,
        predictions,
        importances,
        settings=recipe,
        split=split,
        validation=validation,
        repeats=evaluate.repeats,
        seed=seed,
    )


if __name__ == "__main__":
    stage.run(main)
