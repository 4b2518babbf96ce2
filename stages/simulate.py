"""Write the click log of a simulated shop, the pipeline's default data."""

from pathlib import Path

import pyarrow.parquet as pq

from stages.lib import params, stage
from stages.lib.files import replacing
from stages.lib.shop import simulate


def main(clicks: Path) -> None:
    settings, seed = params.load("simulate", "seed")
    log = simulate(settings, seed)
    with replacing(clicks) as temporary:
        pq.write_table(log, temporary, compression="zstd")
    print(f"{log.num_rows} events")


if __name__ == "__main__":
    stage.run(main)
