"""Simulate a shop's click log, the pipeline's default data."""

from pathlib import Path

import pyarrow.parquet as pq

from stages.lib.common.cli import run
from stages.lib.common.files import atomic_write
from stages.lib.common.params import Params
from stages.lib.simulation.click_log import BLOCK_SESSIONS, simulate_blocks


def main(clicks: Path) -> None:
    """Write one file, or a folder of files if the log is simulated in several blocks."""
    params = Params.load()
    in_blocks, n_events = params.simulate.sessions > BLOCK_SESSIONS, 0
    with atomic_write(clicks) as temporary:
        if in_blocks:
            temporary.mkdir()
        for number, log in enumerate(simulate_blocks(params.simulate, params.seed, BLOCK_SESSIONS)):
            path = temporary / f"part-{number:05}.parquet" if in_blocks else temporary
            pq.write_table(log, path, compression="zstd")
            n_events += log.num_rows
    print(f"{n_events} events")


if __name__ == "__main__":
    run(main)
