"""Write the click log of a simulated shop, the pipeline's default data."""

from pathlib import Path

import pyarrow.parquet as pq

from stages.lib import params, shop, stage
from stages.lib.files import replacing


def main(clicks: Path) -> None:
    """A file, or a folder of parts where the log is made in several blocks."""
    settings, seed = params.load("simulate", "seed")
    events = 0
    with replacing(clicks) as temporary:
        for number, log in enumerate(shop.blocks(settings, seed, shop.BLOCK)):
            if settings.sessions > shop.BLOCK:
                temporary.mkdir(exist_ok=True)
                pq.write_table(log, temporary / f"part-{number:05}.parquet", compression="zstd")
            else:
                pq.write_table(log, temporary, compression="zstd")
            events += log.num_rows
    print(f"{events} events")


if __name__ == "__main__":
    stage.run(main)
