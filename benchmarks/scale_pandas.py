"""A fifth of prepare's measures as one would write them in pandas, to compare with; python -m benchmarks.scale runs it.

The visits' totals and what the first page views come to, without the visitor's past and without checks. A lower bound:
all measures would take longer and more.
"""

import sys
from pathlib import Path

import pandas as pd

AT_VIEW = 3
SESSION = ["visitor", "session"]
ROLES = ("product", "search", "overview", "sale", "cart")


def measure(log: pd.DataFrame) -> pd.DataFrame:
    """A row for each session that reaches its third page view."""
    log = log.sort_values([*SESSION, "time"], kind="stable")
    views = log[log["event"] == "view"]
    views = views.assign(number=views.groupby(SESSION).cumcount() + 1)
    now = views[views["number"] == AT_VIEW].set_index(SESSION)
    opening = views[views["number"] <= AT_VIEW]
    opening = opening.assign(**{f"now_{role}": opening["page_type"] == role for role in ROLES})
    found = opening.groupby(SESSION)[[f"now_{role}" for role in ROLES]].sum()
    found["pages"] = opening.groupby(SESSION)["page"].nunique()
    found["seconds"] = (now["time"] - opening.groupby(SESSION)["time"].min()).dt.total_seconds()
    totals = log.groupby(SESSION)["time"].agg(start="min", end="max")
    for event in ("view", "add", "purchase"):
        totals[f"{event}s"] = (log["event"] == event).groupby([log[key] for key in SESSION]).sum()
    seen = log.join(now["time"].rename("scored"), on=SESSION)
    seen = seen[(seen["event"] != "view") & (seen["time"] < seen["scored"])]
    for event in ("click", "scroll", "tab", "add"):
        found[f"seen_{event}s"] = (seen["event"] == event).groupby([seen[key] for key in SESSION]).sum()
    found = found.fillna(0).join(totals).join(now[["browser", "operating_system", "screen_width", "window_width"]])
    return found.loc[now.index].sort_values(["start", *SESSION])


def main() -> None:
    log, output = map(Path, sys.argv[1:])
    measure(pd.read_parquet(log)).to_parquet(output)


if __name__ == "__main__":
    main()
