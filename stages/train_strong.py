"""Train a network that competes with boosted trees, and learns from them, on the training set; predict the test set."""

from functools import partial
from pathlib import Path

from stages.lib.common.cli import run
from stages.lib.common.params import Params
from stages.lib.common.processes import process_pool


def main(train: Path, test: Path, model: Path, predictions: Path, out_of_fold: Path, importance: Path) -> None:
    params = Params.load()
    with process_pool("stages.lib.modeling.model") as pool:
        # Imported here, so that the workers load TensorFlow while this process loads what it needs itself.
        from stages.lib.modeling.boosted_trees import BoostedTrees
        from stages.lib.modeling.network_stage import train_network
        from stages.lib.modeling.trainer import Candidate

        fit_trees = partial(BoostedTrees.fit, settings=params.train_strong.teacher, seed=params.seed)
        teacher = Candidate(fit_trees, params.train_base.encoding)
        config, paths = params.train_strong, (train, test, model, predictions, out_of_fold, importance)
        train_network(config, params, *paths, pool=pool, points=config.candidates, teacher=teacher)


if __name__ == "__main__":
    run(main)
