"""Rows that need not fit in memory: a matrix in a file, and its rows in random order, a chunk of them at a time."""

import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Protocol

import numpy as np

CHUNK_BYTES = 2**29  # of rows in memory at a time
BLOCK = 256  # consecutive rows, that come into a chunk together


class Matrix(Protocol):
    """Rows of numbers: an array, or one in a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


class OnDisk:
    """The float32 matrix of a .npy file, of which only those rows are in memory that were asked for.

    They are read, not mapped: the pages of a mapped file count as the process' own memory while nobody needs them.
    """

    def __init__(self, file: BufferedIOBase) -> None:
        self.file = file
        file.seek(0)
        np.lib.format.read_magic(file)
        self.shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
        if by_column or dtype != np.float32:
            raise ValueError(f"expected rows of float32, got {dtype}{', by column' * by_column}")
        self.start = file.tell()

    @classmethod
    def open(cls, path: Path) -> "OnDisk":
        return cls(path.open("rb"))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        found = np.empty((max(stop - start, 0), *self.shape[1:]), np.float32)
        self.file.seek(self.start + start * found[:1].nbytes)
        if self.file.readinto(found.data) != found.nbytes:
            raise ValueError(f"the file ends before its row {stop}")
        return found

    def __del__(self) -> None:
        self.file.close()


def write(file: IO[bytes], shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> None:
    """A .npy file of float32, of rows as they come."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for part in parts:
        file.write(np.ascontiguousarray(part, np.float32).data)


def pieces(matrix: Matrix) -> Iterator[np.ndarray]:
    """The rows in their order, a chunk of them at a time."""
    at_once = max(1, rows_at_once(matrix.shape, 1))
    return (matrix[start : start + at_once] for start in range(0, len(matrix), at_once))


def gathered(shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> Matrix:
    """The matrix of these parts, one below the other: in memory, or in a nameless file if it is more than a chunk.

    The file lies in TMPDIR or, as that is often a part of the memory, in the working folder; it goes with the process.
    """
    if fits(shape):
        found, start = np.empty(shape, np.float32), 0
        for part in parts:
            found[start : start + len(part)] = part
            start += len(part)
        return found
    file = tempfile.TemporaryFile(dir=os.environ.get("TMPDIR", "."))  # noqa: SIM115  open as long as it is read
    write(file, shape, parts)
    return OnDisk(file)


def fits(shape: tuple[int, ...]) -> bool:
    """Whether a float32 matrix of this shape is at most a chunk."""
    return 4 * math.prod(shape) <= CHUNK_BYTES


def rows_at_once(shape: tuple[int, ...], multiple: int) -> int:
    """All rows of a matrix of this shape if they are at most a chunk, or else a multiple of so many."""
    return shape[0] if fits(shape) else max(1, CHUNK_BYTES // (4 * math.prod(shape[1:])) // multiple) * multiple


def shuffled(
    matrices: Sequence[Matrix], at_once: int, random: np.random.Generator
) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    """The rows in random order, `at_once` at a time: as arrays, and the order in which to take the rows of these.

    Every row comes once. If they are no more than `at_once` they all come in the order of `random.permutation`. Else
    blocks of BLOCK consecutive rows are permuted, the next of them are read, and their rows are permuted: the two
    levels of CorgiPile (Xu et al. 2022, "In-Database Machine Learning with CorgiPile: Stochastic Gradient Descent
    without Full Data Shuffle"), which is shown there to converge about as from a full permutation. The more so the
    more blocks a chunk has: here thousands, from all over the file, in other company in each epoch.

    Arrays hold float32, and only until the next are asked for, which take their place.
    """
    rows = len(matrices[0])
    if rows <= at_once:
        yield [matrix[:] for matrix in matrices], random.permutation(rows)
        return
    blocks = random.permutation(-(-rows // BLOCK))
    order = (blocks[:, np.newaxis] * BLOCK + np.arange(BLOCK)).ravel()
    order = order[order < rows]  # the last block may be a smaller one
    arrays = [np.empty((at_once, *matrix.shape[1:]), np.float32) for matrix in matrices]
    for start in range(0, rows, at_once):
        held = np.sort(order[start : start + at_once])
        for matrix, array in zip(matrices, arrays, strict=True):
            _read(matrix, held, array)
        yield [array[: len(held)] for array in arrays], random.permutation(len(held))


def _read(matrix: Matrix, rows: np.ndarray, into: np.ndarray) -> None:
    """Rows of these numbers, ascending, run by run."""
    starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        into[start:stop] = matrix[rows[start] : rows[stop - 1] + 1]
