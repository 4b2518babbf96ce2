"""Train the baselines, logistic regression and boosted trees, on the training set, and predict the test set."""

from functools import partial
from pathlib import Path

from stages.lib.baselines import fit_logistic, fit_trees
from stages.lib.common.cli import run
from stages.lib.common.params import Params
from stages.lib.modeling.training_stage import train_and_predict


def main(train: Path, test: Path, logistic: Path, trees: Path) -> None:
    params = Params.load()
    settings, encoding = params.train_reference, params.train_base.encoding
    print("logistic regression", flush=True)
    fit = partial(fit_logistic, settings=settings.logistic)
    train_and_predict(fit, encoding, params, train, test, logistic)
    print("boosted trees", flush=True)
    fit = partial(fit_trees, settings=settings.trees, seed=params.seed)
    train_and_predict(fit, encoding, params, train, test, trees)


if __name__ == "__main__":
    run(main)
