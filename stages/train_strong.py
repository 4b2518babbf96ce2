"""Train a network that competes with boosted trees on the training set, and predict the test set."""

from pathlib import Path

from stages.lib.common.cli import run
from stages.lib.common.params import Params
from stages.lib.common.processes import process_pool


def main(train: Path, test: Path, model: Path, predictions: Path, out_of_fold: Path, importance: Path) -> None:
    params = Params.load()
    with process_pool("stages.lib.modeling.model") as pool:
        # Imported here, so that the workers load TensorFlow while this process loads what it needs itself.
        from stages.lib.modeling.network_stage import train_network

        config, paths = params.train_strong, (train, test, model, predictions, out_of_fold, importance)
        train_network(config, params, *paths, pool=pool, points=config.candidates)


if __name__ == "__main__":
    run(main)
