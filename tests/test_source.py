"""The same rows come in many files; all are read as the same table, or refused in one line."""

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

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


def as_csv(delimiter: str = ",", line_end: str = "\n", quoting: int = csv.QUOTE_MINIMAL) -> str:
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
FILES = {
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
def test_every_kind_of_file_gives_the_same_table(prepared: PreparedSessions, name, content, settings) -> None:
    csv_settings = {f"prepare.csv.{key}": value for key, value in settings.items()}
    rows = prepared(content, name, **csv_settings, **{"prepare.numeric": ["price"]}).table.to_pylist()
    expected = [row | {"price": float(row["price"] or "nan"), "buys": int(row["buys"])} for row in ROWS]
    expected[2]["price"] = None
    # A parquet of texts and a csv alike: numbers are what can be read as numbers.
    assert rows == expected


GOOD = "pages,time,browser,buys\n" + "".join(f"{i % 7},{i}.5,{'ab'[i % 2]},{int(i % 3 == 0)}\n" for i in range(30))
CUT = {
    "in the last value but one": "3,4.5,a",
    "after a delimiter": "3,4.5,",
    "in the first value": "3",
    "in quotes": '3,4.5,"a',
    "in quotes with a newline": '3,4.5,"a\nb',
    "after a row of two lines": '3,4.5,"a\nb",1\n3,4.5',
}


@pytest.mark.parametrize("end", CUT.values(), ids=CUT)
def test_a_cut_off_last_line_is_an_error(prepare: PrepareTable, end) -> None:
    error = prepare(GOOD + end).error
    assert error.startswith("prepare: sessions.csv: the last line, 3")
    assert error.endswith("is cut off; set prepare.csv.truncated_last_line to drop to go on without it")


@pytest.mark.parametrize("end", CUT.values(), ids=CUT)
def test_a_cut_off_last_line_is_dropped_if_params_say_so(prepare: PrepareTable, end) -> None:
    ran = prepare(GOOD + end, **{"prepare.csv.truncated_last_line": "drop"})
    assert (ran.code, ran.err) == (0, "")
    assert "is cut off and was dropped" in ran.out
    assert f"{30 + end.count(',1')} sessions" in ran.out


def test_a_cut_off_last_line_of_a_gzip_is_an_error(prepare: PrepareTable) -> None:
    assert "the last line, 32, is cut off" in prepare(gzip.compress((GOOD + "3,4").encode()), "a.csv.gz").error


@pytest.mark.parametrize("cut_off", ["error", "drop"])
@pytest.mark.parametrize("bad", ["3,4.5", "3", "3,4.5,a,1,9"], ids=["short", "one value", "long"])
def test_a_bad_line_in_the_middle_is_an_error_with_its_number(prepare: PrepareTable, bad, cut_off) -> None:
    lines = GOOD.splitlines()
    content = "\n".join([*lines[:10], bad, *lines[10:], ""])
    error = prepare(content, **{"prepare.csv.truncated_last_line": cut_off}).error
    assert error.startswith("prepare: sessions.csv: line 11: ")


@pytest.mark.parametrize("end", ["3,4.5,a,1,9", "3,4.5\n3,4.5"], ids=["too long", "two cut-off lines"])
def test_a_last_line_that_is_not_cut_off_but_wrong_is_an_error(prepare: PrepareTable, end) -> None:
    assert "sessions.csv: line 32: " in prepare(GOOD + end, **{"prepare.csv.truncated_last_line": "drop"}).error


def test_the_order_of_the_rows_stays(prepared: PreparedSessions) -> None:
    rows = prepared(GOOD)
    assert rows.features["time"].tolist() == [i + 0.5 for i in range(30)]


def test_empty_values_are_missing_quoted_or_not(prepared: PreparedSessions) -> None:
    rows = prepared('n,t,buys\n1,a,0\n"",b,1\n,,1\n4,"",0\n')
    assert rows.table["n"].to_pylist() == [1, None, None, 4]
    assert rows.table["t"].to_pylist() == ["a", "b", None, None]


def test_an_encoding_error_far_into_the_file_is_told_with_its_line(prepare: PrepareTable) -> None:
    lines = [f"{i % 7},{i}.5,{'ab'[i % 2]},{int(i % 3 == 0)}\n" for i in range(5000)]
    content = b"pages,time,browser,buys\n" + "".join(lines).encode() + "3,4.5,Ö,1\n".encode("latin-1")
    error = prepare(content).error
    assert error.startswith("prepare: sessions.csv: line 5002: ")
    assert error.endswith("prepare.csv.encoding names another")


def test_the_source_is_left_as_it_was(prepare: PrepareTable) -> None:
    prepare(GOOD)
    assert Path("sessions.csv").read_text() == GOOD


def parts(folder: str, *names: str, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda part: part) -> Path:
    """A folder of parquet files that hold ROWS, one after the other; the last part is changed."""
    for place, name in enumerate(names):
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = pd.DataFrame(ROWS[place :: len(names)])
        (change(part) if place else part).to_parquet(path)
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
def test_a_folder_of_parquet_files_is_one_table(run_stage: RunStage, write_params: WriteParams, names) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys", "prepare.numeric": ["price"]})
    folder = parts("clicks.parquet", *names)
    # What Spark leaves beside its parts is no part.
    for mark in ("_SUCCESS", ".part-0.parquet.crc", "_temporary/0/part.parquet", ".hidden.parquet"):
        (folder / mark).parent.mkdir(parents=True, exist_ok=True)
        (folder / mark).write_bytes(b"no parquet")
    assert run_stage("prepare", folder, "prepared.parquet").code == 0
    table = pq.read_table("prepared.parquet")
    assert table["note"].to_pylist() == [row["note"] for row in ROWS[::2] + ROWS[1::2]]
    assert "day" not in table.column_names


def test_rows_come_as_they_stand_in_the_file(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys", "prepare.categories": ["note"]})
    names = [f"n{number % 7}" for number in range(400)]
    table = pd.DataFrame({"note": names, "buys": ["yes", "no"] * 200, "place": range(400)})
    table.to_parquet("sessions.parquet", row_group_size=2)
    for _ in range(5):
        assert run_stage("prepare", "sessions.parquet", "prepared.parquet").code == 0
        assert pq.read_table("prepared.parquet")["place"].to_pylist() == [*range(400)]


@pytest.mark.parametrize(
    "change",
    [lambda part: part.drop(columns="price"), lambda part: part.assign(price=1.5)],
    ids=["a column less", "another type"],
)
def test_parts_that_differ_in_a_column_are_refused_in_one_line(
    run_stage: RunStage, write_params: WriteParams, change
) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys"})
    folder = parts("clicks.parquet", "part-0.parquet", "part-1.parquet", change=change)
    said = run_stage("prepare", folder, "prepared.parquet").error
    assert said.startswith(f"prepare: {folder}/part-1.parquet: other columns, or of other types, than in part-0")
    assert said.endswith(": 'price'")


def test_a_part_that_is_no_parquet_file_is_named(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**{"prepare.source_type": "sessions", "prepare.target": "buys"})
    folder = parts("clicks.parquet", "part-0.parquet")
    (folder / "part-1.parquet").write_bytes(b"PAR1 cut off")
    assert "clicks.parquet/part-1.parquet: not a whole parquet file" in run_stage("prepare", folder, "p.parquet").error
