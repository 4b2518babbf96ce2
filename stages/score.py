"""Score sessions by a trained model: for each the probability of a purchase, and whether one is predicted."""

import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from ibis.expr.types import Table
from tqdm import tqdm

from stages.lib.common.cli import run
from stages.lib.common.errors import InputError
from stages.lib.common.files import atomic_write
from stages.lib.dataset.schema import Schema
from stages.lib.modeling.columns import MISSING, CategoricalColumn
from stages.lib.modeling.decision import Decision, decide
from stages.lib.preparation.engine import default_memory_limit, open_engine
from stages.lib.preparation.reader import read_rows, source_errors
from stages.lib.preparation.scoring import sessions_to_score

if TYPE_CHECKING:
    from stages.lib.modeling.model import Model

ROWS_AT_ONCE = 2**16
WRITERS = {".csv": pyarrow.csv.CSVWriter, ".parquet": pq.ParquetWriter}
UNKNOWN_SHARE = 0.1  # of a category's values, from which on they may be written otherwise than in training


def main(model: Path, sessions_or_clicks: Path, *, output: Path) -> None:
    if output.suffix not in WRITERS:
        raise InputError(f"{output}: expected a name that ends in {' or '.join(WRITERS)}")
    schema, decision = Schema.load(model / "schema.json"), Decision.load(model / "decision.json")
    with open_engine(output, memory_limit=default_memory_limit(schema.source_type)) as engine:
        is_table = schema.source_type == "sessions"
        rows = read_rows(engine.local, sessions_or_clicks, schema.csv, in_order=is_table)
        with source_errors(sessions_or_clicks):
            sessions, names = sessions_to_score(rows, schema, engine)
            # Imported here, so that mistakes in the rows show before TensorFlow is loaded.
            from stages.lib.modeling.model import Model

            score(sessions, names, Model.load(model), decision, output)


def score(sessions: Table, names: list[str], model: "Model", decision: Decision, output: Path) -> None:
    """Write a row for each session, in their order: the columns `names`, its probability and the decision."""
    count, batches = sessions.count().execute(), sessions.to_pyarrow_batches(chunk_size=ROWS_AT_ONCE)
    keys = [batches.schema.field(name) for name in names]
    schema = pa.schema([*keys, ("probability", pa.float32()), ("decision", pa.bool_())])
    strangers: Counter[str] = Counter()
    with (
        atomic_write(output) as temporary,
        closing(WRITERS[output.suffix](temporary, schema)) as writer,
        tqdm(total=count, unit=" sessions", unit_scale=True, disable=None) as progress,  # on a terminal only
    ):
        for batch in batches:
            features = batch.to_pandas()
            strangers.update({one.name: unknown(features[one.name], one) for one in model.encoder.categorical})
            probabilities = decision.calibration.apply(model.predict(features))
            decided = decide(probabilities, decision.threshold)
            columns = [*map(batch.column, names), pa.array(probabilities), pa.array(decided)]
            writer.write(pa.record_batch(columns, schema=schema))
            progress.update(len(batch))
    print(f"{count} sessions, written to {output}")
    for one in model.encoder.categorical:
        if strangers[one.name] > UNKNOWN_SHARE * count:
            print(
                f"score: column '{one.name}': {strangers[one.name]} of {count} values are none of those that the model "
                f"tells apart ({', '.join(one.categories[:5])} …); they count as {one.unknown}",
                file=sys.stderr,
            )


def unknown(column: pd.Series, category: CategoricalColumn) -> int:
    """How many values of the column are none of the category's levels."""
    return int((~column.fillna(MISSING).isin(category.categories)).sum())


if __name__ == "__main__":
    run(main)
