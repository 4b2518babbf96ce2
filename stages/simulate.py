"""Simulate a shop's click log, the pipeline's default data."""

from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.lib.common.cli import run
from stages.lib.common.files import atomic_write
from stages.lib.common.params import Params
from stages.lib.simulation.click_log import BLOCK_SESSIONS, simulate_blocks


def main(clicks: Path) -> None:
    """Write one file, or a folder of files: one for each day, or for each block of a log simulated in several."""
    params = Params.load()
    daily, n_events = params.simulate.daily, 0
    in_blocks = params.simulate.sessions > BLOCK_SESSIONS
    with atomic_write(clicks) as temporary, ExitStack() as files:
        if daily or in_blocks:
            temporary.mkdir()
        writers: dict[str, pq.ParquetWriter] = {}
        for number, log in enumerate(simulate_blocks(params.simulate, params.seed, BLOCK_SESSIONS)):
            name = f"part-{number:05}" if in_blocks else ""
            for part, rows in by_day(log).items() if daily else [(name, log)]:
                if part not in writers:
                    path = temporary / f"{part}.parquet" if part else temporary
                    writers[part] = files.enter_context(pq.ParquetWriter(path, log.schema, compression="zstd"))
                writers[part].write_table(rows)
            n_events += log.num_rows
    print(f"{n_events} events")


def by_day(log: pa.Table) -> dict[str, pa.Table]:
    """The events of each date."""
    dates = pc.strftime(log["time"], "%Y-%m-%d")
    return {date: log.filter(pc.equal(dates, date)) for date in pc.unique(dates).to_pylist()}


if __name__ == "__main__":
    run(main)
