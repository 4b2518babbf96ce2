"""Score sessions with a trained model: for each the probability of a purchase, and whether one is predicted."""

import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from ibis.expr.types import Table

from stages.lib.common.checksums import check_checksums
from stages.lib.common.cli import run
from stages.lib.common.errors import InputError
from stages.lib.common.files import atomic_write
from stages.lib.common.progress import advance, show_progress
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.days.scoring import open_days_to_score
from stages.lib.modeling.decision import Decision, decide
from stages.lib.modeling.unknown_categories import UnknownCategories
from stages.lib.preparation.reader import open_source
from stages.lib.preparation.scoring import sessions_to_score

if TYPE_CHECKING:
    from stages.lib.modeling.blend import SavedModel

BATCH_ROWS = 2**16
EXPLAINED_ROWS = 2**10  # in a batch that is explained, which takes longer, so that progress shows
SHARE_DECIMALS = 7
SHARE_TYPES = (pa.string(), pa.float64())  # of the name of a column and its share
OPTIONS = re.compile(r"prepare\.csv\.(encoding|delimiter|truncated_last_line)")
MEMO = ".prepare"  # as in the committed params: runtime.memo
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
    since: str | None = None,
    memo: str | None = None,
    explain: str | None = None,
) -> None:
    n_reasons = _parse_count(explain)
    if output.suffix not in WRITERS:
        raise InputError(f"{output}: expected a name that ends in {' or '.join(WRITERS)}")
    schema, decision = _open_model(model)
    csv = {"encoding": encoding, "delimiter": delimiter, "truncated_last_line": truncated_last_line}
    schema, left_out = schema.with_csv(csv), LeftOut()
    with (
        _hints_as_options(),
        _open_sessions(sessions_or_clicks, schema, output, left_out, latest_view, since, memo) as (
            sessions,
            keys,
        ),
    ):
        # Imported here, so that mistakes in the rows are reported before TensorFlow is loaded.
        from stages.lib.modeling.blend import load_model

        unknown = score(
            sessions,
            keys,
            load_model(model),
            decision,
            output,
            allow_unknown=unknown_categories == "warn",
            n_reasons=n_reasons,
        )
    for line in [*left_out.findings, *unknown.warnings()]:
        print(f"score: {_as_options(str(line))}", file=sys.stderr)


def _open_model(folder: Path) -> tuple[Schema, Decision]:
    check_checksums(folder, "copy the folder again, or run the stage that trains the model")
    return Schema.load(folder / "schema.json"), Decision.load(folder / "decision.json")


@contextmanager
def _open_sessions(
    source: Path,
    schema: Schema,
    output: Path,
    left_out: LeftOut,
    latest_view: bool,
    since: str | None,
    memo: str | None,
) -> Iterator[tuple[Table, list[str]]]:
    """The sessions of a folder of days with all that is known of their visitors, or those of another source."""
    in_days = schema.source_type == "clicks" and schema.clicks.days is not None
    if in_days and source.is_dir():
        with open_days_to_score(
            source, schema, Path(memo or MEMO), _parse_day(since), left_out, latest_view=latest_view
        ) as sessions:
            yield sessions
        return
    if since or memo:
        raise InputError("--since and --memo are for a folder of days and a model that was trained on one")
    if in_days:
        print("score: earlier visits are those in this file; the folder of all days has the others", file=sys.stderr)
    with open_source(source, schema, output, left_out=left_out) as (rows, engine):
        yield sessions_to_score(rows, schema, engine, left_out, latest_view=latest_view)


def _parse_day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InputError(f"--since: expected a date such as 2024-05-31, got '{text}'") from None


def _parse_count(text: str | None) -> int:
    if text is None:
        return 0
    if not re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII):
        raise InputError(f"--explain: expected how many columns to name as reasons, such as 3, got '{text}'")
    return int(text)


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
    n_reasons: int = 0,
) -> UnknownCategories:
    """Write keys, probability, decision and reasons of each row, in the order of the rows.

    Args:
        sessions: the model's features, and keys.
        keys: the names of the columns that identify a row.
        model: gives the probabilities, before calibration.
        decision: calibration and threshold.
        output: a .csv or .parquet file.
        allow_unknown: write scores even if nearly all categories of a column are unknown to the model.
        n_reasons: how many columns are named that say most about the probability, with their shares of the log-odds;
            all columns, if the model has fewer.

    Returns:
        The categories that are unknown to the model.

    Raises:
        InputError: nearly all categories of a column are unknown.
    """
    n_rows = sessions.count().execute()
    batches = sessions.to_pyarrow_batches(chunk_size=EXPLAINED_ROWS if n_reasons else BATCH_ROWS)
    unit = "rows" if "view" in keys else "sessions"
    key_fields = [batches.schema.field(name) for name in keys]
    n_reasons = min(n_reasons, len(model.encoder.numeric) + len(model.encoder.categorical))
    scores = [("probability", pa.float32()), ("decision", pa.bool_())]
    schema = pa.schema([*key_fields, *scores, *_reason_fields(n_reasons)])
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
            if n_reasons:
                columns += _reasons(model, features, n_reasons)
            writer.write(pa.record_batch(columns, schema=schema))
            advance(len(batch))
        if not allow_unknown:
            unknown.check()
    print(f"{n_rows} {unit}, written to {output}")
    return unknown


def _reason_fields(count: int) -> list[tuple[str, pa.DataType]]:
    places = range(1, count + 1)
    named = [(f"{name}_{i}", kind) for i in places for name, kind in zip(("reason", "share"), SHARE_TYPES, strict=True)]
    return [("base", pa.float64()), *named, ("rest", pa.float64())] if count else []


def _reasons(model: "SavedModel", features: pd.DataFrame, count: int) -> list[pa.Array]:
    """The columns of `_reason_fields`: base, reasons and shares, and the sum of all other shares."""
    from stages.lib.explanation import explain  # imported here as the model is

    explanation = explain(model, features)
    largest = [(names, np.round(shares, SHARE_DECIMALS)) for names, shares in explanation.largest(count)]
    base = np.full(len(features), round(explanation.base, SHARE_DECIMALS))
    # The rest makes up for the rounding of the others; adding 0 turns -0.0 into 0.0.
    named = base + sum(shares for _, shares in largest)
    rest = np.round(explanation.base + explanation.shares.sum(axis=1) - named, SHARE_DECIMALS) + 0.0
    reasons = [pa.array(values, kind) for pair in largest for values, kind in zip(pair, SHARE_TYPES, strict=True)]
    return [pa.array(base), *reasons, pa.array(rest)]


if __name__ == "__main__":
    run(main)
