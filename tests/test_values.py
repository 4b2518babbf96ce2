"""A value means the same whatever type it is stored in: prepared from one and scored from another, equal to the bit."""

import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from helpers import ROOT, PrepareTable, WriteParams, standard_encoding
from session_frames import frame, repeated
from value_forms import (
    arrow_bytes,
    code_forms,
    day_forms,
    duration_forms,
    flag_forms,
    gap_forms,
    moment_forms,
    number_forms,
    time_forms,
)

from stages import prepare
from stages.lib.common.errors import InputError
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import read_sessions
from stages.lib.modeling.encoder import Encoder, fit_encoder
from stages.lib.preparation.reader import open_source
from stages.lib.preparation.scoring import sessions_to_score

CATEGORY: dict[str, Any] = {"prepare.categories": ["x"]}
DECLARED_DATE: dict[str, Any] = {"prepare.dates": ["x"]}
# What is stored, and the params under which all forms of it mean the same
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "codes": (code_forms, CATEGORY),
    "codes as numbers": (code_forms, {}),
    "codes with gaps": (gap_forms, CATEGORY),
    "numbers with gaps": (gap_forms, {}),
    "flags": (flag_forms, {}),
    "flags as categories": (flag_forms, CATEGORY),
    "flags as numbers": (flag_forms, {"prepare.numeric": ["x"]}),
    "numbers": (number_forms, {}),
    "moments": (moment_forms, DECLARED_DATE),
    "days": (day_forms, {}),
    "days as categories": (day_forms, CATEGORY),
    "durations": (duration_forms, {}),
    "times of day": (time_forms, {}),
    "times as categories": (time_forms, CATEGORY),
}


def file_of(name: str, content: bytes) -> Path:
    ending = ".parquet" if content.startswith(b"PAR1") else ".csv"
    path = Path(name.replace(" ", "_").replace("[", "_").replace("]", "") + ending)
    path.write_bytes(content)
    return path


def scored_inputs(path: Path, schema: Schema, encoder: Encoder) -> bytes:
    """What the network would get."""
    with open_source(path, schema, Path("scores.csv"), left_out=LeftOut()) as (rows, engine):
        sessions, _ = sessions_to_score(rows, schema, engine, LeftOut())
        return encoder.transform(sessions.to_pandas()).tobytes()


def check_all_pairs(paths: list[Path], write_params: WriteParams, settings: dict[str, Any]) -> None:
    """Train on each of the files, and score it from each of the others."""
    na_values = ["", "NA", "NaN", "NULL", "-1"]
    write_params(**{
        "prepare.source_type": "sessions", "prepare.target": "buys", "prepare.keys.session": "id",
        "prepare.na_values": na_values, **settings,
    })  # fmt: skip
    trained = []
    for path in paths:
        prepare.main(path, Path("prepared.parquet"))
        sessions = read_sessions(Path("prepared.parquet"))
        schema = Schema.from_arrow(sessions.table.schema)
        encoder = fit_encoder(sessions.features, standard_encoding())
        features = sessions.select("key", "feature").to_arrow().to_pandas()
        trained.append((path, schema, encoder, features))
    first_path, _, first_encoder, first_features = trained[0]
    expected = first_encoder.transform(first_features).tobytes()
    for path, schema, encoder, features in trained:
        assert encoder == first_encoder, f"{path} against {first_path}"
        pd.testing.assert_frame_equal(features, first_features, check_exact=True, obj=str(path))
        assert schema.features == trained[0][1].features
    # All encoders being equal, each pair of types is tried with one of them.
    for path in paths:
        assert scored_inputs(path, trained[0][1], first_encoder) == expected, f"{path} against {first_path}"


@pytest.mark.slow
@pytest.mark.parametrize(("forms", "settings"), KINDS.values(), ids=KINDS)
def test_what_is_trained_on_one_type_is_scored_from_any_other(
    write_params: WriteParams, forms: Any, settings: dict[str, Any]
) -> None:
    check_all_pairs([file_of(name, content) for name, content in forms().items()], write_params, settings)


SPARK_KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "codes": (code_forms, CATEGORY),
    "gaps": (gap_forms, CATEGORY),
    "flags": (flag_forms, CATEGORY),
    "numbers": (number_forms, {}),
    "moments": (moment_forms, DECLARED_DATE),
    "days": (day_forms, {}),
}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java, which is not here; .ci/run installs it")
def test_what_spark_writes_means_the_same(write_params: WriteParams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    # In a process of its own, which takes its JVM with it
    writer = Path(__file__).with_name("spark_writer.py")
    subprocess.run([sys.executable, writer, "spark"], check=True, capture_output=True)
    for kind, (forms, settings) in SPARK_KINDS.items():
        by_arrow = next(iter(forms().items()))
        paths = sorted(Path("spark", kind).iterdir())
        assert len(paths) >= 4
        check_all_pairs([file_of(*by_arrow), *paths], write_params, settings)


def test_codes_that_look_like_numbers_stay_texts(prepare: PrepareTable) -> None:
    codes = repeated("1_10", "11_0", "007", "7", "1e3", "1.10", "1.1")
    assert prepare(frame(x=codes), **CATEGORY).code == 0
    assert read_sessions(Path("prepared.parquet")).table["x"].to_pylist() == codes


def test_a_number_with_underscores_is_none(prepare: PrepareTable) -> None:
    error = prepare(frame(x=repeated("110", "1_10", *["5"] * 30))).error
    assert "1 of 40 values are not numbers, such as '1_10'" in error or "2 of 40" in error


def test_decimals_that_duckdb_misreads_are_refused(prepare: PrepareTable) -> None:
    wide = arrow_bytes([Decimal(3), Decimal(4)], pa.decimal256(50, 2))
    error = prepare(wide, "a.parquet").error
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
