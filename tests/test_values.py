"""A value means the same whatever type it is stored in: prepared from one and scored from another, equal to the bit."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import mode

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import spark_writer
from helpers import ROOT, PrepareTable, WriteParams, standard_encoding
from session_frames import frame, repeated
from value_forms import (
    Forms,
    FormsTable,
    code_forms,
    day_forms,
    duration_forms,
    flag_forms,
    gap_forms,
    moment_forms,
    number_forms,
    time_forms,
    write_arrow,
    write_tables,
)

from stages import prepare
from stages.lib.common.errors import InputError
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import read_sessions
from stages.lib.modeling.encoder import Encoder, fit_encoder
from stages.lib.preparation.reader import open_source
from stages.lib.preparation.scoring import sessions_to_score

# What is stored, and the param under which all forms of it mean the same
KINDS: dict[str, tuple[Callable[[], Forms], str | None]] = {
    "codes": (code_forms, "categories"),
    "codes as numbers": (code_forms, None),
    "codes with gaps": (gap_forms, "categories"),
    "numbers with gaps": (gap_forms, None),
    "flags": (flag_forms, None),
    "flags as categories": (flag_forms, "categories"),
    "flags as numbers": (flag_forms, "numeric"),
    "numbers": (number_forms, None),
    "moments": (moment_forms, "dates"),
    "days": (day_forms, None),
    "days as categories": (day_forms, "categories"),
    "durations": (duration_forms, None),
    "times of day": (time_forms, None),
    "times as categories": (time_forms, "categories"),
}


@dataclass(frozen=True)
class Trained:
    """What is learned from a table; its columns and what the network gets of them, as texts, equal if all bits are."""

    schema: Schema
    encoder: Encoder
    columns: dict[str, str]
    inputs: dict[str, str]


def train(path: Path) -> Trained:
    prepare.main(path, Path("prepared.parquet"))
    sessions = read_sessions(Path("prepared.parquet"))
    table, features = sessions.to_arrow(), sessions.select("feature").to_arrow().to_pandas()
    columns = {name: f"{table[name].type} {table[name].to_pylist()}" for name in table.column_names}
    encoder = fit_encoder(features, standard_encoding())
    return Trained(Schema.from_arrow(table.schema), encoder, columns, inputs_by_column(encoder, features))


def inputs_by_column(encoder: Encoder, features: pd.DataFrame) -> dict[str, str]:
    inputs, columns = encoder.transform(features), np.array(encoder.input_columns)
    return {name: str(inputs[:, columns == name].tolist()) for name in encoder.input_columns}


def scored_inputs(path: Path, schema: Schema, encoder: Encoder) -> dict[str, str]:
    with open_source(path, schema, Path("scores.csv"), left_out=LeftOut()) as (rows, engine):
        sessions, _ = sessions_to_score(rows, schema, engine, LeftOut())
        return inputs_by_column(encoder, sessions.to_pandas())


@contextmanager
def naming_forms(table: FormsTable) -> Iterator[None]:
    """An error of the block says which forms the table's columns have."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{table.path}: {table.forms}")
        raise


def check_same(tables: list[FormsTable], write_params: WriteParams, declared: str | None) -> None:
    """Train on each of the tables, and score it under the schema of another."""
    write_params(**{
        "prepare.source_type": "sessions", "prepare.target": "buys", "prepare.keys.session": "id",
        "prepare.na_values": ["", "NA", "NaN", "NULL", "-1"],
        **({f"prepare.{declared}": [*tables[0].forms]} if declared else {}),
    })  # fmt: skip
    trained = []
    for table in tables:
        with naming_forms(table):
            trained.append(train(table.path))
    first = trained[0]
    usual = mode(first.columns.get(column, "left out") for column in tables[0].forms)
    columns = first.columns | dict.fromkeys(tables[0].forms, usual)
    for table, model in zip(tables, trained, strict=True):
        assert not (differing := table.differing(model.columns, columns)), differing
        assert (model.schema, model.encoder) == (first.schema, first.encoder), table.path
    for table, other in zip(tables, [*trained[1:], first], strict=True):
        with naming_forms(table):
            inputs = scored_inputs(table.path, other.schema, other.encoder)
        assert not (differing := table.differing(inputs, first.inputs)), differing


@pytest.mark.slow
@pytest.mark.parametrize(("forms", "declared"), KINDS.values(), ids=KINDS)
def test_what_is_trained_on_one_type_is_scored_from_any_other(
    write_params: WriteParams, forms: Callable[[], Forms], declared: str | None
) -> None:
    check_same(write_tables(forms()), write_params, declared)


SPARK_KINDS: dict[str, tuple[Callable[[], Forms], str | None]] = {
    "codes": (code_forms, "categories"),
    "gaps": (gap_forms, "categories"),
    "flags": (flag_forms, "categories"),
    "numbers": (number_forms, None),
    "moments": (moment_forms, "dates"),
    "days": (day_forms, None),
}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java, which is not here; .ci/run installs it")
def test_what_spark_writes_means_the_same(write_params: WriteParams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    # In a process of its own, which takes its JVM with it
    subprocess.run([sys.executable, spark_writer.__file__, "spark"], check=True, capture_output=True)
    for kind, (forms, declared) in SPARK_KINDS.items():
        columns = {f"x{number}": f"Spark's {type_}" for number, type_ in enumerate(spark_writer.TYPES[kind][0])}
        by_spark = [FormsTable(Path("spark", f"{kind}.{ending}"), columns) for ending in ("parquet", "csv")]
        form, column = next(iter(forms().items()))
        by_arrow = FormsTable(Path("arrow.parquet"), dict.fromkeys(columns, form))
        write_arrow(dict.fromkeys(columns, column), by_arrow.path)
        check_same([by_arrow, *by_spark], write_params, declared)


def test_codes_that_look_like_numbers_stay_texts(prepare: PrepareTable) -> None:
    codes = repeated("1_10", "11_0", "007", "7", "1e3", "1.10", "1.1")
    assert prepare(frame(x=codes), "codes.csv", **{"prepare.categories": ["x"]}).code == 0
    assert read_sessions(Path("prepared.parquet")).table["x"].to_pylist() == codes


def test_a_number_with_underscores_is_none(prepare: PrepareTable) -> None:
    error = prepare(frame(x=repeated("110", "1_10", *["5"] * 30))).error
    assert "1 of 40 values are not numbers, such as '1_10'" in error or "2 of 40" in error


def test_decimals_that_duckdb_misreads_are_refused(prepare: PrepareTable) -> None:
    wide = pd.Series(repeated(Decimal(3), Decimal(4)), dtype=pd.ArrowDtype(pa.decimal256(50, 2)))
    error = prepare(frame(x=wide), "a.parquet").error
    assert error.startswith(
        "prepare: a.parquet: column 'x': decimals of more than 38 digits are not supported; write it"
    )


def test_a_model_reads_new_rows_in_the_forms_it_was_trained_on(write_params: WriteParams) -> None:
    write_params(**{
        "prepare.source_type": "sessions", "prepare.target": "buys", "prepare.decimal": ",", "prepare.units": ["%"],
    })  # fmt: skip
    comma = frame(x=repeated("25,5%", "3,0%", "7%"))
    comma.to_csv("comma.csv", sep=";", index=False)
    frame(x=repeated(25.5, 3.0, 7.0)).to_parquet("typed.parquet")
    prepare.main(Path("comma.csv"), Path("prepared.parquet"))
    sessions = read_sessions(Path("prepared.parquet"))
    schema, encoder = Schema.from_arrow(sessions.table.schema), fit_encoder(sessions.features, standard_encoding())
    assert sessions.table["x"].to_pylist()[:3] == [25.5, 3.0, 7.0]
    assert scored_inputs(Path("comma.csv"), schema, encoder) == scored_inputs(Path("typed.parquet"), schema, encoder)
    comma.assign(x="25.5").to_csv("point.csv", index=False)
    with pytest.raises(InputError, match=r"point\.csv: column 'x': 40 of 40 values are not numbers, such as '25.5'"):
        scored_inputs(Path("point.csv"), schema, encoder)


def test_unreadable_dates_of_a_declared_column_are_counted_when_scored(write_params: WriteParams) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys", "prepare.dates": ["x"]})
    frame(x=repeated("2024-05-01", "2024-05-02")).to_csv("old.csv", index=False)
    frame(x=repeated("2024-05-01", "soon")).to_csv("new.csv", index=False)
    prepare.main(Path("old.csv"), Path("prepared.parquet"))
    schema, left_out = Schema.from_arrow(read_sessions(Path("prepared.parquet")).table.schema), LeftOut()
    with open_source(Path("new.csv"), schema, Path("scores.csv"), left_out=left_out) as (rows, engine):
        sessions_to_score(rows, schema, engine, left_out)
    assert [str(finding) for finding in left_out.findings] == [
        "column 'x': values that are not dates are missing: 20, such as 'soon'"
    ]


CASES = ROOT.parent / "shared" / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the project")
@pytest.mark.parametrize(
    "files",
    [
        ("codes.csv", "codes_int.parquet", "codes_float.parquet"),
        ("flags_title.csv", "flags_upper.csv", "flags.parquet"),
    ],
    ids=str,
)
def test_cases_of_one_table_give_the_same_bytes(write_params: WriteParams, files: tuple[str, ...]) -> None:
    write_params(**{
        "prepare.source_type": "sessions", "prepare.target": "buys", "prepare.keys.session": "id",
        "prepare.categories": ["region"] if "codes" in files[0] else [],
    })  # fmt: skip
    for file in files:
        prepare.main(CASES / file, Path(f"{file}.prepared"))
    assert len({Path(f"{file}.prepared").read_bytes() for file in files}) == 1
