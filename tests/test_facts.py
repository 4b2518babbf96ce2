"""What data.json says of the sessions, held to counts by hand; and a fingerprint of the content alone."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import RunStage, WriteParams, as_sessions, sessions_frame

from stages.lib.dataset.sessions import Sessions, read_sessions, write_sessions
from stages.lib.dataset.splits import train_test_split
from stages.lib.profiling.summary import fingerprint, summarize

PATHS = ("sessions.parquet", "train.parquet", "test.parquet", "targets.parquet", "encoder.json", "data.json")
FRAME = sessions_frame().assign(day=[date(2020, 1, 31) - timedelta(days=row % 31) for row in range(120)])


def sessions(frame: pd.DataFrame = FRAME, **roles: str) -> Sessions:
    return as_sessions(frame, **{"buys": "target", "day": "time"} | roles)


def test_data_json_holds_the_facts_of_the_split_s_sessions(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**{"split.strategy": "temporal", "train_base.encoding.min_frequency": 0.0, "split.leakage_auc": 0.99})
    write_sessions(Path(PATHS[0]), sessions())
    ran = run_stage("split", *PATHS)
    assert ran.code == 0, ran.err
    stay, held = train_test_split(sessions(), "time", 0.2, seed=42)
    assert json.loads(Path("data.json").read_text()) == {
        "rows": 120,
        "purchases": 30,
        "rate": 0.25,
        "features": 3,
        "inputs": 6,  # pages, seconds, its mark of missing ones, and four browsers less one, none being the fourth
        "missing_share": round((12 + 8) / (120 * 3), 6),
        "train_rows": len(stay),
        "test_rows": len(held),
        "duplicates_across": 2,  # two that have no seconds
        "first": "2020-01-01",
        "last": "2020-01-31",
        "split_by": "time",
        "fingerprint": fingerprint(sessions()),
    }


@pytest.mark.parametrize(
    ("time", "first"),
    [
        (pd.Timestamp("2020-01-01 23:59:59"), "2020-01-01T23:59:59"),
        (pd.Timestamp("2020-01-01 00:00:00.5", tz="UTC"), "2020-01-01T00:00:00.500000+00:00"),
        (1_577_836_800, None),
        ("one", None),
    ],
    ids=["a moment", "with a zone", "a number", "a text"],
)
def test_the_first_and_the_last_time_are_said_where_they_are_dates(time, first) -> None:
    said = summarize(sessions(sessions_frame().assign(day=time)))
    assert (said.get("first"), said.get("last")) == (first, first)
    assert not {"first", "last"} & {*summarize(sessions(sessions_frame()))}


def test_the_fingerprint_is_that_of_the_content_however_it_is_stored(tmp_path: Path) -> None:
    rows = sessions()
    for size, codec in ((7, "snappy"), (120, "zstd")):
        pq.write_table(rows.table, tmp_path / "a.parquet", row_group_size=size, compression=codec)
        assert fingerprint(read_sessions(tmp_path / "a.parquet")) == fingerprint(rows)
    assert fingerprint(rows.take(np.arange(120))) == fingerprint(rows)
    assert len(fingerprint(rows)) == 16 and int(fingerprint(rows), 16)


@pytest.mark.parametrize(
    "changed",
    [
        sessions(FRAME.assign(pages=FRAME.pages.where(FRAME.index != 5, FRAME.pages + 1))),
        sessions(FRAME.assign(seconds=FRAME.seconds.where(FRAME.index != 5, np.nan))),
        sessions(FRAME.assign(browser=FRAME.browser.where(FRAME.index != 5, "Opera"))),
        sessions(FRAME.assign(pages=FRAME.pages.astype("int32"))),
        sessions(FRAME.rename(columns={"pages": "sites"})),
        sessions(FRAME[::-1]),
        sessions(FRAME[["seconds", "pages", "browser", "buys", "day"]]),
        sessions(browser="key"),
    ],
    ids=["a number", "a missing one", "a text", "a type", "a name", "the rows' order", "the columns'", "a role"],
)
def test_the_fingerprint_tells_any_other_content(changed) -> None:
    assert fingerprint(changed) != fingerprint(sessions())
