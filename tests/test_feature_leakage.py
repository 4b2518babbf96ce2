"""No feature of a session knows what comes after the page view at which it is scored."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import RunStage, WriteParams

from stages.lib.dataset.sessions import read_sessions

SECOND = timedelta(seconds=1)


def unchanged(later: pd.DataFrame) -> pd.DataFrame:
    return later


def removed(later: pd.DataFrame) -> pd.DataFrame:
    return later[:0]


def postponed(later: pd.DataFrame) -> pd.DataFrame:
    delay = SECOND * pd.Series(np.arange(1, len(later) + 1) % 9999, later.index)
    return later.assign(time=later["time"] + delay)


def repeated(later: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([later, later])


def altered(later: pd.DataFrame) -> pd.DataFrame:
    """Each event of another kind, on another event's page and in its browser, with absurd numbers."""
    kinds = np.random.default_rng(0).choice(["view", "click", "scroll", "tab", "add", "remove"], len(later))
    events = later.assign(event=kinds)
    texts = ["page", "page_type", "browser"]
    events[texts] = later[texts].sample(frac=1, random_state=0).set_axis(later.index)
    numbers = ["price", "quantity", "checkout_step", "window_width", "tab_visible"]
    events[numbers] = 1000 + later[numbers].fillna(0)
    return events


def with_a_purchase(later: pd.DataFrame) -> pd.DataFrame:
    """A purchase right after the scored view."""
    first = later.drop_duplicates(["visitor", "scored"])
    return pd.concat([later, first.assign(time=first["now"] + SECOND / 1000, event="purchase")])


# What becomes of the events of each session that come after its scored view, which is at `now`.
CHANGES: tuple[Callable[[pd.DataFrame], pd.DataFrame], ...] = (
    unchanged,
    removed,
    postponed,
    repeated,
    altered,
    with_a_purchase,
)


@pytest.mark.parametrize(("views", "view"), [([3], 3), ([1, 3, 5], 1), ([1, 3, 5], 3), ([1, 3, 5], 5)])
def test_later_events_change_no_feature_of_any_session(
    run_stage: RunStage, write_params: WriteParams, views: list[int], view: int
) -> None:
    write_params(**{
        "simulate.sessions": 300, "simulate.purchases": 25, "prepare.clicks.session_ids": "per_visitor",
        "prepare.clicks.score_at_views": views,
    })  # fmt: skip
    assert run_stage("simulate", "clicks.parquet").code == 0
    log = pq.read_table("clicks.parquet").to_pandas()
    page_views = log[log["event"] == "view"]
    scored = page_views[page_views.groupby("session").cumcount() == view - 1][["visitor", "session", "time"]]
    # The visitor's whole log once for each scored session, so that each keeps its own past while its end changes.
    events = scored.set_axis(["visitor", "scored", "now"], axis=1).merge(log, on="visitor")
    is_later = (events["session"] == events["scored"]) & (events["time"] > events["now"])
    copies = [
        pd.concat([events[~is_later], change(events[is_later])]).assign(change=change.__name__) for change in CHANGES
    ]
    log = pd.concat(copies, ignore_index=True)
    log["visitor"] = log["visitor"].astype(str) + "/" + log["scored"].astype(str) + "/" + log["change"]
    log.drop(columns=["scored", "now", "change"]).to_parquet("copies.parquet")
    ran = run_stage("prepare", "copies.parquet", "sessions.parquet")
    assert ran.code == 0, ran.err
    sessions = read_sessions(Path("sessions.parquet")).to_arrow().to_pandas()
    if len(views) > 1:  # a weight, which is no feature, tells how often the session is scored later
        sessions = sessions[sessions["view"] == view].drop(columns="weight", errors="ignore")
    sessions[["visitor", "scored", "change"]] = sessions["visitor"].str.split("/", expand=True)
    sessions = sessions[sessions["session"].astype(str) == sessions["scored"]].set_index(["visitor", "scored"])
    features = {str(name): rows.drop(columns="change") for name, rows in sessions.groupby("change")}
    purchases = {name: rows.pop("Kauf").sum() for name, rows in features.items()}
    n_rows = len(features["unchanged"])
    assert len(features) == len(CHANGES) and (n_rows == 300 if view == 3 else n_rows > 150)
    assert purchases["removed"] == 0 and purchases["with_a_purchase"] > 0.8 * n_rows
    assert purchases["unchanged"] == 25 if view == 3 else purchases["unchanged"] > 10
    for rows in features.values():
        pd.testing.assert_frame_equal(rows, features["unchanged"], check_exact=True)
