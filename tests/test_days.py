"""A log that grows by parts: prepared part by part, in any order, it gives the same as all at once."""

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click_logs import as_table, click_settings, prepare_settings, random_log
from click_oracle import Event
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.lib.common.params import Params, Prepare
from stages.lib.dataset.left_out import LeftOut
from stages.lib.days.prepare_days import prepare_days
from stages.lib.preparation.prepare import prepare_clicks
from stages.lib.preparation.reader import open_source

DAY = pd.Timedelta(days=1)


def log_parts(
    seed: int, changed: Callable[[random.Random, list[Event]], list[Event]] = lambda _, log: log
) -> list[pa.Table]:
    """A random log by date; some events are late, and some come twice, perhaps in another part."""
    rng = random.Random(seed)
    log = changed(rng, random_log(seed, visitors=12))
    parts: dict[Any, list[Event]] = {}
    for event in log:
        late = rng.choice([1, 2]) if rng.random() < 0.05 else 0
        parts.setdefault(event["time"].date() + late * DAY, []).append(event)
        if rng.random() < 0.03:
            parts.setdefault(event["time"].date() + rng.choice([0, 1]) * DAY, []).append(event)
    # A few larger parts take less time than many small ones.
    ordered = [event for date in sorted(parts) for event in parts[date]]
    cuts = [0, *sorted(rng.sample(range(1, len(ordered)), 3)), len(ordered)]
    return [as_table(ordered[start:stop]) for start, stop in pairwise(cuts)]


def days_settings(**changes: Any) -> Prepare:
    return prepare_settings(click_settings([1, 3], days="*", **{"duplicates": "drop"} | changes)).model_copy(
        update={"target": "Kauf"}
    )


class Log:
    """A folder of parts, its memo and its output."""

    def __init__(self, folder: Path, prepare: Prepare) -> None:
        self.folder, self.prepare = folder, prepare
        self.runtime = Params.load(ROOT / "params.yaml").runtime.model_copy(update={"memo": str(folder / "memo")})
        (folder / "log").mkdir(parents=True)

    def write(self, number: int, part: pa.Table) -> None:
        pq.write_table(part, self.folder / f"log/{number:02}.parquet")

    def run(self) -> dict[str, bytes]:
        """The files of the output."""
        prepare_days(self.folder / "log", self.prepare, self.runtime, self.folder / "sessions", LeftOut())
        return {path.name: path.read_bytes() for path in (self.folder / "sessions").iterdir()}

    def plain(self) -> pd.DataFrame:
        """The sessions as the whole log gives them, without days."""
        clicks = self.prepare.clicks.model_copy(update={"days": None})
        plain = self.prepare.model_copy(update={"clicks": clicks})
        with open_source(self.folder / "log", plain, self.folder / "plain", left_out=LeftOut()) as (rows, engine):
            return prepare_clicks(rows, plain, engine, LeftOut()).table.to_pandas()

    def rows(self) -> pd.DataFrame:
        files = sorted((self.folder / "sessions").glob("*.parquet"))
        return pd.concat([pq.ParquetFile(file).read().to_pandas() for file in files], ignore_index=True)


def in_order(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    rows = rows.astype({"visitor": str, "session": str})
    return rows.sort_values(["time", "visitor", "session", "view"])[columns].reset_index(drop=True)


def anonymous(rng: random.Random, log: list[Event]) -> list[Event]:
    """Some events without a visitor, and sessions that begin without one."""
    return [event | ({"visitor": None} if rng.random() < 0.1 else {}) for event in log]


def shared_ids(rng: random.Random, log: list[Event]) -> list[Event]:
    """Session ids of their own, but for those who log in within a session."""
    return [
        event
        | {
            "session": event["visitor"] + event["session"],
            "visitor": event["visitor"] if rng.random() < 0.9 else "account",
        }
        for event in log
    ]


CASES: dict[str, tuple[Callable[[random.Random, list[Event]], list[Event]], dict[str, Any]]] = {
    "ids of each visitor": (lambda _, log: log, {"session_ids": "per_visitor"}),
    "without visitors": (anonymous, {"session_ids": "per_visitor"}),
    "shared sessions": (shared_ids, {"session_ids": "global"}),
    "bots": (shared_ids, {"session_ids": "global", "max_events_per_session": 12}),
}


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.permutations(range(4)))
def test_parts_in_any_order_give_what_the_whole_log_gives(
    tmp_path_factory: pytest.TempPathFactory, case: str, seed: int, order: list[int]
) -> None:
    changed, changes = CASES[case]
    parts = log_parts(seed, changed)
    at_once = Log(tmp_path_factory.mktemp("at_once"), days_settings(**changes))
    for number, part in enumerate(parts):
        at_once.write(number, part)
    expected = at_once.run()
    one_by_one = Log(tmp_path_factory.mktemp("one_by_one"), days_settings(**changes))
    for number in order:
        one_by_one.write(number, parts[number])
        actual = one_by_one.run()
    assert actual == expected
    plain = at_once.plain()
    columns = [*plain.columns]
    pd.testing.assert_frame_equal(in_order(at_once.rows(), columns), in_order(plain, columns))
