"""A table that stays in its file gives what it gives in memory."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers import as_sessions, sessions_frame, standard

from stages.lib.common.errors import InputError
from stages.lib.common.params import Encoding
from stages.lib.dataset import matrix as chunks
from stages.lib.dataset import parquet as stored
from stages.lib.dataset import sessions as table
from stages.lib.dataset.splits import cv_folds, train_test_split
from stages.lib.modeling.encoder import fit_encoder
from stages.lib.profiling.leakage import count_duplicates, univariate_auc
from stages.lib.profiling.summary import summarize

ROWS = np.array([0, 3, 4, 38, 39, 40, 41, 99, 118])
ENCODINGS = [standard(0.05, bins=3), standard(), standard(numbers="quantile", bins=2)]


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[table.Sessions]:
    """The same sessions in memory and in a file, of row groups of 40 rows, both encoded 32 rows at a time."""
    monkeypatch.setattr(table, "ROW_GROUP", 40)
    monkeypatch.setattr(stored, "PART", 32)
    frame = sessions_frame(120).assign(visitor=np.arange(120) % 50, id=[f"s{row}" for row in range(120)])
    frame["seconds.raw"] = frame.seconds  # a dot in a name, of which another is the beginning
    path = tmp_path / "sessions.parquet"
    table.write_sessions(path, as_sessions(frame, buys="target", visitor="visitor", id="key"))
    in_memory = table.read_sessions(path)
    monkeypatch.setattr(table, "IN_MEMORY", 0)
    in_file = table.read_sessions(path)
    assert isinstance(in_memory.table, pa.Table) and isinstance(in_file.table, stored.ParquetTable)
    return [in_memory, in_file]


@pytest.mark.parametrize("rows", [np.arange(120), ROWS, ROWS[:0]], ids=["all", "some", "none"])
def test_rows_and_columns_are_those_of_the_table(both, rows) -> None:
    expected, found = (sessions.take(rows) for sessions in both)
    assert len(found) == len(expected) == len(rows)
    assert found.to_arrow().equals(expected.to_arrow(), check_metadata=True)
    assert found.keys.equals(expected.keys)
    pd.testing.assert_series_equal(found.column("target"), expected.column("target"))
    assert [*found.features] == [*expected.features] and len(found.features) == len(rows)
    twice, again = (sessions.take(np.arange(len(rows))[::2]) for sessions in (expected, found))
    assert again.to_arrow().equals(twice.to_arrow())


def test_a_table_is_written_as_the_same_bytes(both, tmp_path: Path) -> None:
    for number, sessions in enumerate(both):
        table.write_sessions(tmp_path / f"{number}.parquet", sessions.take(ROWS).select("feature"))
    assert (tmp_path / "0.parquet").read_bytes() == (tmp_path / "1.parquet").read_bytes()


def test_what_is_said_of_the_data_and_how_it_is_divided_is_the_same(both) -> None:
    expected, found = both
    assert summarize(found) == summarize(expected)
    for by in ("target", "visitor"):
        for one, other in zip(train_test_split(found, by, 0.2, 1), train_test_split(expected, by, 0.2, 1), strict=True):
            np.testing.assert_array_equal(one, other)
        assert str(cv_folds(found, by, 3, 1)) == str(cv_folds(expected, by, 3, 1))
    targets = expected.column("target").to_numpy()
    pd.testing.assert_series_equal(univariate_auc(found.features, targets), univariate_auc(expected.features, targets))
    pairs = [(one.frame("feature"), one.take(ROWS).frame("feature")) for one in both]
    assert count_duplicates(*pairs[0]) == count_duplicates(*pairs[1]) >= len(ROWS)


@pytest.mark.parametrize("settings", ENCODINGS, ids=["parts", "study", "quantile"])
def test_the_encoder_and_the_inputs_are_the_same_to_the_bit(
    both, settings: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, found = (fit_encoder(sessions.features, settings) for sessions in both)
    assert found == expected
    inputs = expected.inputs(both[0].features)
    np.testing.assert_array_equal(inputs, expected.transform(both[0].to_arrow().to_pandas()))
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 100)
    from_file = found.inputs(both[1].take(ROWS).features)
    assert isinstance(from_file, chunks.FileMatrix)
    np.testing.assert_array_equal(from_file[:], inputs[ROWS])


@pytest.mark.parametrize("settings", ENCODINGS, ids=["parts", "study", "quantile"])
def test_an_encoder_fitted_by_parts_is_that_of_all_rows_at_once(
    both, settings: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_parts = fit_encoder(both[1].features, settings)
    monkeypatch.setattr(stored, "PART", 1000)
    at_once = fit_encoder(both[0].features, settings)
    assert (by_parts.numbers, by_parts.categories) == (at_once.numbers, at_once.categories)
    np.testing.assert_allclose(by_parts.mean, at_once.mean, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(by_parts.scale, at_once.scale, rtol=1e-12)


def test_a_file_that_is_broken_in_its_middle_is_an_error_of_one_line(both) -> None:
    path: Path = both[1].table.path
    content = bytearray(path.read_bytes())
    content[200:3000] = bytes(2800)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"sessions\.parquet: not a whole parquet file: ") as refused:
        both[1].to_arrow()
    assert len(str(refused.value).splitlines()) == 1
