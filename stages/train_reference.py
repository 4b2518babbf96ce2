"""Train the models that the networks are held against, and predict the test part."""

from pathlib import Path

from stages.lib import params, reference, stage, table
from stages.lib.decision import Decision
from stages.lib.encoding import Encoder
from stages.lib.validation import cross_validate


def main(train_rows: Path, test_rows: Path, encoder: Path, logistic: Path, trees: Path) -> None:
    settings, encoded, split, validation, evaluate, seed = params.load(
        "train_reference", "train_base.encoding", "split", "validation", "evaluate", "seed"
    )
    sessions, test, fitted = table.read(train_rows), table.read(test_rows), Encoder.load(encoder)
    recipes = reference.recipes(settings, seed)
    for name, predictions in (("logistic", logistic), ("trees", trees)):
        print(f"{name}: {validation.folds} folds, then all {len(sessions)} rows", flush=True)
        recipe = recipes[name]
        judged = cross_validate(recipe, sessions, encoded, split.by, validation.folds, seed)
        decision = Decision.fit(validation.recalibrate, judged.targets, judged.probabilities)
        trained = [recipe(sessions, fitted, repeat) for repeat in range(evaluate.repeats + 1)]
        decision.write(predictions, test, *[one.predict(test.features) for one in trained])


if __name__ == "__main__":
    stage.run(main)
