"""Broken lines of a csv: each is an error with its number, but for a truncated last one, which may be dropped."""

import gzip

import pytest
from helpers import PreparedSessions, PrepareTable

GOOD = "pages,time,browser,buys\n" + "".join(f"{i % 7},{i}.5,{'ab'[i % 2]},{int(i % 3 == 0)}\n" for i in range(30))
TRUNCATED = {
    "in the last value but one": "3,4.5,a",
    "after a delimiter": "3,4.5,",
    "in the first value": "3",
    "in quotes": '3,4.5,"a',
    "in quotes with a newline": '3,4.5,"a\nb',
    "after a row of two lines": '3,4.5,"a\nb",1\n3,4.5',
}


@pytest.mark.parametrize("end", TRUNCATED.values(), ids=TRUNCATED)
def test_a_truncated_last_line_is_an_error(prepare: PrepareTable, end: str) -> None:
    error = prepare(GOOD + end).error
    assert error.startswith("prepare: sessions.csv: the last line, 3")
    assert error.endswith("is truncated; set prepare.csv.truncated_last_line to drop to skip it")


@pytest.mark.parametrize("end", TRUNCATED.values(), ids=TRUNCATED)
def test_a_truncated_last_line_is_dropped_if_params_say_so(prepare: PrepareTable, end: str) -> None:
    ran = prepare(GOOD + end, **{"prepare.csv.truncated_last_line": "drop"})
    assert (ran.code, ran.err) == (0, "")
    assert "is truncated and was dropped" in ran.out
    assert f"{30 + end.count(',1')} sessions" in ran.out


def test_a_truncated_last_line_of_a_gzip_is_an_error(prepare: PrepareTable) -> None:
    assert "the last line, 32, is truncated" in prepare(gzip.compress((GOOD + "3,4").encode()), "a.csv.gz").error


@pytest.mark.parametrize("truncated_last_line", ["error", "drop"])
@pytest.mark.parametrize("bad", ["3,4.5", "3", "3,4.5,a,1,9"], ids=["short", "one value", "long"])
def test_a_bad_line_in_the_middle_is_an_error_with_its_number(
    prepare: PrepareTable, bad: str, truncated_last_line: str
) -> None:
    lines = GOOD.splitlines()
    content = "\n".join([*lines[:10], bad, *lines[10:], ""])
    error = prepare(content, **{"prepare.csv.truncated_last_line": truncated_last_line}).error
    assert error.startswith("prepare: sessions.csv: line 11: ")


@pytest.mark.parametrize("end", ["3,4.5,a,1,9", "3,4.5\n3,4.5"], ids=["too long", "two truncated lines"])
def test_a_last_line_that_is_wrong_but_not_truncated_is_an_error(prepare: PrepareTable, end: str) -> None:
    assert "sessions.csv: line 32: " in prepare(GOOD + end, **{"prepare.csv.truncated_last_line": "drop"}).error


def test_empty_values_are_missing_quoted_or_not(prepared: PreparedSessions) -> None:
    rows = prepared('n,t,buys\n1,a,0\n"",b,1\n,,1\n4,"",0\n')
    assert rows.table["n"].to_pylist() == [1, None, None, 4]
    assert rows.table["t"].to_pylist() == ["a", "b", None, None]


def test_lines_may_end_in_a_carriage_return(prepared: PreparedSessions) -> None:
    assert len(prepared(GOOD.replace("\n", "\r"))) == 30


def test_an_encoding_error_far_into_the_file_is_reported_with_its_line(prepare: PrepareTable) -> None:
    lines = [f"{i % 7},{i}.5,{'ab'[i % 2]},{int(i % 3 == 0)}\n" for i in range(5000)]
    content = b"pages,time,browser,buys\n" + "".join(lines).encode() + "3,4.5,Ö,1\n".encode("latin-1")
    error = prepare(content).error
    assert error.startswith("prepare: sessions.csv: line 5002: ")
    assert error.endswith("if the file has another encoding, set prepare.csv.encoding")
