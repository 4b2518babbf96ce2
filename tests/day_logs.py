"""Random click logs in parts, and a folder of parts that is prepared as they arrive."""

import random
import shutil
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from click_logs import OWN_NAMES, as_table, click_settings, prepare_settings, random_log
from click_oracle import Event
from helpers import ROOT

from stages.lib.common.params import Params, Prepare
from stages.lib.dataset.left_out import LeftOut
from stages.lib.days.prepare_days import prepare_days
from stages.lib.preparation.prepare import prepare_clicks
from stages.lib.preparation.reader import open_source

Change = Callable[[random.Random, list[Event]], list[Event]]

VIEWS = [1, 3]


def as_they_are(_: random.Random, log: list[Event]) -> list[Event]:
    return log


def anonymous(rng: random.Random, log: list[Event]) -> list[Event]:
    """Some events, perhaps the first of their session, without a visitor."""
    return [event | ({"visitor": None} if rng.random() < 0.1 else {}) for event in log]


def logged_in(rng: random.Random, log: list[Event]) -> list[Event]:
    """Each session has an id of its own, and perhaps a second visitor."""
    return [
        event
        | {"session": event["visitor"] + event["session"]}
        | ({"visitor": "account"} if rng.random() < 0.1 else {})
        for event in log
    ]


# For each kind of log, how it is changed, and the params that it needs
KINDS: dict[str, tuple[Change, dict[str, Any]]] = {
    "ids of each visitor": (as_they_are, {"session_ids": "per_visitor"}),
    "without visitors": (anonymous, {"session_ids": "per_visitor"}),
    "several visitors": (logged_in, {"session_ids": "global"}),
    "without sessions": (as_they_are, {"columns": OWN_NAMES | {"session": None}, "session_gap": 20}),
    "bots": (logged_in, {"session_ids": "global", "max_events_per_session": 18}),
}


def log_parts(seed: int, change: Change = as_they_are, n_parts: int = 4, visitors: int = 8) -> list[pa.Table]:
    """A random log by date, in which some events are late, and some come twice, perhaps in another part."""
    rng = random.Random(seed)
    by_date: dict[Any, list[Event]] = {}
    for event in change(rng, random_log(seed, visitors)):
        arrivals = [rng.choice([1, 2]) if rng.random() < 0.05 else 0]
        if rng.random() < 0.03:
            arrivals.append(rng.choice([0, 1]))
        for days in arrivals:
            by_date.setdefault(event["time"].date() + timedelta(days=days), []).append(event)
    events = [event for date in sorted(by_date) for event in by_date[date]]
    # Of several days each, since many small parts take longer
    cuts = [0, *sorted(rng.sample(range(1, len(events)), n_parts - 1)), len(events)]
    return [as_table(events[start:stop]) for start, stop in pairwise(cuts)]


class DayLog:
    """A folder of parts, what is known of them, and its session table."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        clicks = click_settings(VIEWS, **{"days": "*", "duplicates": "drop"} | changes)
        self.folder = folder
        self.prepare: Prepare = prepare_settings(clicks)
        self.runtime = Params.load(ROOT / "params.yaml").runtime.model_copy(update={"memo": str(folder / "memo")})
        (folder / "log").mkdir(parents=True)

    def write(self, number: int, part: pa.Table) -> None:
        pq.write_table(part, self.folder / f"log/{number:02}.parquet")

    def run(self) -> dict[str, bytes]:
        """Prepare what is there; returns the files of the session table."""
        prepare_days(self.folder / "log", self.prepare, self.runtime, self.folder / "sessions", LeftOut())
        return {path.name: path.read_bytes() for path in (self.folder / "sessions").iterdir()}

    def learn_parts_of(self, other: "DayLog") -> None:
        """Take over what is known of single parts, which saves time."""
        shutil.copytree(other.folder / "memo/parts", self.folder / "memo/parts")

    @property
    def rows(self) -> pd.DataFrame:
        files = sorted((self.folder / "sessions").glob("*.parquet"))
        return pd.concat([pq.ParquetFile(file).read().to_pandas() for file in files], ignore_index=True)

    def rows_without_days(self) -> pd.DataFrame:
        """The session table of the whole log, as it is prepared without `prepare.clicks.days`."""
        clicks = self.prepare.clicks.model_copy(update={"days": None})
        settings = self.prepare.model_copy(update={"clicks": clicks})
        with open_source(self.folder / "log", settings, self.folder / "plain", left_out=LeftOut()) as (rows, engine):
            return prepare_clicks(rows, settings, engine, LeftOut()).table.to_pandas()


def in_order(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The rows by time and session, whose ids are texts."""
    rows = rows.astype({"visitor": str, "session": str})
    return rows.sort_values(["time", "visitor", "session", "view"])[columns].reset_index(drop=True)
