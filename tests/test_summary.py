"""What data.json says of the sessions, compared to counts by hand; and a fingerprint of the content alone."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import RunStage, WriteParams, as_sessions, sessions_frame

from stages.lib.dataset.day_files import with_schema
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.sessions import Sessions, read_sessions, write_sessions
from stages.lib.dataset.splits import train_test_split
from stages.lib.profiling.summary import fingerprint, summarize

PATHS = ("sessions.parquet", "train.parquet", "test.parquet", "targets.parquet", "data.json")
FRAME = sessions_frame().assign(day=[date(2020, 1, 31) - timedelta(days=row % 31) for row in range(120)])


def sessions(frame: pd.DataFrame = FRAME, **roles: str) -> Sessions:
    return as_sessions(frame, **{"buys": "target", "day": "time"} | roles)


def with_value(column: str, value: Any) -> Sessions:
    """The sessions with another value in one row."""
    return sessions(FRAME.assign(**{column: FRAME[column].where(FRAME.index != 5, value)}))


def test_data_json_summarizes_the_sessions_and_the_split(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**{"split.strategy": "temporal", "split.leakage_auc": 0.99})
    write_sessions(Path(PATHS[0]), sessions())
    ran = run_stage("split", *PATHS)
    assert ran.code == 0, ran.err
    train_idx, test_idx = train_test_split(sessions(), "temporal", 0.2, seed=42)
    assert json.loads(Path("data.json").read_text()) == {
        "rows": 120,
        "purchases": 30,
        "purchase_rate": 0.25,
        "features": 3,
        "missing_share": round((12 + 8) / (120 * 3), 6),
        "train_rows": len(train_idx),
        "test_rows": len(test_idx),
        "duplicates_across": 2,  # two that have no seconds
        "first": "2020-01-01",
        "last": "2020-01-31",
        "split_strategy": "temporal",
        "fingerprint": fingerprint(sessions()),
    }


def test_sessions_of_several_rows_are_counted_once(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params()
    # Two visitors may use the same session id.
    rows = FRAME.assign(id=FRAME.index // 3 % 20, visitor=FRAME.index // 60, view=FRAME.index % 3)
    rows["buys"] = (FRAME.index // 3 % 4 == 0).astype(int)
    roles = {"id": "key", "visitor": "visitor", "view": "view", "buys": "target"}
    several = as_sessions(rows[["pages", "seconds", "browser", *roles]], **roles)
    write_sessions(Path(PATHS[0]), several)
    assert run_stage("split", *PATHS).code == 0
    data = json.loads(Path("data.json").read_text())
    assert (data["rows"], data["sessions"], several.n_sessions) == (120, 40, 40)
    assert "sessions" not in summarize(sessions()) and sessions().n_sessions == 120


@pytest.mark.parametrize(
    ("time", "first"),
    [
        (pd.Timestamp("2020-01-01 23:59:59"), "2020-01-01T23:59:59"),
        (pd.Timestamp("2020-01-01 00:00:00.5", tz="UTC"), "2020-01-01T00:00:00.500000+00:00"),
        (1_577_836_800, None),
        ("one", None),
    ],
    ids=["a timestamp", "with a time zone", "a number", "a text"],
)
def test_the_period_is_in_the_summary_if_times_are_dates(time: Any, first: str | None) -> None:
    summary = summarize(sessions(sessions_frame().assign(day=time)))
    assert (summary.get("first"), summary.get("last")) == (first, first)
    assert not {"first", "last"} & set(summarize(sessions(sessions_frame())))


def test_the_fingerprint_does_not_depend_on_how_the_content_is_stored(tmp_path: Path) -> None:
    rows = sessions()
    for size, codec in ((7, "snappy"), (120, "zstd")):
        pq.write_table(rows.table, tmp_path / "a.parquet", row_group_size=size, compression=codec)
        assert fingerprint(read_sessions(tmp_path / "a.parquet")) == fingerprint(rows)
    assert fingerprint(rows.take(np.arange(120))) == fingerprint(rows)
    assert len(fingerprint(rows)) == 16 and int(fingerprint(rows), 16)


@pytest.mark.parametrize(
    "changed",
    [
        with_value("pages", 99),
        with_value("seconds", np.nan),
        with_value("browser", "Opera"),
        sessions(FRAME.assign(pages=FRAME["pages"].astype("int32"))),
        sessions(FRAME.rename(columns={"pages": "sites"})),
        sessions(FRAME[::-1]),
        sessions(FRAME[["seconds", "pages", "browser", "buys", "day"]]),
        sessions(browser="key"),
    ],
    ids=["number", "missing value", "text", "type", "name", "order of rows", "order of columns", "role"],
)
def test_the_fingerprint_differs_for_any_other_content(changed: Sessions) -> None:
    assert fingerprint(changed) != fingerprint(sessions())


def test_what_split_leaves_out_is_in_data_json_after_what_prepare_left_out(
    run_stage: RunStage, write_params: WriteParams
) -> None:
    write_params(**{"split.days": 10, "split.leakage_auc": 0.99})
    rows = sessions(FRAME.assign(day=pd.to_datetime(FRAME["day"]), currency=1))
    found = LeftOut()
    found.add("left out rows without a visitor", 3)
    write_sessions(Path(PATHS[0]), with_schema(rows, found.attach(rows.table.schema)))
    assert run_stage("split", *PATHS).code == 0
    by_prepare, days, constant = json.loads(Path("data.json").read_text())["left_out"]
    earlier = int((rows.column("time") < pd.Timestamp("2020-01-22")).sum())
    assert by_prepare["what"] == "left out rows without a visitor" and earlier > 0
    assert (days["what"], days["count"], days["hint"]) == ("left out the rows before 2020-01-22", earlier, "split.days")
    assert constant["what"] == "left out the features that are the same in every session, currency"
