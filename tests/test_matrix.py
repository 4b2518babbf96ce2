"""Matrices in files: read as the arrays they store, and shuffled with a chunk in memory at a time."""

from pathlib import Path

import numpy as np
import pytest

from stages.lib.dataset import matrix
from stages.lib.dataset.matrix import FileMatrix, concatenate, shuffled_chunks


def shuffle(count: int, rows_per_chunk: int, seed: int = 0) -> np.ndarray:
    """The row numbers in the order of `shuffled_chunks`."""
    numbers = np.arange(count, dtype=np.float32)[:, np.newaxis]
    chunks = shuffled_chunks([numbers], rows_per_chunk, np.random.default_rng([5, seed]))
    return np.concatenate([arrays[0][order, 0] for arrays, order in chunks]).astype(int)


@pytest.mark.parametrize("count", [1, 99, 4000, 10_000, 10_001, 10_257])
def test_every_row_comes_once_in_an_order_that_depends_on_the_seed(count: int) -> None:
    first, again, other = shuffle(count, 4000), shuffle(count, 4000), shuffle(count, 4000, seed=1)
    np.testing.assert_array_equal(np.sort(first), np.arange(count))
    np.testing.assert_array_equal(first, again)
    assert count == 1 or not np.array_equal(first, other)


def test_rows_that_are_one_chunk_come_in_the_order_of_a_permutation() -> None:
    np.testing.assert_array_equal(shuffle(4000, 4000), np.random.default_rng([5, 0]).permutation(4000))


def test_a_chunk_has_rows_from_everywhere_and_separates_neighbors() -> None:
    shuffled = shuffle(200_000, 20_000)
    for chunk in shuffled.reshape(10, -1):
        assert np.bincount(chunk // 50_000, minlength=4).min() > 2_000  # of each quarter
        assert abs(np.corrcoef(chunk[1:], chunk[:-1])[0, 1]) < 0.05
    # With another seed, other blocks are together in a chunk.
    in_both = {*shuffle(200_000, 20_000, seed=1)[:20_000]} & {*shuffled[:20_000]}
    assert len(in_both) < 5_000


def test_a_file_is_read_as_the_array_it_stores(tmp_path: Path) -> None:
    array = np.random.default_rng(0).standard_normal((999, 3), np.float32)
    np.save(tmp_path / "a.npy", array)
    file_matrix = FileMatrix.open(tmp_path / "a.npy")
    assert file_matrix.shape == array.shape and len(file_matrix) == 999
    for part in (slice(None), slice(5, 5), slice(7, 300), slice(990, 2000), slice(5000, 6000)):
        np.testing.assert_array_equal(file_matrix[part], array[part], strict=True)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2)), "expected float32 in row-major order, got float64"),
        (np.zeros((3, 2), np.float32, order="F"), "got float32, column-major: True"),
    ],
)
def test_a_file_of_another_type_or_order_is_an_error(array: np.ndarray, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=message):
        FileMatrix.open(tmp_path / "a.npy")


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((300, 2), np.float32))
    with (tmp_path / "a.npy").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ValueError, match="the file ends before row 300"):
        FileMatrix.open(tmp_path / "a.npy")[200:]


@pytest.mark.parametrize(("chunk_bytes", "expected_type"), [(2**29, np.ndarray), (50, FileMatrix)])
def test_chunks_are_stacked_in_memory_or_in_an_unnamed_file(
    chunk_bytes: int, expected_type: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    chunks = [np.arange(count * 2.0).reshape(count, 2) for count in (3, 0, 5)]
    stacked = concatenate((8, 2), iter(chunks))
    assert isinstance(stacked, expected_type)
    np.testing.assert_array_equal(stacked[:], np.concatenate(chunks).astype(np.float32), strict=True)
    assert not [*tmp_path.iterdir()]
