"""Score sessions by a trained model: for each the probability of a purchase, and whether one is predicted."""

import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from ibis.expr.types import Table
from tqdm import tqdm

from stages.lib import calibration, engine, scoring, source, stage
from stages.lib.decision import Decision
from stages.lib.encoding import MISSING, Category
from stages.lib.files import InputError, replacing
from stages.lib.schema import Schema

if TYPE_CHECKING:
    from stages.lib.model import Model

ROWS_AT_ONCE = 2**16
WRITERS = {".csv": pyarrow.csv.CSVWriter, ".parquet": pq.ParquetWriter}
UNKNOWN_SHARE = 0.1  # of a category's values, from which on they may be written otherwise than in training


def main(model: Path, sessions_or_clicks: Path, *, output: Path) -> None:
    if output.suffix not in WRITERS:
        raise InputError(f"{output}: expected a name that ends in {' or '.join(WRITERS)}")
    schema, decision = Schema.load(model / "schema.json"), Decision.load(model / "decision.json")
    with engine.start(output, memory_limit=engine.usual(schema.kind)) as work:
        rows = source.read(work.local, sessions_or_clicks, schema.csv, in_order=schema.kind == "sessions")
        try:
            sessions, names = scoring.to_score(rows, schema, work)
            # Here, so that what is wrong with the rows shows before TensorFlow is loaded.
            from stages.lib.model import Model

            score(sessions, names, Model.load(model), decision, output)
        except InputError as error:
            raise InputError(f"{sessions_or_clicks}: {error}") from None
        except duckdb.Error as error:
            # What is broken in the middle of a file shows only when it is read.
            raise InputError(f"{sessions_or_clicks}: {engine.reason(error)}") from None


def score(sessions: Table, names: list[str], model: "Model", decision: Decision, output: Path) -> None:
    """Write a row for each session, in their order: the columns `names`, its probability and the decision."""
    count, batches = sessions.count().execute(), sessions.to_pyarrow_batches(chunk_size=ROWS_AT_ONCE)
    keys = [batches.schema.field(name) for name in names]
    schema = pa.schema([*keys, ("probability", pa.float32()), ("decision", pa.bool_())])
    strangers: Counter[str] = Counter()
    with (
        replacing(output) as temporary,
        closing(WRITERS[output.suffix](temporary, schema)) as writer,
        tqdm(total=count, unit=" sessions", unit_scale=True, disable=None) as progress,  # on a terminal only
    ):
        for batch in batches:
            features = batch.to_pandas()
            strangers.update({one.name: unknown(features[one.name], one) for one in model.encoder.categories})
            probabilities = decision.recalibration.apply(model.predict(features))
            decided = calibration.decide(probabilities, decision.threshold)
            columns = [*map(batch.column, names), pa.array(probabilities), pa.array(decided)]
            writer.write(pa.record_batch(columns, schema=schema))
            progress.update(len(batch))
    print(f"{count} sessions, written to {output}")
    for one in model.encoder.categories:
        if strangers[one.name] > UNKNOWN_SHARE * count:
            print(
                f"score: column '{one.name}': {strangers[one.name]} of {count} values are none of those that the model "
                f"tells apart ({', '.join(one.levels[:5])} …); they count as {one.levels[one.unknown]}",
                file=sys.stderr,
            )


def unknown(column: pd.Series, category: Category) -> int:
    """How many values of the column are none of the category's levels."""
    return int((~column.fillna(MISSING).isin(category.levels)).sum())


if __name__ == "__main__":
    stage.run(main)
