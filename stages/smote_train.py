"""Train the study's network on a training set that SMOTE has balanced, and predict the test set."""

from functools import partial
from pathlib import Path

from stages.lib.common.cli import run
from stages.lib.common.params import Params
from stages.lib.modeling.network_stage import train_network
from stages.lib.oversampling import oversample


def main(train: Path, test: Path, model: Path, predictions: Path) -> None:
    params = Params.load()
    resample = partial(oversample, settings=params.smote_train)
    train_network(params.train_base, params, train, test, model, predictions, resample=resample)


if __name__ == "__main__":
    run(main)
