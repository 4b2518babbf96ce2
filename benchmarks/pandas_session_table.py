"""A fifth of the features of the prepare stage, written in pandas, for benchmarks.prepare_by_events to compare with.

Computes the totals of each session and some features of its first page views, without the visitor's history and without
checks: all features would take more time and memory.
"""

import sys
from pathlib import Path

import pandas as pd

SCORED_VIEW = 3
SESSION = ["visitor", "session"]
PAGE_TYPES = ("product", "search", "overview", "sale", "cart")


def session_table(log: pd.DataFrame) -> pd.DataFrame:
    """One row per session that has a third page view."""
    log = log.sort_values([*SESSION, "time"], kind="stable")
    views = log[log["event"] == "view"]
    views = views.assign(number=views.groupby(SESSION).cumcount() + 1)
    scored_view = views[views["number"] == SCORED_VIEW].set_index(SESSION)
    first_views = views[views["number"] <= SCORED_VIEW]
    first_views = first_views.assign(**{name: first_views["page_type"] == name for name in PAGE_TYPES})
    table = first_views.groupby(SESSION)[[*PAGE_TYPES]].sum()
    table["pages"] = first_views.groupby(SESSION)["page"].nunique()
    table["seconds"] = (scored_view["time"] - first_views.groupby(SESSION)["time"].min()).dt.total_seconds()
    totals = log.groupby(SESSION)["time"].agg(start="min", end="max")
    for event in ("view", "add", "purchase"):
        totals[f"{event}s"] = count_events(log, event)
    before = log.join(scored_view["time"].rename("scored"), on=SESSION)
    before = before[(before["event"] != "view") & (before["time"] < before["scored"])]
    for event in ("click", "scroll", "tab", "add"):
        table[f"{event}s_before"] = count_events(before, event)
    device = scored_view[["browser", "operating_system", "screen_width", "window_width"]]
    table = table.fillna(0).join(totals).join(device)
    return table.loc[scored_view.index].sort_values(["start", *SESSION])


def count_events(log: pd.DataFrame, event: str) -> pd.Series:
    """How many such events each session has."""
    return (log["event"] == event).groupby([log[key] for key in SESSION]).sum()


def main() -> None:
    log, output = map(Path, sys.argv[1:])
    session_table(pd.read_parquet(log)).to_parquet(output)


if __name__ == "__main__":
    main()
