"""Random mutations of a table's file: bytes, cells, headers, encodings, compression and types."""

import bz2
import gzip
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
from helpers import zip_bytes

CELLS = (
    "", " ", "NaN", "inf", "-inf", "1e400", "1,5", "1.234,56", "60%", "$12.34", "12:30:00", "0x1F", "1_10", "٣",
    "99999999999999999999", "-0", "TRUE", "null", "(not set)", "2024-02-30", "01.02.2024", "2024-10-10 00:00:00 UTC",
    "1700000000000", "1900-01-01", "🛒", "'", '""', "a\0b", "x" * 5000, "{}", "-1", "=1+1", "\u2028",
)  # fmt: skip
BYTES = (b"\0", b'"', b"\r", b"\n", b",", b";", b"\xff", b"\xef\xbb\xbf", b"\\", b"\xc3", b"\x1a", b"\r\n")
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-be", "latin-1", "cp1252", "utf-32")


@dataclass(frozen=True)
class Mutant:
    """A file to prepare: its name, its bytes, and params of csv files that may or may not fit it."""

    name: str
    content: bytes
    csv: dict[str, Any]
    what: str  # of the mutations


def mutate(rng: random.Random, table: pd.DataFrame) -> Mutant:
    """One to three mutations of the table, written as a csv or a parquet file."""
    done = []
    for _ in range(rng.randint(0, 2)):
        change = rng.choice(TABLE_CHANGES)
        table = change(rng, table)
        done.append(change.__name__)
    if rng.random() < 0.25:
        name, content, settings = "a.parquet", _parquet(rng, table), dict[str, Any]()
    else:
        delimiter = rng.choice(",;\t")
        text = table.to_csv(index=False, sep=delimiter, lineterminator=rng.choice(["\n", "\n", "\r\n"]))
        if rng.random() < 0.5:
            edit = rng.choice(TEXT_CHANGES)
            text = edit(rng, text)
            done.append(edit.__name__)
        name, content, settings = _encode(rng, text, delimiter)
    if rng.random() < 0.5:
        corrupt = rng.choice(BYTE_CHANGES)
        content = corrupt(rng, content)
        done.append(corrupt.__name__)
    return Mutant(name, content, settings, f"{name} {settings} {' '.join(done)}")


def _replace_cells(rng: random.Random, table: pd.DataFrame) -> pd.DataFrame:
    column, value = rng.choice([*table]), rng.choice(CELLS)
    changed = table[column].astype(object)
    for row in rng.sample(range(len(table)), min(len(table), rng.choice([1, 1, 5, len(table) // 2, len(table)]))):
        changed.iloc[row] = value if rng.random() < 0.9 else rng.choice(CELLS)
    return table.assign(**{column: changed})


def _drop_column(rng: random.Random, table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=rng.choice([*table])) if len(table.columns) > 1 else table


def _add_column(rng: random.Random, table: pd.DataFrame) -> pd.DataFrame:
    numbers = pd.Series(range(len(table)), index=table.index)
    values = rng.choice(
        [
            numbers,
            numbers[::-1].to_numpy(),
            "same",
            None,
            numbers.astype(str) + "x",
            pd.to_datetime(numbers),
            numbers / 7,
        ]
    )
    return table.assign(**{rng.choice(["id", "Unnamed: 0", "more", ""]): values})


def _rename(rng: random.Random, table: pd.DataFrame) -> pd.DataFrame:
    name = rng.choice(
        [
            "",
            " ",
            "a\nb",
            'a"b',
            "a,b",
            "row",
            "rows",
            "missing 0",
            "source",
            "x" * 300,
            "ä",
            rng.choice([*table]).upper(),
        ]
    )
    return table.rename(columns={rng.choice([*table]): name})


def _take_rows(rng: random.Random, table: pd.DataFrame) -> pd.DataFrame:
    return table[: rng.choice([0, 1, 2, 10])] if rng.random() < 0.5 else table[::-1]


def _change_type(rng: random.Random, table: pd.DataFrame) -> pd.DataFrame:
    column = rng.choice([*table])
    types = [
        "float32",
        "Int64",
        "str",
        "bool",
        "category",
        "datetime64[ns]",
        "timedelta64[s]",
        "bytes",
        "decimal",
        "list",
    ]
    type_ = rng.choice(types)
    try:
        if type_ == "bytes":
            return table.assign(**{column: [str(value).encode() for value in table[column]]})
        if type_ == "list":
            table = table.copy()
            table[column] = [[1, 2]] * len(table)
            return table
        if type_ == "decimal":
            decimals = pa.array(table[column].tolist()).cast(pa.decimal128(20, 4))
            return table.assign(**{column: decimals.to_pandas().tolist()})
        return table.astype({column: type_})
    except (ValueError, TypeError, pa.ArrowException):
        return table


def _remove_header(rng: random.Random, text: str) -> str:
    return text.partition("\n")[2]


def _prepend(rng: random.Random, text: str) -> str:
    return (
        rng.choice(["\n", "# a comment\n", "sep=;\n", "sep=,\n", "a title\n\n", '"', "\ufeff", " \n", "#\n#\n"]) + text
    )


def _repeat_name(rng: random.Random, text: str) -> str:
    header, _, rest = text.partition("\n")
    return header + header[header.find(",") :] + "\n" + rest


def _change_line(rng: random.Random, text: str) -> str:
    lines = text.split("\n")
    row = rng.randrange(len(lines))
    lines[row] = rng.choice(
        [lines[row] + ",", lines[row] * 2, lines[row][: len(lines[row]) // 2], "", '"' + lines[row], lines[row] + "\r"]
    )
    return "\n".join(lines)


def _append(rng: random.Random, text: str) -> str:
    return text + rng.choice(["1,2", "Total", "\n\n\n", '"', "\x1a", "\r\n", ",,,,\n"])


def _flip(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 30])):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _cut(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] if rng.random() < 0.5 else content[:start] + content[start + rng.randrange(1, 50) :]


def _insert(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.choice(BYTES) * rng.choice([1, 2, 20]) + content[start:]


Change = Callable[[random.Random, pd.DataFrame], pd.DataFrame]
TABLE_CHANGES: list[Change] = [
    _replace_cells,
    _replace_cells,
    _drop_column,
    _add_column,
    _rename,
    _take_rows,
    _change_type,
]
TEXT_CHANGES: list[Callable[[random.Random, str], str]] = [
    _remove_header,
    _prepend,
    _repeat_name,
    _change_line,
    _append,
]
BYTE_CHANGES: list[Callable[[random.Random, bytes], bytes]] = [_flip, _cut, _insert]


def _encode(rng: random.Random, text: str, delimiter: str) -> tuple[str, bytes, dict[str, Any]]:
    """The name, the bytes and the params of a csv file, perhaps in another encoding and compressed."""
    settings: dict[str, Any] = {}
    content = text.encode()
    if rng.random() < 0.3:
        encoding = rng.choice(ENCODINGS)
        content = text.encode(encoding, "replace")
        if rng.random() < 0.7:
            settings["encoding"] = rng.choice([encoding, encoding, encoding, "utf-16"])
    if rng.random() < 0.2:
        settings["truncated_last_line"] = "drop"
    if rng.random() < 0.1:
        settings["skip_rows"] = rng.choice([1, 2, 10_000])
    if rng.random() < 0.1:
        settings["names"] = text.partition("\n")[0].strip().split(delimiter)
    suffix = rng.choice(["", "", "", ".gz", ".bz2", ".zst", ".zip"])
    return rng.choice(["a.csv", "a.TSV", "a.txt"]) + suffix, _compress(content, suffix), settings


def _compress(content: bytes, suffix: str) -> bytes:
    if suffix == ".gz":
        return gzip.compress(content, mtime=0)
    if suffix == ".bz2":
        return bz2.compress(content)
    if suffix == ".zst":
        return pa.compress(content, "zstd", asbytes=True)
    if suffix == ".zip":
        return zip_bytes(content, "a.csv")
    return content


def _parquet(rng: random.Random, table: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    try:
        table.to_parquet(file, compression=rng.choice(["snappy", "zstd", None]))
    except (ValueError, TypeError, pa.ArrowException):  # values of several types
        file = io.BytesIO()
        table.astype(str).to_parquet(file)
    return file.getvalue()
