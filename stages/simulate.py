"""Simulate a shop's click log, the pipeline's default data."""

from pathlib import Path

import pyarrow.parquet as pq

from stages.lib.common.cli import run
from stages.lib.common.files import atomic_write
from stages.lib.common.params import Params
from stages.lib.simulation import click_log


def main(clicks: Path) -> None:
    """Write one file, or a folder of parts if the log is simulated in several blocks."""
    params = Params.load()
    events = 0
    with atomic_write(clicks) as temporary:
        for number, log in enumerate(click_log.blocks(params.simulate, params.seed, click_log.BLOCK)):
            if params.simulate.sessions > click_log.BLOCK:
                temporary.mkdir(exist_ok=True)
                pq.write_table(log, temporary / f"part-{number:05}.parquet", compression="zstd")
            else:
                pq.write_table(log, temporary, compression="zstd")
            events += log.num_rows
    print(f"{events} events")


if __name__ == "__main__":
    run(main)
