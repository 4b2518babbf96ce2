"""Train the study's network on a training set that SMOTE has balanced, and predict the test set."""

from functools import partial
from pathlib import Path

from stages.lib.common.cli import run
from stages.lib.common.params import Params
from stages.lib.common.processes import process_pool


def main(train: Path, test: Path, model: Path, predictions: Path, out_of_fold: Path) -> None:
    params = Params.load()
    with process_pool("stages.lib.modeling.model", "stages.lib.oversampling") as pool:
        # Imported here, so that the workers load TensorFlow while this process loads what it needs itself.
        from stages.lib.modeling.network_stage import train_network
        from stages.lib.oversampling import oversample

        resample = partial(oversample, settings=params.smote_train)
        paths = (train, test, model, predictions, out_of_fold)
        train_network(params.train_base, params, *paths, resample=resample, pool=pool)


if __name__ == "__main__":
    run(main)
