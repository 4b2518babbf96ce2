"""Matrices whose rows need not fit in memory: kept in a file, read in random order, one chunk at a time."""

import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Protocol

import numpy as np

CHUNK_BYTES = 2**29  # of rows in memory at a time
BLOCK_ROWS = 256  # consecutive rows that are read together


class Matrix(Protocol):
    """Rows of numbers: an array, or a FileMatrix."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


class FileMatrix:
    """The float32 matrix in a .npy file, of which only the requested rows are read.

    They are read, not memory-mapped: mapped pages count as the process' memory even when nobody needs them.
    """

    def __init__(self, file: BufferedIOBase) -> None:
        self.file = file
        file.seek(0)
        np.lib.format.read_magic(file)
        self.shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if is_fortran or dtype != np.float32:
            raise ValueError(f"expected float32 in row-major order, got {dtype}, column-major: {is_fortran}")
        self.start = file.tell()

    @classmethod
    def open(cls, path: Path) -> "FileMatrix":
        return cls(path.open("rb"))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        values = np.empty((max(stop - start, 0), *self.shape[1:]), np.float32)
        self.file.seek(self.start + start * values[:1].nbytes)
        if self.file.readinto(values.data) != values.nbytes:
            raise ValueError(f"the file ends before row {stop}")
        return values

    def __del__(self) -> None:
        self.file.close()


def write_npy(file: IO[bytes], shape: tuple[int, ...], chunks: Iterable[np.ndarray]) -> None:
    """Write chunks of rows, as they arrive, as one .npy file of float32."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for chunk in chunks:
        file.write(np.ascontiguousarray(chunk, np.float32).data)


def iter_matrix(matrix: Matrix) -> Iterator[np.ndarray]:
    """The rows in order, a chunk at a time."""
    rows = max(1, chunk_rows(matrix.shape, 1))
    return (matrix[start : start + rows] for start in range(0, len(matrix), rows))


def concatenate(shape: tuple[int, ...], chunks: Iterable[np.ndarray]) -> Matrix:
    """The chunks stacked: in memory, or in an unnamed temporary file if they are larger than CHUNK_BYTES.

    The file is in TMPDIR or, since that is often a file system in memory, in the working folder.
    """
    if fits_in_memory(shape):
        values, start = np.empty(shape, np.float32), 0
        for chunk in chunks:
            values[start : start + len(chunk)] = chunk
            start += len(chunk)
        return values
    file = tempfile.TemporaryFile(dir=os.environ.get("TMPDIR", "."))  # noqa: SIM115  open as long as it is read
    write_npy(file, shape, chunks)
    return FileMatrix(file)


def fits_in_memory(shape: tuple[int, ...]) -> bool:
    """Whether a float32 matrix of this shape takes at most CHUNK_BYTES."""
    return 4 * math.prod(shape) <= CHUNK_BYTES


def chunk_rows(shape: tuple[int, ...], multiple: int) -> int:
    """How many rows of a matrix of this shape a chunk has: all if they fit, else a multiple of `multiple`."""
    if fits_in_memory(shape):
        return shape[0]
    rows = CHUNK_BYTES // (4 * math.prod(shape[1:]))
    return max(1, rows // multiple) * multiple


def shuffled_chunks(
    matrices: Sequence[Matrix], rows_per_chunk: int, rng: np.random.Generator
) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    """Go through the rows once, in random order.

    If all rows are one chunk, they come in the order of `rng.permutation`. Otherwise blocks of BLOCK_ROWS consecutive
    rows are permuted, the next blocks are read into a chunk, and the chunk's rows are permuted: the two levels of
    CorgiPile (Xu et al. 2022, "In-Database Machine Learning with CorgiPile: Stochastic Gradient Descent without Full
    Data Shuffle"), which converges about as well as a full shuffle if a chunk has many blocks. Here it has thousands.

    Args:
        matrices: of shape (rows, …), with the same number of rows.
        rows_per_chunk: rows in memory at a time.
        rng: the source of both permutations.

    Yields:
        For each chunk a float32 array per matrix, and the order in which to take their rows. The arrays are reused:
        they are valid until the next chunk.
    """
    rows = len(matrices[0])
    if rows <= rows_per_chunk:
        yield [matrix[:] for matrix in matrices], rng.permutation(rows)
        return
    blocks = rng.permutation(math.ceil(rows / BLOCK_ROWS))
    order = (blocks[:, np.newaxis] * BLOCK_ROWS + np.arange(BLOCK_ROWS)).ravel()
    order = order[order < rows]  # the last block may be shorter
    buffers = [np.empty((rows_per_chunk, *matrix.shape[1:]), np.float32) for matrix in matrices]
    for start in range(0, rows, rows_per_chunk):
        idx = np.sort(order[start : start + rows_per_chunk])
        for matrix, buffer in zip(matrices, buffers, strict=True):
            _read_rows(matrix, idx, buffer)
        yield [buffer[: len(idx)] for buffer in buffers], rng.permutation(len(idx))


def _read_rows(matrix: Matrix, idx: np.ndarray, into: np.ndarray) -> None:
    """Read the rows at these positions, which ascend, run of consecutive rows by run."""
    starts = np.flatnonzero(np.diff(idx, prepend=-2) != 1)
    for start, stop in zip(starts, [*starts[1:], len(idx)], strict=True):
        into[start:stop] = matrix[idx[start] : idx[stop - 1] + 1]
