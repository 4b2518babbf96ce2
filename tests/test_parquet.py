"""Sessions that are read from their file on demand give the same as sessions in memory."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import as_sessions, sessions_frame, standard_encoding

from stages.lib.common.errors import InputError
from stages.lib.common.model_params import Encoding
from stages.lib.dataset import matrix, parquet
from stages.lib.dataset import sessions as sessions_module
from stages.lib.dataset.matrix import FileMatrix
from stages.lib.dataset.parquet import ParquetTable
from stages.lib.dataset.sessions import Sessions, read_sessions, write_sessions
from stages.lib.dataset.splits import cv_folds, train_test_split
from stages.lib.modeling.encoder import fit_encoder
from stages.lib.profiling.leakage import count_duplicates, univariate_auc
from stages.lib.profiling.summary import summarize

ROWS = np.array([0, 3, 4, 38, 39, 40, 41, 99, 118])
all_encodings = pytest.mark.parametrize(
    "encoding",
    [standard_encoding(0.05, bins=3), standard_encoding(), standard_encoding(scaling="quantile", bins=2)],
    ids=["bins", "study", "quantile"],
)

Pair = tuple[Sessions, Sessions]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.parquet"


@pytest.fixture
def pair(path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """The same sessions in memory and in a file with row groups of 40 rows; chunks have 32 rows."""
    monkeypatch.setattr(sessions_module, "ROW_GROUP", 40)
    monkeypatch.setattr(parquet, "CHUNK_ROWS", 32)
    frame = sessions_frame(120).assign(visitor=np.arange(120) % 50, id=[f"s{row}" for row in range(120)])
    frame["seconds.raw"] = frame["seconds"]  # a name with a dot, that begins like another name
    write_sessions(path, as_sessions(frame, buys="target", visitor="visitor", id="key"))
    in_memory = read_sessions(path)
    monkeypatch.setattr(sessions_module, "IN_MEMORY", 0)
    in_file = read_sessions(path)
    assert isinstance(in_memory.table, pa.Table) and isinstance(in_file.table, ParquetTable)
    return in_memory, in_file


def test_a_column_in_memory_is_read_alone_and_with_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": range(10)}), path, row_group_size=4)
    table = ParquetTable([path], pa.schema([("n", pa.int64())]), np.array([1, 2, 5, 9]))
    table = table.append_column(pa.field("x", pa.float64()), pa.array([0.1, 0.2, 0.5, 0.9]))
    assert table["x"].to_pylist() == [0.1, 0.2, 0.5, 0.9]
    assert table.take(pa.array([1, 3])).read().to_pydict() == {"n": [2, 9], "x": [0.2, 0.9]}


@pytest.mark.parametrize("idx", [np.arange(120), ROWS, ROWS[:0]], ids=["all", "some", "none"])
def test_rows_and_columns_are_the_same(pair: Pair, idx: np.ndarray) -> None:
    expected, actual = (sessions.take(idx) for sessions in pair)
    assert len(actual) == len(expected) == len(idx)
    assert actual.to_arrow().equals(expected.to_arrow(), check_metadata=True)
    assert actual.keys.equals(expected.keys)
    pd.testing.assert_series_equal(actual.column("target"), expected.column("target"))
    assert [*actual.features] == [*expected.features] and len(actual.features) == len(idx)
    every_other = np.arange(len(idx))[::2]
    assert actual.take(every_other).to_arrow().equals(expected.take(every_other).to_arrow())


def test_they_are_written_as_the_same_bytes(pair: Pair, tmp_path: Path) -> None:
    for number, sessions in enumerate(pair):
        write_sessions(tmp_path / f"{number}.parquet", sessions.take(ROWS).select("feature"))
    assert (tmp_path / "0.parquet").read_bytes() == (tmp_path / "1.parquet").read_bytes()


def test_summary_splits_and_checks_for_leakage_are_the_same(pair: Pair) -> None:
    expected, actual = pair
    assert summarize(actual) == summarize(expected)
    for strategy in ("stratified", "grouped"):
        split, expected_split = (train_test_split(sessions, strategy, 0.2, 1) for sessions in (actual, expected))
        for idx, expected_idx in zip(split, expected_split, strict=True):
            np.testing.assert_array_equal(idx, expected_idx)
        assert str(cv_folds(actual, strategy, 3, 1)) == str(cv_folds(expected, strategy, 3, 1))
    targets = expected.column("target").to_numpy()
    pd.testing.assert_series_equal(univariate_auc(actual.features, targets), univariate_auc(expected.features, targets))
    duplicates = [count_duplicates(sessions.features, sessions.take(ROWS).features) for sessions in pair]
    assert duplicates[0] == duplicates[1] >= len(ROWS)


@all_encodings
def test_encoder_and_inputs_are_the_same_to_the_bit(
    pair: Pair, encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory, in_file = pair
    encoder = fit_encoder(in_memory.features, encoding)
    assert fit_encoder(in_file.features, encoding) == encoder
    inputs = encoder.inputs(in_memory.features)[:]
    np.testing.assert_array_equal(inputs, encoder.transform(in_memory.to_arrow().to_pandas()))
    monkeypatch.setattr(matrix, "CHUNK_BYTES", 100)
    from_file = encoder.inputs(in_file.take(ROWS).features)
    assert isinstance(from_file, FileMatrix)
    np.testing.assert_array_equal(from_file[:], inputs[ROWS])


@all_encodings
def test_an_encoder_fitted_in_chunks_is_that_of_all_rows_at_once(
    pair: Pair, encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory, in_file = pair
    in_chunks = fit_encoder(in_file.features, encoding)
    monkeypatch.setattr(parquet, "CHUNK_ROWS", 1000)
    at_once = fit_encoder(in_memory.features, encoding)
    assert (in_chunks.numeric, in_chunks.categorical) == (at_once.numeric, at_once.categorical)
    np.testing.assert_allclose(in_chunks.mean, at_once.mean, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(in_chunks.scale, at_once.scale, rtol=1e-12)


def test_a_file_that_is_broken_in_the_middle_is_an_error_of_one_line(pair: Pair, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200:3000] = bytes(2800)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"sessions\.parquet: not a complete parquet file: ") as raised:
        pair[1].to_arrow()
    assert len(str(raised.value).splitlines()) == 1
