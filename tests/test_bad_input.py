"""What a user can get wrong in the data: one line, exit code 1, and what was there before stays."""

import gzip
import io
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import (
    ROOT,
    PreparedSessions,
    PrepareTable,
    RunStage,
    WriteParams,
    WriteSource,
    as_sessions,
    sessions_frame,
    standard,
)

from stages.lib.dataset.sessions import write_sessions
from stages.lib.modeling.encoder import fit_encoder

EARLIER = b"what an earlier run wrote"
SESSIONS = sessions_frame()
CSV = SESSIONS.to_csv(index=False)
DAYS = pd.Series(pd.date_range("2024-01-01", periods=len(SESSIONS)))
IDS = [f"id {place}" for place in range(len(SESSIONS))]


def with_value(column: str, value: Any) -> pd.DataFrame:
    """SESSIONS with `value` in row 3 of `column`."""
    return SESSIONS.assign(**{column: SESSIONS[column].astype(object).where(SESSIONS.index != 3, value)})


def parquet(rows: pd.DataFrame | pa.Table = SESSIONS) -> bytes:
    file = io.BytesIO()
    pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows), file)
    return file.getvalue()


def overwritten(content: bytes, start: int) -> bytes:
    """`content` with 40 bytes that are wrong."""
    return content[:start] + b"\xff" * 40 + content[start + 40 :]


def comma(value: float) -> str:
    return f"{value:.2f}".replace(".", ",")


@dataclass(frozen=True)
class Case:
    """A source, the params it is read with (below prepare), and what the line says."""

    says: str
    content: Any
    name: str = "a.csv"
    params: dict[str, Any] = field(default_factory=dict)


MIXED = "not readable as utf-8 csv: its lines end in more than one way; save it with LF alone"
FILES = {
    "an empty file": Case("the file is empty", b""),
    "an empty parquet file": Case("the file is empty", b"", "a.parquet"),
    "an empty csv.gz": Case("the file is empty", b"", "a.csv.gz"),
    "nothing in a csv.gz": Case("the first line is empty", gzip.compress(b""), "a.csv.gz"),
    "a header only": Case("no rows, only a header", "pages,buys\n"),
    "a parquet without rows": Case("no rows", SESSIONS[:0], "a.parquet"),
    "a blank first line": Case("the first line is empty; expected the columns' names", "\n" + CSV),
    "a truncated parquet": Case("not a whole parquet file", parquet()[:-50], "a.parquet"),
    "a parquet broken in the middle": Case("Snappy", overwritten(parquet(), 60), "a.parquet"),
    "a parquet that is none": Case("not a whole parquet file", CSV, "a.parquet"),
    "a csv that is a parquet": Case("not readable as utf-8 csv", parquet()),
    "a csv.gz that is none": Case("Not a gzipped file", CSV, "a.csv.gz"),
    "a truncated csv.gz": Case("ended before the end-of-stream marker", gzip.compress(CSV.encode())[:30], "a.csv.gz"),
    "a broken csv.gz": Case("not readable", overwritten(gzip.compress(CSV.encode()), 40), "a.csv.gz"),
    "another ending": Case("expected a name that ends in .csv, .csv.gz or .parquet", CSV, "a.txt"),
    "an endless first line": Case("field larger than field limit", f'"{"a" * 200_000}"\n1\n'),
    "latin-1 as utf-8": Case(
        "can't decode byte 0xfc in position 53: invalid start byte; prepare.csv.encoding names another",
        CSV.replace("Firefox", "Füchs").encode("latin-1"),
    ),
    "utf-16 as utf-8": Case("not readable as utf-8 csv", CSV.encode("utf-16")),
    "utf-8 as utf-16": Case("not readable as utf-16 csv", CSV, params={"csv.encoding": "utf-16"}),
    "big-endian utf-16": Case(
        "big-endian utf-16, which is not read; save it as utf-8",
        b"\xfe\xff" + CSV.encode("utf-16-be"),
        params={"csv.encoding": "utf-16"},
    ),
    "big-endian utf-16 in a csv.gz": Case(
        "big-endian utf-16, which is not read",
        gzip.compress(b"\xfe\xff" + CSV.encode("utf-16-be")),
        "a.csv.gz",
        {"csv.encoding": "utf-16"},
    ),
    "utf-16 without its mark as utf-8": Case(
        "not readable as utf-8 csv: it holds NUL, as utf-16 does; prepare.csv.encoding names another",
        CSV.encode("utf-16-be"),
    ),
    "one CRLF among LF": Case(MIXED, CSV.replace("\n", "\r\n", 1).encode()),
    "one LF among CRLF": Case(MIXED, CSV.replace("\n", "\r\n").replace("\r\n", "\n", 1).encode()),
    "CRLF and LF in a csv.gz": Case(MIXED, gzip.compress(CSV.replace("\n", "\r\n", 60).encode()), "a.csv.gz"),
    "two columns of one name": Case("two columns are named 'a'", "a,a,buys\n1,2,0\n"),
    "two names that differ in case": Case("two columns are named 'a'", "a,A,buys\n1,2,0\n"),
    "two columns of one name in a parquet": Case(
        "two columns are named 'a'",
        parquet(pa.table([[1, 2], [3, 4], [0, 1]], ["a", "a", "buys"])),
        "a.parquet",
    ),
}
TARGETS = {
    "no target": Case("no column 'Revenue' (prepare.target); it has pages, seconds", CSV, params={"target": "Revenue"}),
    "a target of one class": Case("target 'buys': all rows are of one class, '0'", SESSIONS.assign(buys=0)),
    "one class in two words": Case(
        "all rows are of one class, 'yes', 'true'", SESSIONS.assign(buys=["yes", "true", "yes"] * 40)
    ),
    "one class, declared": Case("all rows are of one class, '1'", SESSIONS.assign(buys=1), params={"positive": 1}),
    "a target of three classes": Case(
        "expected two classes, such as 0 and 1 or yes and no, got '0', '1', '2'; prepare.positive_class names",
        SESSIONS.assign(buys=[0, 1, 2] * 40),
    ),
    "a target of classes without meaning": Case("got 'left', 'stays'", SESSIONS.assign(buys=["left", "stays"] * 60)),
    "a target of many classes": Case("'106', …;", SESSIONS.assign(buys=range(120))),
    "no such positive value": Case(
        "no row is 7 (prepare.positive_class); it has '0', '1'", CSV, params={"positive": 7}
    ),
    "yes without quotes": Case(
        "no row is True (prepare.positive_class; in quotes it is a text); it has 'no', 'yes'",
        SESSIONS.assign(buys=["no", "no", "yes"] * 40),
        params={"positive": True},
    ),
    "a target with a missing value": Case("target 'buys': 1 rows without a value", with_value("buys", None)),
    "a target with NaN": Case(
        "target 'buys': 1 rows without a value",
        with_value("buys", np.nan).astype({"buys": float}),
        "a.parquet",
    ),
    "missing values among many classes": Case(
        "target 'buys': 60 rows without a value", SESSIONS.assign(buys=[*range(60), *[None] * 60])
    ),
}
COLUMNS = {
    "an infinite number": Case(
        "column 'seconds': 1 infinite values; mend them or leave it out with prepare.drop: [seconds]",
        with_value("seconds", np.inf),
    ),
    "an infinite number in a parquet": Case(
        "column 'seconds': 1 infinite", with_value("seconds", -np.inf).astype({"seconds": float}), "a.parquet"
    ),
    "a word among numbers": Case(
        "column 'seconds': 1 of 109 values are no numbers, such as 'soon'; name it in prepare.na_values, or "
        "the column in prepare.categories",
        with_value("seconds", "soon"),
    ),
    "another spelling of NaN": Case("1 of 120 values are no numbers, such as 'NAN'", with_value("pages", "NAN")),
    "words declared as numbers": Case(
        "112 of 112 values are no numbers, such as 'Chrome'", SESSIONS, params={"numbers": ["browser"]}
    ),
    "nothing but missing values": Case(
        "column 'x': every value is missing; leave it out with prepare.drop: [x]", SESSIONS.assign(x=None)
    ),
    "nothing but missing values in a parquet": Case(
        "column 'x': every value is missing", SESSIONS.assign(x=None), "a.parquet"
    ),
    "nothing but NaN in a parquet": Case("column 'x': every value is missing", SESSIONS.assign(x=np.nan), "a.parquet"),
    "a constant": Case(
        "column 'x': the same value in every row; leave it out with prepare.drop: [x]", SESSIONS.assign(x=1)
    ),
    "a constant text": Case("column 'x': the same value in every row", SESSIONS.assign(x="a")),
    "a text that names the rows": Case(
        "column 'x': 120 different texts in 120 rows; it seems to name rows; leave it out with prepare.drop",
        SESSIONS.assign(x=IDS),
    ),
    "a category that names the rows": Case(
        "column 'x': 120 different texts", SESSIONS.assign(x=range(1000, 1120)), params={"categories": ["x"]}
    ),
    **{
        f"dates written as {form}": Case(
            "column 'x': 120 different texts in 120 rows; they look like dates; write them as YYYY-MM-DD",
            SESSIONS.assign(x=DAYS.dt.strftime(form)),
        )
        for form in ("%d.%m.%Y", "%m/%d/%Y", "%d-%m-%y", "%Y/%m/%d", "%d.%m.%Y %H:%M")
    },
    "dates written another way, declared": Case(
        "column 'x' (prepare.dates): 120 of 120 values are no dates, such as '01.01.2024'; write dates as YYYY-MM-DD",
        SESSIONS.assign(x=DAYS.dt.strftime("%d.%m.%Y")),
        params={"dates": ["x"]},
    ),
    "numbers declared as dates": Case(
        "column 'x' (prepare.dates): 120 of 120 values are no dates, such as '20240101'; write",
        SESSIONS.assign(x=DAYS.dt.strftime("%Y%m%d")),
        params={"dates": ["x"]},
    ),
    "typed numbers declared as dates": Case(
        "column 'pages' (prepare.dates): int64 is no date; write", SESSIONS, "a.parquet", {"dates": ["pages"]}
    ),
    "a word among dates": Case(
        "column 'x': 1 of 120 values are no dates, such as 'soon'; name it in prepare.na_values, or the column in "
        "prepare.dates (then they are missing) or prepare.categories",
        SESSIONS.assign(x=DAYS.astype(str).where(DAYS.index != 3, "soon")),
    ),
    "a day that never was among dates": Case(
        "column 'x': 1 of 120 values are no dates, such as '2023-02-29'",
        SESSIONS.assign(x=DAYS.astype(str).where(DAYS.index != 3, "2023-02-29")),
    ),
    "dates declared as numbers": Case(
        "120 of 120 values are no numbers, such as '2024-01-01'; name it",
        SESSIONS.assign(x=DAYS.astype(str)),
        params={"numbers": ["x"]},
    ),
    "a date in every row": Case("column 'x': the same value in every row", SESSIONS.assign(x="2024-05-01")),
    "dates as a category that names the rows": Case(
        "120 different texts in 120 rows; it seems to name rows",
        SESSIONS.assign(x=DAYS.astype(str)),
        params={"categories": ["x"]},
    ),
    **{
        f"numbers such as {number(1234.5)}": Case(
            "column 'x': 120 different texts in 120 rows; they look like numbers; write them with a decimal point "
            "alone, as 1234.56",
            SESSIONS.assign(x=[number(1000.25 + place) for place in range(120)]),
        )
        for number in (comma, "{:,.2f}".format, lambda value: comma(value).replace("1", "1.", 1))
    },
    "decimal commas in a declared column": Case(
        "120 of 120 values are no numbers, such as '0,25'; they look like numbers; write them with a decimal point",
        SESSIONS.assign(x=[comma(place + 0.25) for place in range(120)]),
        params={"numbers": ["x"]},
    ),
    "a decimal comma among numbers": Case(
        "column 'seconds': 1 of 109 values are no numbers, such as '3,14'; they look like numbers; write",
        with_value("seconds", "3,14"),
    ),
    "nothing to predict from": Case("no columns are left to predict from", "buys\n1\n0\n"),
    "everything dropped": Case(
        "no columns are left to predict from", CSV, params={"drop": ["pages", "seconds", "browser"]}
    ),
}
NAMES = {
    f"an unknown name in {place}": Case(
        f"no column 'x' (prepare.{place}); it has pages, seconds, browser, buys", CSV, params={place: value}
    )
    for place, value in {
        "drop": ["x"],
        "categories": ["browser", "x"],
        "numbers": ["x"],
        "dates": ["x"],
        "keys.session": "x",
        "keys.visitor": "x",
        "keys.time": "x",
    }.items()
} | {
    "a name in another case": Case("no column 'Pages' (prepare.drop)", CSV, params={"drop": ["Pages"]}),
    "the target dropped": Case(
        "column 'buys' is named in both prepare.target and prepare.drop; name it once",
        CSV,
        params={"drop": ["buys"]},
    ),
    "a key dropped": Case(
        "column 'pages' is named in both prepare.keys.time and prepare.drop",
        CSV,
        params={"keys.time": "pages", "drop": ["pages"]},
    ),
    "the target as a key": Case(
        "column 'buys' is named in both prepare.target and prepare.keys.session",
        CSV,
        params={"keys.session": "buys"},
    ),
    "one column as two keys": Case(
        "column 'pages' is named in both prepare.keys.session and prepare.keys.visitor",
        CSV,
        params={"keys.session": "pages", "keys.visitor": "pages"},
    ),
    **{
        f"one column in {one} and {other}": Case(
            f"column 'pages' is named in both prepare.{one} and prepare.{other}; name it once",
            CSV,
            params={one: ["pages"], other: ["pages"]},
        )
        for one, other in (("categories", "numbers"), ("categories", "dates"), ("numbers", "dates"))
    },
    "a repeated session id": Case(
        "key 'id' (prepare.keys.session): 'id 4' stands in 2 rows; each session has one",
        SESSIONS.assign(id=[*IDS[:-1], "id 4"]),
        params={"keys.session": "id"},
    ),
    "a missing visitor": Case(
        "key 'browser' (prepare.keys.visitor): 8 rows without a value",
        CSV,
        params={"keys.visitor": "browser"},
    ),
}
LOG = pd.DataFrame(
    {
        "time": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(60), unit="min"),
        "visitor": np.arange(60) // 12,
        "session": np.arange(60) // 6,
        "event": "view",
        "page": np.arange(60) % 5,
    }
)
TIMES = LOG.time.astype(str)
LOGS = {
    "a log without times": Case(
        "no column 'time' for prepare.clicks.columns.time; it has visitor, session, event, page",
        LOG.drop(columns="time"),
    ),
    "a log without sessions": Case(
        "no column 'visit' for prepare.clicks.columns.session",
        LOG,
        params={"clicks.columns.session": "visit"},
    ),
    "a time that is none": Case(
        "column 'time': 1 rows without a readable time", LOG.assign(time=TIMES.where(LOG.index != 3, "soon"))
    ),
    "days written another way": Case(
        "column 'time': 60 rows without a readable time", LOG.assign(time=LOG.time.dt.strftime("%d.%m.%Y"))
    ),
    "a missing visitor in a log": Case(
        "column 'visitor': 1 rows without a visitor", LOG.assign(visitor=LOG.visitor.where(LOG.index != 3))
    ),
    "an unknown name for a column": Case(
        "prepare.clicks.columns.colour: unknown; known are time, visitor",
        LOG,
        params={"clicks.columns.colour": "c"},
    ),
    "an unknown event": Case(
        "prepare.clicks.events.look: unknown; known are view, click",
        LOG,
        params={"clicks.events.look": ["look"]},
    ),
    "an unknown page type": Case(
        "prepare.clicks.page_types.home: unknown; known are product",
        LOG,
        params={"clicks.page_types.home": ["h"]},
    ),
    "a log without views": Case(
        "no session reaches page view 3 without a purchase", LOG, params={"clicks.events.view": ["sight"]}
    ),
    "a log without purchases": Case("target 'Kauf': all rows are of one class, '0'", LOG),
}


def only_line(prepare, case: Case, **settings: Any) -> str:
    """The line that the prepare stage ends with, where an output stands already."""
    Path("prepared.parquet").write_bytes(EARLIER)
    ran = prepare(
        case.content, case.name, **settings, **{f"prepare.{key}": value for key, value in case.params.items()}
    )
    assert Path("prepared.parquet").read_bytes() == EARLIER
    assert {path.name for path in Path().iterdir()} == {"params.yaml", case.name, "prepared.parquet"}
    assert ran.out == ""
    start = f"prepare: {case.name}: "
    assert ran.error.startswith(start)
    return ran.error.removeprefix(start)


SESSION_CASES = FILES | TARGETS | COLUMNS | NAMES


@pytest.mark.parametrize("case", SESSION_CASES.values(), ids=SESSION_CASES)
def test_sessions_that_can_not_be_used_are_refused_in_one_line(prepare: PrepareTable, case) -> None:
    assert case.says in only_line(prepare, case)


@pytest.mark.parametrize("case", LOGS.values(), ids=LOGS)
def test_a_log_that_can_not_be_used_is_refused_in_one_line(prepare: PrepareTable, case) -> None:
    clicks = {"prepare.source_type": "clicks", "prepare.target": "Kauf"}
    assert case.says in only_line(prepare, case, **clicks)


BUYING_LOG = pd.concat([LOG, LOG[5::12].assign(event="purchase")])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"prepare.drop": ["colour"]},
            "no feature 'colour' (prepare.drop); there are month, sessionStartHour",
        ),
        ({"prepare.target": "weekday"}, "prepare.target: 'weekday' is the name of another column"),
        ({"prepare.target": "visitor"}, "prepare.target: 'visitor' is the name of another column"),
    ],
)
def test_names_that_do_not_fit_a_log_are_refused_in_one_line(prepare: PrepareTable, settings, says: str) -> None:
    clicks = {"prepare.source_type": "clicks", "prepare.target": "Kauf"}
    assert says in only_line(prepare, Case(says, BUYING_LOG, "a.parquet"), **clicks | settings)


def test_a_feature_of_a_log_can_be_dropped(prepared: PreparedSessions) -> None:
    settings = {
        "prepare.source_type": "clicks",
        "prepare.target": "Kauf",
        "prepare.drop": ["visitTimeLV", "weekday"],
    }
    names = prepared(BUYING_LOG, "a.parquet", **settings).names("feature")
    assert "recencyVisit" in names
    assert not {"visitTimeLV", "weekday"} & {*names}


@pytest.mark.parametrize(
    ("name", "says"), [("nowhere.csv", "no such file"), ("data.csv", "a folder without parquet files")]
)
def test_a_source_that_is_no_file_is_refused(run_stage: RunStage, write_params: WriteParams, name, says: str) -> None:
    write_params(**{"prepare.source_type": "sessions"})
    Path("data.csv").mkdir()
    assert run_stage("prepare", name, "prepared.parquet").error == f"prepare: {name}: {says}"


SPLIT = ("sessions.parquet", "train.parquet", "test.parquet", "targets.parquet", "encoder.json", "data.json")


def split_line(run_stage, rows: pd.DataFrame | bytes | None) -> str:
    """The line that the split stage ends with, where its outputs stand already."""
    for name in SPLIT[1:]:
        Path(name).write_bytes(EARLIER)
    if isinstance(rows, bytes):
        Path(SPLIT[0]).write_bytes(rows)
    elif rows is not None:
        write_sessions(Path(SPLIT[0]), as_sessions(rows, buys="target"))
    error = run_stage("split", *SPLIT).error
    assert [Path(name).read_bytes() for name in SPLIT[1:]] == [EARLIER] * 5
    assert error.startswith("split: ")
    return error


@pytest.mark.parametrize("by", ["visitor", "time"])
def test_a_split_without_its_key_is_refused(run_stage: RunStage, write_params: WriteParams, by) -> None:
    write_params(**{"split.strategy": by})
    assert split_line(run_stage, SESSIONS) == f"split: the sessions have no {by}; prepare.keys.{by} names its column"


@pytest.mark.parametrize("rows", [SESSIONS[:2], SESSIONS[:4], SESSIONS[1:6]], ids=["two", "four", "five"])
def test_too_few_rows_to_split_are_refused(run_stage: RunStage, write_params: WriteParams, rows) -> None:
    write_params()
    assert "too few rows" in split_line(run_stage, rows)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "sessions.parquet: no such file"),
        (parquet()[:-50], "sessions.parquet: not a whole parquet file"),
        (parquet(), "sessions.parquet: not a table of sessions with roles"),
    ],
    ids=["none", "truncated", "no roles"],
)
def test_sessions_that_no_stage_wrote_are_refused(
    run_stage: RunStage, write_params: WriteParams, content, says: str
) -> None:
    write_params()
    assert says in split_line(run_stage, content)


def test_too_few_purchases_for_smote_are_refused_before_training(
    run_stage: RunStage, write_params: WriteParams
) -> None:
    write_params(**{"smote_train.k_neighbors": 30})
    train = as_sessions(SESSIONS, buys="target")
    write_sessions(Path("train.parquet"), train)
    write_sessions(Path("test.parquet"), train.select("feature"))
    fit_encoder(train.features, standard(0.002)).save(Path("encoder.json"))
    Path("predictions.parquet").write_bytes(EARLIER)
    ran = run_stage("smote_train", "train.parquet", "test.parquet", "encoder.json", "model", "predictions.parquet")
    assert ran.error == (
        "smote_train: smote_train.k_neighbors: 30 is too high for 24 purchases in the training set; lower it to at "
        "most 23"
    )
    assert Path("predictions.parquet").read_bytes() == EARLIER
    assert not Path("model").exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.csv", "nowhere.csv: no such file"),
        ("a.csv", "a.csv: no column 'Kauf' (prepare.target); it has pages, seconds, browser, buys"),
    ],
)
def test_a_user_sees_one_line_and_an_exit_code(
    write_params: WriteParams, write_source: WriteSource, name, says: str
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
def test_a_wrong_number_of_paths_is_told_with_the_usage(run_stage: RunStage, paths) -> None:
    ran = run_stage("prepare", *paths)
    assert ran.code == 2
    assert ran.err.startswith("usage: python -m stages.prepare [-h] clicks_or_sessions sessions\n")
