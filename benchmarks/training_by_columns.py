"""How training grows with columns: seconds per epoch of the study's network and of the strong one.

    python -m benchmarks.training_by_columns [--inputs 10 30 100 300 1000 3000]

Prints a table and draws docs/training_by_columns.svg. Trains on 40,000 random rows in memory; the encoder turns a
column into one input or, with bins, into up to 17. Compiling is not timed, and each time is the median of five epochs.
"""

import argparse
from statistics import median

import pandas as pd

from benchmarks.pictures import draw_lines
from benchmarks.tools import PARAMS, ROOT
from benchmarks.training_step import EpochTimer, random_rows
from stages.lib.common.model_params import ModelConfig
from stages.lib.common.params import Params
from stages.lib.modeling.fit import fit
from stages.lib.modeling.network import build_network

PICTURE = ROOT / "docs" / "training_by_columns.svg"
ROWS, EPOCHS = 40_000, 6  # the first epoch compiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, nargs="+", default=[10, 30, 100, 300, 1000, 3000])
    results = measure_networks(parser.parse_args().inputs)
    print(results.round(3).to_string(index=False))
    draw_lines(results, "inputs", {"seconds": "seconds per epoch"}, "network", PICTURE, f"Training on {ROWS:,} rows")


def measure_networks(inputs: list[int], rows: int = ROWS) -> pd.DataFrame:
    """The seconds of an epoch, a row for each network and number of inputs."""
    params = Params.load(PARAMS)
    return pd.DataFrame(
        {"network": f"{name}, batch {config.training.batch_size}", "inputs": n, "seconds": time_epoch(config, n, rows)}
        for name, config in (("the study's network", params.train_base), ("the strong network", params.train_strong))
        for n in inputs
    )


def time_epoch(config: ModelConfig, n_inputs: int, rows: int) -> float:
    """Seconds of an epoch: the median of all but the first."""
    inputs, targets = random_rows(rows, n_inputs)
    timer, training = EpochTimer(), config.with_point({"epochs": EPOCHS}).training
    fit(build_network(config.network, n_inputs, seed=1), inputs, targets, training, seed=1, callbacks=[timer])
    return median(timer.seconds[1:])


if __name__ == "__main__":
    main()
