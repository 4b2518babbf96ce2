"""Score sessions with a trained model: for each the probability of a purchase, and whether one is predicted."""

import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from ibis.expr.types import Table

from stages.lib.common.cli import run
from stages.lib.common.errors import InputError
from stages.lib.common.files import atomic_write
from stages.lib.common.progress import advance, show_progress
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.modeling.decision import Decision, decide
from stages.lib.modeling.unknown_categories import UnknownCategories
from stages.lib.preparation.reader import open_source
from stages.lib.preparation.scoring import sessions_to_score

if TYPE_CHECKING:
    from stages.lib.modeling.blend import SavedModel

BATCH_ROWS = 2**16
OPTIONS = re.compile(r"prepare\.csv\.(encoding|delimiter|truncated_last_line)")
WRITERS = {".csv": pyarrow.csv.CSVWriter, ".parquet": pq.ParquetWriter}


def main(
    model: Path,
    sessions_or_clicks: Path,
    *,
    output: Path,
    encoding: str | None = None,
    delimiter: str | None = None,
    truncated_last_line: Literal["error", "drop"] | None = None,
    unknown_categories: Literal["error", "warn"] | None = None,
    latest_view: bool = False,
) -> None:
    if output.suffix not in WRITERS:
        raise InputError(f"{output}: expected a name that ends in {' or '.join(WRITERS)}")
    schema, decision = Schema.load(model / "schema.json"), Decision.load(model / "decision.json")
    csv = {"encoding": encoding, "delimiter": delimiter, "truncated_last_line": truncated_last_line}
    schema, left_out = schema.with_csv(csv), LeftOut()
    with _hints_as_options(), open_source(sessions_or_clicks, schema, output, left_out=left_out) as (rows, engine):
        sessions, keys = sessions_to_score(rows, schema, engine, left_out, latest_view=latest_view)
        # Imported here, so that mistakes in the rows are reported before TensorFlow is loaded.
        from stages.lib.modeling.blend import load_model

        unknown = score(sessions, keys, load_model(model), decision, output, allow_unknown=unknown_categories == "warn")
    for line in [*left_out.findings, *unknown.warnings()]:
        print(f"score: {_as_options(str(line))}", file=sys.stderr)


@contextmanager
def _hints_as_options() -> Iterator[None]:
    """An error that names a parameter of the source names the option of score in its place."""
    try:
        yield
    except InputError as error:
        raise InputError(_as_options(str(error))) from None


def _as_options(text: str) -> str:
    return OPTIONS.sub(lambda match: f"--{match[1].replace('_', '-')}", text)


def score(
    sessions: Table,
    keys: list[str],
    model: "SavedModel",
    decision: Decision,
    output: Path,
    *,
    allow_unknown: bool = False,
) -> UnknownCategories:
    """Write keys, probability and decision of each row, in the order of the rows.

    Args:
        sessions: the model's features, and keys.
        keys: the names of the columns that identify a row.
        model: gives the probabilities, before calibration.
        decision: calibration and threshold.
        output: a .csv or .parquet file.
        allow_unknown: write scores even if nearly all categories of a column are unknown to the model.

    Returns:
        The categories that are unknown to the model.

    Raises:
        InputError: nearly all categories of a column are unknown.
    """
    n_rows, batches = sessions.count().execute(), sessions.to_pyarrow_batches(chunk_size=BATCH_ROWS)
    unit = "rows" if "view" in keys else "sessions"
    key_fields = [batches.schema.field(name) for name in keys]
    schema = pa.schema([*key_fields, ("probability", pa.float32()), ("decision", pa.bool_())])
    unknown = UnknownCategories(model.encoder)
    with (
        atomic_write(output) as temporary,
        closing(WRITERS[output.suffix](temporary, schema)) as writer,
        show_progress("scoring", n_rows, unit),
    ):
        for batch in batches:
            features = batch.to_pandas()
            unknown.count(features)
            probabilities = decision.calibration.apply(model.predict(features))
            decisions = decide(probabilities, decision.threshold)
            columns = [*map(batch.column, keys), pa.array(probabilities), pa.array(decisions)]
            writer.write(pa.record_batch(columns, schema=schema))
            advance(len(batch))
        if not allow_unknown:
            unknown.check()
    print(f"{n_rows} {unit}, written to {output}")
    return unknown


if __name__ == "__main__":
    run(main)
