"""Train a network that competes with boosted trees on the training set, and predict the test set."""

from pathlib import Path

from stages.lib.common.cli import run
from stages.lib.common.params import Params
from stages.lib.modeling.network_stage import train_network


def main(train: Path, test: Path, model: Path, predictions: Path, importance: Path) -> None:
    params = Params.load()
    train_network(params.train_strong, params, train, test, model, predictions, importance)


if __name__ == "__main__":
    run(main)
