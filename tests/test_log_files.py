"""Log files as trackers write them, in other forms and with other names, give the same sessions."""

from pathlib import Path
from typing import Any

import pytest
from helpers import SHARED_DATA, RunStage, WriteParams
from tracker_logs import OUTPUT, PARAMS

from stages.lib.dataset.sessions import read_sessions

CASES = SHARED_DATA.parent / "cases"
RETAILROCKET = {
    "prepare.clicks.columns": {
        "time": "timestamp", "visitor": "visitorid", "session": None, "event": "event", "page": "itemid",
    },
    "prepare.clicks.events.add": ["addtocart"],
    "prepare.clicks.events.purchase": ["transaction"],
}  # fmt: skip
FILES: dict[str, tuple[dict[str, Any], int]] = {
    "log.parquet": ({}, 338),
    "log_null_visitors.csv": ({}, 338),
    "log_null_session.csv": ({"prepare.clicks.missing_session": "drop"}, 338),
    "log_login.csv": ({}, 338),
    "log_no_session.csv": (RETAILROCKET, 338),
    "log_event_names.csv": (
        {"prepare.clicks.events.add": ["add_to_cart"], "prepare.clicks.events.purchase": ["purchase", "Purchase"]},
        338,
    ),
    "log_twice.parquet": ({}, 338),
    "log_refunds.csv": ({}, 393),
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the log files are not beside the checkout")
@pytest.mark.parametrize("name", FILES)
def test_each_file_is_read_as_it_should_be(name: str, run_stage: RunStage, write_params: WriteParams) -> None:
    params, scored = FILES[name]
    write_params(**PARAMS | params)
    ran = run_stage("prepare", CASES / name, OUTPUT)
    assert ran.code == 0, ran.err
    table = read_sessions(OUTPUT).to_arrow()
    assert (len(table), sum(table["bought"].to_pylist())) == (scored, 55)
    if name not in ("log_null_visitors.csv", "log_null_session.csv", "log_refunds.csv"):
        seconds, visits = table["sessionTime"].to_pandas(), table["frequencyVisit"].to_pylist()
        assert (seconds.median(), round(seconds.mean(), 2), max(visits)) == (98.5, 96.72, 2)


@pytest.mark.skipif(not CASES.is_dir(), reason="the log files are not beside the checkout")
def test_a_time_in_any_unit_gives_the_same_bytes(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**PARAMS)
    for name in ("log.parquet", "log_microseconds.parquet", "log_nanoseconds.parquet", "log_float_seconds.csv"):
        assert run_stage("prepare", CASES / name, Path(f"{name}.prepared")).code == 0
    expected = Path("log.parquet.prepared").read_bytes()
    assert all(path.read_bytes() == expected for path in Path().glob("*.prepared"))
