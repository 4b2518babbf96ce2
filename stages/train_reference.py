"""Train the baselines, logistic regression and boosted trees, on the training set, and predict the test set."""

from functools import partial
from pathlib import Path

from stages.lib.common.cli import run
from stages.lib.common.params import Params
from stages.lib.common.processes import process_pool


def main(train: Path, test: Path, logistic: Path, trees: Path) -> None:
    params = Params.load()
    settings, encoding = params.train_reference, params.train_base.encoding
    with process_pool("stages.lib.baselines") as pool:
        # Imported here, so that the workers load scikit-learn while this process loads what it needs itself.
        from stages.lib.baselines import fit_logistic, fit_trees
        from stages.lib.modeling.training_stage import train_and_predict

        print("logistic regression", flush=True)
        fit = partial(fit_logistic, settings=settings.logistic)
        train_and_predict(fit, encoding, params, train, test, logistic, pool=pool)
        print("boosted trees", flush=True)
        fit = partial(fit_trees, settings=settings.trees, seed=params.seed)
        train_and_predict(fit, encoding, params, train, test, trees, pool=pool)


if __name__ == "__main__":
    run(main)
