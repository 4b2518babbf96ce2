"""Files that cannot be read: one line, exit code 1, and an earlier output is not touched."""

import bz2
import gzip
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from bad_input import CSV, EARLIER, SESSIONS, Case, error_of, parquet_bytes
from helpers import (
    ROOT,
    PrepareTable,
    RunStage,
    WriteParams,
    WriteSource,
    zip_bytes,
)


def overwritten(content: bytes, start: int) -> bytes:
    """`content` with 40 bytes that are wrong."""
    return content[:start] + b"\xff" * 40 + content[start + 40 :]


ZSTD: bytes = pa.compress(CSV.encode(), "zstd", asbytes=True)
FILES = {
    "an empty file": Case("the file is empty", b""),
    "an empty parquet file": Case("the file is empty", b"", "a.parquet"),
    "an empty csv.gz": Case("the file is empty", b"", "a.csv.gz"),
    "nothing in a csv.gz": Case("the first line is empty", gzip.compress(b""), "a.csv.gz"),
    "a header only": Case("no rows, only a header", "pages,buys\n"),
    "a parquet without rows": Case("no rows", SESSIONS[:0], "a.parquet"),
    "a blank first line": Case("the first line is empty; expected the column names", "\n" + CSV),
    "a truncated parquet": Case("not a complete parquet file", parquet_bytes()[:-50], "a.parquet"),
    "a parquet broken in the middle": Case("Snappy", overwritten(parquet_bytes(), 60), "a.parquet"),
    "a parquet that is none": Case("not a complete parquet file", CSV, "a.parquet"),
    "a csv that is a parquet": Case("not a utf-8 csv file", parquet_bytes()),
    "a csv.gz that is none": Case("Not a gzipped file", CSV, "a.csv.gz"),
    "a truncated csv.gz": Case("ended before the end-of-stream marker", gzip.compress(CSV.encode())[:30], "a.csv.gz"),
    "a broken csv.gz": Case("not a utf-8 csv file", overwritten(gzip.compress(CSV.encode()), 40), "a.csv.gz"),
    "another ending": Case("expected a name that ends in .parquet, .csv, .tsv, .txt, or in one of", CSV, "a.json"),
    "a parquet in a gzip": Case("expected a name that ends in", gzip.compress(parquet_bytes()), "a.parquet.gz"),
    "a csv that is a gzip": Case("it is a gzip file; rename it to end in .gz", gzip.compress(CSV.encode())),
    "a zip that is none": Case("File is not a zip file", CSV, "a.zip"),
    "a zip without a file": Case("a zip archive of 0 files; expected one csv file", zip_bytes(CSV), "a.zip"),
    "a zip of two files": Case("a zip archive of 2 files", zip_bytes(CSV, "a.csv", "b.csv"), "a.zip"),
    "a truncated bzip2": Case("ended before the end-of-stream marker", bz2.compress(CSV.encode())[:-20], "a.csv.bz2"),
    "a zstd that is none": Case("not a utf-8 csv file", CSV, "a.csv.zst"),
    "a truncated zstd": Case(
        "not a utf-8 csv file", pa.compress(CSV.encode(), "zstd", asbytes=True)[:-20], "a.csv.zst"
    ),
    "cp1252 that is none": Case(
        "line 3: cp1252 has no byte 0x81 here",
        CSV.replace("Firefox", "\x81", 1).encode("latin-1"),
        params={"csv.encoding": "cp1252"},
    ),
    "more lines to skip than there are": Case("line 501 is empty", CSV, params={"csv.skip_rows": 500}),
    "too few names": Case(
        "line 1 has 4 values, but prepare.csv.names has 3 names",
        CSV.split("\n", 1)[1],
        params={"csv.names": ["a", "b", "buys"]},
    ),
    "no header and no names": Case(
        "no header: '2014-04-07T10:51:09.277Z' is a value, not a name; list the columns' names in prepare.csv.names",
        "1,2014-04-07T10:51:09.277Z,0\n" * 20,
    ),
    "an endless first line": Case("field larger than field limit", f'"{"a" * 200_000}"\n1\n'),
    "latin-1 as utf-8": Case(
        "if the file has another encoding, set prepare.csv.encoding",
        CSV.replace("Firefox", "Füchs").encode("latin-1"),
    ),
    "utf-16 as utf-8": Case("not a utf-8 csv file", CSV.encode("utf-16")),
    "utf-8 as utf-16": Case("not a utf-16 csv file", CSV, params={"csv.encoding": "utf-16"}),
    "utf-16 without its mark as utf-8": Case(
        "not a utf-8 csv file: it contains NUL characters, as utf-16 does; if the file has another encoding, set",
        CSV.encode("utf-16-be"),
    ),
    "a carriage return within a line": Case("a carriage return within a line", CSV.replace("Firefox", "Fire\rfox", 1)),
    "two columns of one name": Case("two columns are named 'a'", "a,a,buys\n1,2,0\n"),
    "two names that differ in case": Case("two columns are named 'a'", "a,A,buys\n1,2,0\n"),
    "two columns of one name in a parquet": Case(
        "two columns are named 'a'",
        parquet_bytes(pa.table([[1, 2], [3, 4], [0, 1]], ["a", "a", "buys"])),
        "a.parquet",
    ),
}


@pytest.mark.parametrize("case", FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(prepare: PrepareTable, case: Case) -> None:
    assert case.says in error_of(prepare, case)


@pytest.mark.parametrize(
    ("name", "says"), [("nowhere.csv", "no such file"), ("data.csv", "a folder without parquet or csv files")]
)
def test_a_source_that_is_not_a_file_is_refused(
    run_stage: RunStage, write_params: WriteParams, name: str, says: str
) -> None:
    write_params(**{"prepare.source_type": "sessions"})
    Path("data.csv").mkdir()
    assert run_stage("prepare", name, "prepared.parquet").error == f"prepare: {name}: {says}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.csv", "nowhere.csv: no such file"),
        ("a.csv", "a.csv: no column 'Kauf' (prepare.target); it has pages, seconds, browser, buys"),
    ],
)
def test_a_user_sees_one_line_and_an_exit_code(
    write_params: WriteParams, write_source: WriteSource, name: str, says: str
) -> None:
    write_params(**{"prepare.source_type": "sessions"})
    write_source(CSV, "a.csv")
    Path("prepared.parquet").write_bytes(EARLIER)
    ran = subprocess.run(
        [sys.executable, "-m", "stages.prepare", name, "prepared.parquet"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", f"prepare: {says}\n")
    assert Path("prepared.parquet").read_bytes() == EARLIER


@pytest.mark.parametrize("paths", [[], ["a.csv"], ["a.csv", "b.parquet", "c"]])
def test_a_wrong_number_of_paths_gives_the_usage(run_stage: RunStage, paths: list[str]) -> None:
    ran = run_stage("prepare", *paths)
    assert ran.code == 2
    assert ran.err.startswith("usage: python -m stages.prepare [-h] source sessions\n")
