"""The same rows may come in many kinds of files, or in a folder of files: all are read as the same table."""

import bz2
import csv
import gzip
import io
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import PreparedSessions, PrepareTable, RunStage, WriteParams, zip_bytes

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


def as_zst(content: bytes) -> bytes:
    return pa.compress(content, "zstd", asbytes=True)


PLAIN = as_csv().encode()
NAMES = [*ROWS[0]]
ROWS_ONLY = as_csv().split("\n", 1)[1].encode()
ONE_CRLF = as_csv().replace("\n", "\r\n", 1)
COMMENTS = "# an export, of the shop\n#\n\n"
MARK = b"\xef\xbb\xbf"
FILES: dict[str, tuple[str, bytes, dict[str, Any]]] = {
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
    "utf-16, big-endian": ("a.csv", ("\ufeff" + as_csv()).encode("utf-16-be"), {"encoding": "utf-16"}),
    "utf-16 in a gzip": ("a.csv.gz", gzip.compress(as_csv().encode("utf-16")), {"encoding": "utf-16"}),
    "utf-16 without its mark": ("a.csv", as_csv().encode("utf-16-le"), {"encoding": "utf-16-le"}),
    "cp1252": ("a.csv", as_csv().encode("cp1252"), {"encoding": "cp1252"}),
    "cp850": ("a.csv", as_csv().encode("cp850"), {"encoding": "cp850"}),
    "CRLF, then LF": ("a.csv", ONE_CRLF.encode(), {}),
    "LF, then CRLF": ("a.csv", PLAIN.removesuffix(b"\n") + b"\r\n", {}),
    "mixed line ends in a gzip": ("a.csv.gz", gzip.compress(ONE_CRLF.encode()), {}),
    "mixed line ends in utf-16": ("a.csv", ONE_CRLF.encode("utf-16"), {"encoding": "utf-16"}),
    "another ending": ("a.txt", PLAIN, {}),
    "another ending for tabs": ("a.tsv", as_csv("\t").encode(), {}),
    "an ending in capitals": ("A.CSV", PLAIN, {}),
    "endings in capitals": ("A.TSV.GZ", gzip.compress(as_csv("\t").encode()), {}),
    "a parquet with its ending in capitals": ("A.PARQUET", as_parquet(), {}),
    "bzip2": ("a.csv.bz2", bz2.compress(PLAIN), {}),
    "zstd": ("a.csv.zst", as_zst(PLAIN), {}),
    "zstd, mixed line ends": ("a.csv.zst", as_zst(ONE_CRLF.encode()), {}),
    "two gzips in one": ("a.csv.gz", gzip.compress(PLAIN[:40]) + gzip.compress(PLAIN[40:]), {}),
    "two zstds in one": ("a.csv.zst", as_zst(PLAIN[:40]) + as_zst(PLAIN[40:]), {}),
    "zip": ("a.zip", zip_bytes(PLAIN, "inner.csv"), {}),
    "zip from a Mac": ("a.csv.zip", zip_bytes(PLAIN, "inner.csv", "__MACOSX/._inner.csv"), {}),
    "no header": ("a.csv", ROWS_ONLY, {"names": NAMES}),
    "no header, but a mark": ("a.csv", MARK + ROWS_ONLY, {"names": NAMES}),
    "names, but a header too": ("a.csv", PLAIN, {"names": NAMES}),
    "lines before the header": ("a.csv", b'shop: "a\n\n' + PLAIN, {"skip_rows": 2}),
    "lines before rows without a header": ("a.csv", b"a,b\n" + ROWS_ONLY, {"skip_rows": 1, "names": NAMES}),
    "comments before the header": ("a.csv", COMMENTS.encode() + PLAIN, {}),
    "comments after a mark": ("a.csv", MARK + COMMENTS.encode() + PLAIN, {}),
    "Excel's line that names the delimiter": ("a.csv", b"sep=^\n" + as_csv("^").encode(), {}),
    "Excel's line, in quotes and with CRLF": ("a.csv", b'"sep=;"\r\n' + as_csv(";", "\r\n").encode(), {}),
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
    prepared: PreparedSessions, name: str, content: bytes, settings: dict[str, Any]
) -> None:
    csv_settings: dict[str, Any] = {f"prepare.csv.{key}": value for key, value in settings.items()}
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


def test_rows_of_many_row_groups_keep_their_order(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys", "prepare.numeric": ["number"]})
    names = [f"n{number % 7}" for number in range(400)]
    table = pd.DataFrame({"note": names, "buys": ["yes", "no"] * 200, "number": range(400)})
    table.to_parquet("sessions.parquet", row_group_size=2)
    for _ in range(5):
        assert run_stage("prepare", "sessions.parquet", "prepared.parquet").code == 0
        assert pq.read_table("prepared.parquet")["number"].to_pylist() == [*range(400)]


def test_a_newline_in_a_quoted_name_is_read_as_a_space(prepared: PreparedSessions, prepare: PrepareTable) -> None:
    content = 'pages,"time\non page",buys\n' + "".join(f"{i % 7},{i}.5,{int(i % 3 == 0)}\n" for i in range(30))
    assert prepared(content).names("feature") == ["pages", "time on page"]
    assert "it has pages, time on page, buys" in prepare(content, **{"prepare.target": "sold"}).error


def test_comments_before_the_header_are_reported(prepare: PrepareTable) -> None:
    ran = prepare(COMMENTS + GOOD)
    report = "lines before the header, which start with #, were skipped: 3, such as '# an export, of the shop'"
    assert report in ran.out
    skip: dict[str, Any] = {"prepare.csv.skip_rows": 3}
    ran = prepare(COMMENTS + GOOD, **skip)
    assert ran.code == 0 and "lines before" not in ran.out


def test_a_header_may_start_with_the_sign_of_comments(prepared: PreparedSessions) -> None:
    assert prepared("#" + GOOD).names("feature") == ["#pages", "time", "browser"]
