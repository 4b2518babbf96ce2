"""Train the baselines, logistic regression and boosted trees, on the training set, and predict the test set."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stages.lib.common.cli import run
from stages.lib.common.params import Params
from stages.lib.common.processes import process_pool

if TYPE_CHECKING:
    from stages.lib.dataset.schema import Schema
    from stages.lib.modeling.boosted_trees import BoostedTrees
    from stages.lib.modeling.decision import Decision


def main(train: Path, test: Path, predictions: Path, out_of_fold: Path, trees: Path) -> None:
    params = Params.load()
    settings, encoding = params.train_reference, params.train_base.encoding
    with process_pool("stages.lib.baselines", "stages.lib.modeling.boosted_trees") as pool:
        # Imported here, so that the workers load scikit-learn while this process loads what it needs itself.
        from stages.lib.baselines import fit_logistic
        from stages.lib.modeling.boosted_trees import BoostedTrees
        from stages.lib.modeling.trainer import Candidate
        from stages.lib.modeling.training_stage import train_and_predict

        print("logistic regression", flush=True)
        paths = (train, test, predictions / "logistic.parquet", out_of_fold / "logistic.parquet")
        candidate = Candidate(partial(fit_logistic, settings=settings.logistic), encoding)
        train_and_predict([candidate], params, *paths, pool=pool)
        print("boosted trees", flush=True)
        paths = (train, test, predictions / "trees.parquet", out_of_fold / "trees.parquet")
        candidate = Candidate(partial(BoostedTrees.fit, settings=settings.trees, seed=params.seed), encoding)
        train_and_predict([candidate], params, *paths, save=partial(_save, folder=trees.absolute()), pool=pool)


def _save(model: "BoostedTrees", decision: "Decision", schema: "Schema", folder: Path) -> None:
    model.save(folder, decision, schema)


if __name__ == "__main__":
    run(main)
