"""The same rows may come in many kinds of files, or in a folder of files: all are read as the same table."""

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import PreparedSessions, PrepareTable, RunStage, WriteParams

ROWS = [
    {"place": "Köln, Süd", "note": 'he said "no"', "price": "1.5", "buys": "0"},
    {"place": "Bonn; Tal", "note": "a\nb", "price": "2.25", "buys": "1"},
    {"place": "Köln, Süd", "note": "a|b", "price": "", "buys": "1"},
    {"place": "Bonn; Tal", "note": "a\tb", "price": "7", "buys": "0"},
]


def as_csv(delimiter: str = ",", line_end: str = "\n", quoting: Literal[0, 1, 2, 3] = csv.QUOTE_MINIMAL) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ROWS[0], delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writeheader()
    writer.writerows(ROWS)
    return file.getvalue()


def as_parquet() -> bytes:
    file = io.BytesIO()
    pd.DataFrame(ROWS).to_parquet(file)
    return file.getvalue()


PLAIN = as_csv().encode()
FILES: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "commas": ("a.csv", PLAIN, {}),
    "semicolons": ("a.csv", as_csv(";").encode(), {}),
    "tabs": ("a.csv", as_csv("\t").encode(), {}),
    "bars": ("a.csv", as_csv("|").encode(), {}),
    "carets, declared": ("a.csv", as_csv("^").encode(), {"delimiter": "^"}),
    "semicolons, declared": ("a.csv", as_csv(";").encode(), {"delimiter": ";"}),
    "everything quoted": ("a.csv", as_csv(quoting=csv.QUOTE_ALL).encode(), {}),
    "semicolons, everything quoted": ("a.csv", as_csv(";", quoting=csv.QUOTE_ALL).encode(), {}),
    "CRLF": ("a.csv", as_csv(line_end="\r\n").encode(), {}),
    "byte-order mark": ("a.csv", as_csv().encode("utf-8-sig"), {}),
    "byte-order mark, quoted": ("a.csv", as_csv(quoting=csv.QUOTE_ALL).encode("utf-8-sig"), {}),
    "latin-1": ("a.csv", as_csv().encode("latin-1"), {"encoding": "latin-1"}),
    "utf-16": ("a.csv", as_csv().encode("utf-16"), {"encoding": "utf-16"}),
    "utf-16, CRLF": ("a.csv", as_csv(line_end="\r\n").encode("utf-16"), {"encoding": "utf-16"}),
    "gzip": ("a.csv.gz", gzip.compress(PLAIN), {}),
    "gzip, semicolons": ("a.csv.gz", gzip.compress(as_csv(";").encode()), {}),
    "parquet": ("a.parquet", as_parquet(), {}),
    "no newline at the end": ("a.csv", PLAIN.rstrip(b"\n"), {}),
    "blank lines at the end": ("a.csv", PLAIN + b"\n\n", {}),
    "a name with brackets": ("a[1].csv", PLAIN, {}),
    "a name with a star": ("a*.csv", PLAIN, {}),
    "a name with a quote": ("a'b.csv", PLAIN, {}),
    "a name with an umlaut and a space": ("Läden 1.csv", PLAIN, {}),
    "a folder that looks like a partition": ("year=2020/a.csv", PLAIN, {}),
    "a parquet in a folder that looks like a partition": ("year=2020/a.parquet", as_parquet(), {}),
}


@pytest.mark.parametrize(("name", "content", "settings"), FILES.values(), ids=FILES)
def test_every_kind_of_file_gives_the_same_table(
    prepared: PreparedSessions, name: str, content: bytes, settings: dict[str, str]
) -> None:
    csv_settings = {f"prepare.csv.{key}": value for key, value in settings.items()}
    sessions = prepared(content, name, **csv_settings, **{"prepare.numeric": ["price"]})
    expected: list[dict[str, Any]] = [
        row | {"price": float(row["price"]) if row["price"] else None, "buys": int(row["buys"])} for row in ROWS
    ]
    # A parquet file of texts and a csv alike: numbers are what can be read as numbers.
    assert sessions.to_arrow().to_pylist() == expected


GOOD = "pages,time,browser,buys\n" + "".join(f"{i % 7},{i}.5,{'ab'[i % 2]},{int(i % 3 == 0)}\n" for i in range(30))


def test_rows_keep_their_order(prepared: PreparedSessions) -> None:
    rows = prepared(GOOD)
    assert rows.features["time"].tolist() == [i + 0.5 for i in range(30)]


def test_the_source_is_not_changed(prepare: PrepareTable) -> None:
    prepare(GOOD)
    assert Path("sessions.csv").read_text() == GOOD


def write_files(folder: str, *names: str, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows) -> Path:
    """A folder of parquet files that have ROWS between them; all but the first are changed."""
    for number, name in enumerate(names):
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = pd.DataFrame(ROWS[number :: len(names)])
        (change(rows) if number else rows).to_parquet(path)
    return Path(folder)


@pytest.mark.parametrize(
    "names",
    [
        ("part-0.parquet", "part-1.parquet"),
        ("day=1/part.parquet", "day=2/part.parquet"),
        ("a.parquet", "a[1]*'.parquet"),
    ],
    ids=["side by side", "by day", "odd names"],
)
def test_a_folder_of_parquet_files_is_one_table(
    run_stage: RunStage, write_params: WriteParams, names: tuple[str, ...]
) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys", "prepare.numeric": ["price"]})
    folder = write_files("clicks.parquet", *names)
    # What Spark writes beside its files is not read.
    for mark in ("_SUCCESS", ".part-0.parquet.crc", "_temporary/0/part.parquet", ".hidden.parquet"):
        (folder / mark).parent.mkdir(parents=True, exist_ok=True)
        (folder / mark).write_bytes(b"no parquet")
    assert run_stage("prepare", folder, "prepared.parquet").code == 0
    table = pq.read_table("prepared.parquet")
    assert table["note"].to_pylist() == [row["note"] for row in ROWS[::2] + ROWS[1::2]]
    assert "day" not in table.column_names


def test_rows_of_many_row_groups_keep_their_order(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys", "prepare.categories": ["note"]})
    names = [f"n{number % 7}" for number in range(400)]
    table = pd.DataFrame({"note": names, "buys": ["yes", "no"] * 200, "number": range(400)})
    table.to_parquet("sessions.parquet", row_group_size=2)
    for _ in range(5):
        assert run_stage("prepare", "sessions.parquet", "prepared.parquet").code == 0
        assert pq.read_table("prepared.parquet")["number"].to_pylist() == [*range(400)]


@pytest.mark.parametrize(
    "change",
    [lambda rows: rows.drop(columns="price"), lambda rows: rows.assign(price=1.5)],
    ids=["a missing column", "another type"],
)
def test_files_that_differ_in_a_column_are_refused_in_one_line(
    run_stage: RunStage, write_params: WriteParams, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys"})
    folder = write_files("clicks.parquet", "part-0.parquet", "part-1.parquet", change=change)
    error = run_stage("prepare", folder, "prepared.parquet").error
    assert error == f"prepare: {folder}/part-1.parquet: columns or types differ from those of part-0.parquet: 'price'"


def test_a_broken_file_in_a_folder_is_named(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys"})
    folder = write_files("clicks.parquet", "part-0.parquet")
    (folder / "part-1.parquet").write_bytes(b"PAR1 cut off")
    assert (
        "clicks.parquet/part-1.parquet: not a complete parquet file" in run_stage("prepare", folder, "p.parquet").error
    )
