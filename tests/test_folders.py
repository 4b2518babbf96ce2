"""A folder of files is one table, though its files may differ in form and in how they store the same values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click_logs import as_table, random_log
from helpers import RunStage, WriteParams

ROWS = [
    {"place": "Köln, Süd", "note": 'he said "no"', "price": "1.5", "buys": "0"},
    {"place": "Bonn; Tal", "note": "a\nb", "price": "2.25", "buys": "1"},
    {"place": "Köln, Süd", "note": "a|b", "price": "", "buys": "1"},
    {"place": "Bonn; Tal", "note": "a\tb", "price": "7", "buys": "0"},
]
TABLE: dict[str, Any] = {"prepare.source_type": "sessions", "prepare.target": "buys"}


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


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda rows: rows.drop(columns="price"),
            "no column 'price', which clicks.parquet/part-0.parquet has; leave it out of all parts with prepare.drop: "
            "[price]",
        ),
        (
            lambda rows: rows.assign(price=1.5),
            "column 'price' is double, but string in clicks.parquet/part-0.parquet; leave it out of all parts with "
            "prepare.drop: [price]",
        ),
    ],
    ids=["a missing column", "another type"],
)
def test_files_that_differ_in_a_column_are_refused_in_one_line(
    run_stage: RunStage, write_params: WriteParams, change: Callable[[pd.DataFrame], pd.DataFrame], says: str
) -> None:
    write_params(**TABLE)
    folder = write_files("clicks.parquet", "part-0.parquet", "part-1.parquet", change=change)
    assert run_stage("prepare", folder, "prepared.parquet").error == f"prepare: {folder}/part-1.parquet: {says}"
    write_params(**TABLE, **{"prepare.drop": ["price"]})
    assert run_stage("prepare", folder, "prepared.parquet").code == 0


def test_a_broken_file_in_a_folder_is_named(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys"})
    folder = write_files("clicks.parquet", "part-0.parquet")
    (folder / "part-1.parquet").write_bytes(b"PAR1 cut off")
    assert (
        "clicks.parquet/part-1.parquet: not a complete parquet file" in run_stage("prepare", folder, "p.parquet").error
    )


PARTS = pd.DataFrame(
    {
        "number": [*range(20)] * 2,
        "share": [0.5, 1.25, 2.0, 0.0] * 10,
        "time": pd.date_range("2024-01-01", periods=40, freq="h").astype("datetime64[us]"),
        "note": ["a", "b", None, "b"] * 10,
        "buys": [0, 1] * 20,
    }
)
HARMLESS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "a narrower integer": lambda rows: rows.astype({"number": "int32"}),
    "a narrower float": lambda rows: rows.astype({"share": "float32"}),
    "another unit of time": lambda rows: rows.astype({"time": "datetime64[ns]"}),
    "a coarser unit of time": lambda rows: rows.astype({"time": "datetime64[ms]"}),
    "categories": lambda rows: rows.astype({"note": "category"}),
    "another order": lambda rows: rows[[*rows][::-1]],
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("changed", [0, 1])
def test_parts_may_differ_in_how_they_store_the_same_values(
    run_stage: RunStage, write_params: WriteParams, change: Callable[[pd.DataFrame], pd.DataFrame], changed: int
) -> None:
    write_params(**TABLE)
    Path("parts").mkdir()
    for number, rows in enumerate((PARTS[:20], PARTS[20:])):
        (change(rows) if number == changed else rows).to_parquet(f"parts/{number}.parquet")
    PARTS.to_parquet("whole.parquet")
    for source in ("parts", "whole.parquet"):
        ran = run_stage("prepare", source, f"{source}-prepared.parquet")
        assert (ran.code, ran.err) == (0, "")
    prepared, expected = (pq.read_table(f"{source}-prepared.parquet") for source in ("parts", "whole.parquet"))
    assert prepared.select(expected.column_names).equals(expected)


def test_a_column_without_values_in_one_part_has_the_type_of_the_others(
    run_stage: RunStage, write_params: WriteParams
) -> None:
    write_params(**TABLE)
    Path("parts").mkdir()
    for number, values in enumerate(([None] * 20, PARTS.time[20:].tolist(), [None] * 20)):
        PARTS[:20].assign(time=values).to_parquet(f"parts/{number}.parquet")
    ran = run_stage("prepare", "parts", "prepared.parquet")
    assert (ran.code, ran.err) == (0, "")
    assert pq.read_table("prepared.parquet")["time"].null_count == 40


def write_csvs(folder: str, *others: str) -> Path:
    """A folder of csv files by month, in several forms, that have PARTS between them, and other files, all empty."""
    months = Path(folder, "2024-01"), Path(folder, "2024-02")
    for month in months:
        month.mkdir(parents=True)
    PARTS[:10].to_csv(months[0] / "a.csv", index=False)
    PARTS[10:20].to_csv(months[0] / "b.csv.gz", index=False)
    PARTS[20:30][[*PARTS][::-1]].to_csv(months[1] / "a.TSV", sep="\t", index=False)
    PARTS[30:].to_csv(months[1] / "b.csv.bz2", sep=";", index=False, lineterminator="\r\n")
    for name in others:
        (months[1] / name).touch()
    return Path(folder)


def test_a_folder_of_csv_files_by_months_is_one_table(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**TABLE)
    PARTS.to_csv("whole.csv", index=False)
    folder = write_csvs("parts", "_SUCCESS", ".a.csv.crc", "readme.md", "empty.csv")
    (folder / "readme.txt").write_text("About this table")
    assert run_stage("prepare", "whole.csv", "whole.parquet").code == 0
    ran = run_stage("prepare", folder, "parts.parquet")
    assert (ran.code, ran.err) == (0, "")
    report = "files of the folder that are no parts of the table were passed over: 3, such as '2024-02/empty.csv'"
    assert report in ran.out
    assert pq.read_table("parts.parquet").equals(pq.read_table("whole.parquet"))
    write_params(**TABLE, **{"prepare.strict": True})
    assert report in run_stage("prepare", folder, "parts.parquet").error


def test_a_column_that_only_some_parts_have_is_left_out_if_nothing_names_it(
    run_stage: RunStage, write_params: WriteParams
) -> None:
    write_params(**TABLE)
    folder = write_csvs("parts")
    PARTS[:10].assign(more=[*range(10)]).to_csv(folder / "2024-02/c.csv", index=False)
    ran = run_stage("prepare", folder, "prepared.parquet")
    assert (ran.code, ran.err) == (0, "")
    report = "column 'more', which not all parts of the folder have, was left out, such as 'parts/2024-02/c.csv'"
    assert report in ran.out
    assert pq.read_table("prepared.parquet").column_names == [*PARTS]
    write_params(**TABLE, **{"prepare.numeric": ["more"]})
    error = run_stage("prepare", folder, "prepared.parquet").error
    assert error.startswith("prepare: parts/2024-01/a.csv: no column 'more', which parts/2024-02/c.csv has")


def test_a_folder_of_logs_needs_the_columns_of_params_only(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**{"prepare.clicks.session_ids": "per_visitor"})
    log, folder = as_table(random_log(4)).to_pandas().sort_values("time", ignore_index=True), Path("log")
    folder.mkdir()
    half = len(log) // 2
    log[:half].assign(more=1).to_parquet(folder / "0.parquet")
    log[half:].astype({"time": "datetime64[ns]"}).to_parquet(folder / "1.parquet")
    log.to_parquet("whole.parquet")
    assert run_stage("prepare", "whole.parquet", "expected.parquet").code == 0
    ran = run_stage("prepare", folder, "prepared.parquet")
    assert (ran.code, ran.err) == (0, "")
    assert "column 'more', which not all parts of the folder have, was left out, such as 'log/0.parquet'" in ran.out
    assert pq.read_table("prepared.parquet").equals(pq.read_table("expected.parquet"))
    log[half:].drop(columns="page").to_parquet(folder / "1.parquet")
    error = run_stage("prepare", folder, "prepared.parquet").error
    assert error == "prepare: log/1.parquet: no column 'page', which log/0.parquet has"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_whose_names_look_like_patterns_are_read_once(
    run_stage: RunStage, write_params: WriteParams, ending: str
) -> None:
    write_params(**TABLE)
    Path("parts").mkdir()
    for name in ("a*", "ab", "a?", "[ab]b"):
        path = f"parts/{name}.{ending}"
        PARTS.to_csv(path, index=False) if ending == "csv" else PARTS.to_parquet(path)
    assert "160 sessions" in run_stage("prepare", "parts", "prepared.parquet").out


def test_parquet_and_csv_files_in_one_folder_are_refused(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**TABLE)
    folder = write_csvs("parts")
    PARTS.to_parquet(folder / "a.parquet")
    error = run_stage("prepare", folder, "prepared.parquet").error
    assert error == (
        "prepare: parts: a folder of both parquet and csv files, such as a.parquet and 2024-01/a.csv; keep one type"
    )
