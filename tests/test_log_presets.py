"""The logs for which docs/your-data.md has params: each on a small made-up log of exactly that form."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers import ROOT, RunStage, WriteParams
from ruamel.yaml import YAML
from tracker_logs import LOG, PURCHASES, SCORED

from stages.lib.dataset.sessions import read_sessions

DOCS = ROOT / "docs" / "your-data.md"
RAW = Path("data/raw")
SECONDS = LOG.time.astype("int64") // 10**9
NUMBERS = LOG.assign(
    visitor=LOG.visitor.str[1:].astype(int), session=LOG.session.str[1:].astype(int) + 1, seconds=SECONDS
)
ITEMS = LOG.page.str[1:]


def preset(title: str) -> tuple[str, dict[str, Any]]:
    """The Python code of a section of the docs, empty if it has none, and its params by dotted keys."""
    section = re.split(r"\n##+ ", DOCS.read_text(encoding="utf-8").split(f"\n### {title}\n")[1])[0]
    code = "".join(re.findall(r"^```python\n(.*?)^```", section, re.M | re.S))
    (params,) = re.findall(r"^```yaml\n(.*?)^```", section, re.M | re.S)
    return code, dict(dotted(YAML(typ="safe").load(params)))


def dotted(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        # A mapping of columns replaces the default one.
        if isinstance(value, dict) and key != "columns":
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def write_rees46() -> int:
    rows = pd.DataFrame(
        {
            "event_time": LOG.time.astype(str) + " UTC",
            "event_type": LOG.event.replace("add", "cart"),
            "product_id": ITEMS,
            "category_id": 2053013555631882655,
            "category_code": "electronics.smartphone",
            "brand": "apple",
            "price": LOG.price,
            "user_id": NUMBERS.visitor + 512475445,
            "user_session": "9d0c2fab-0000-4000-8000-" + NUMBERS.session.astype(str).str.zfill(12),
        }
    )
    pd.concat([rows, rows.head(2).assign(user_session=None)]).to_csv(RAW / "rees46.csv", index=False)
    return 2


def write_google_analytics() -> int:
    names = LOG.event.replace({"view": "page_view", "add": "add_to_cart"})
    starts = SECONDS.groupby(LOG.session).transform("min")
    events: list[dict[str, Any]] = []
    for row, name, start in zip(NUMBERS.to_dict("records"), names, starts, strict=True):
        events.append(
            {
                "event_date": f"{row['time']:%Y%m%d}",
                "event_timestamp": f"{row['seconds']}000000",
                "event_name": name,
                "event_params": [
                    {"key": "ga_session_id", "value": {"int_value": str(start)}},
                    {"key": "page_location", "value": {"string_value": f"https://shop.example/{row['page']}"}},
                ],
                "user_pseudo_id": f"{row['visitor']}.16",
                "device": {"operating_system": "Web", "web_info": {"browser": "Chrome", "browser_version": "91.0"}},
                "ecommerce": {"purchase_revenue": row["price"]} if name == "purchase" else {},
            }
        )
    # Without consent there are neither visitors nor sessions.
    unknown = {"event_params": [{"key": "page_location", "value": {"string_value": "https://shop.example/p0"}}]}
    events += [{key: value for key, value in (events[0] | unknown).items() if key != "user_pseudo_id"}] * 3
    (RAW / "events_20240310.json").write_text("".join(json.dumps(event) + "\n" for event in events))
    return 3


def write_retailrocket() -> int:
    pd.DataFrame(
        {
            "timestamp": SECONDS * 1000,
            "visitorid": NUMBERS.visitor,
            "event": LOG.event.replace({"add": "addtocart", "purchase": "transaction"}),
            "itemid": ITEMS,
            "transactionid": NUMBERS.session.where(LOG.event == "purchase").astype("Int64"),
        }
    ).to_csv(RAW / "events.csv", index=False)
    return 0


def write_yoochoose() -> int:
    rows = pd.DataFrame(
        {
            "session": NUMBERS.session,
            "time": LOG.time.dt.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "item": ITEMS,
            "category": "0",
            "price": LOG.price,
            "quantity": 1,
        }
    )
    views = rows[LOG.event == "view"][["session", "time", "item", "category"]]
    buys = rows[LOG.event == "purchase"][["session", "time", "item", "price", "quantity"]]
    views.to_csv(RAW / "yoochoose-clicks.dat", index=False, header=False)
    buys.to_csv(RAW / "yoochoose-buys.dat", index=False, header=False)
    return 0


def write_diginetica() -> int:
    start = LOG.time.groupby(LOG.session).transform("min")
    rows = pd.DataFrame(
        {
            "sessionId": NUMBERS.session,
            "userId": NUMBERS.visitor.astype(str).where(NUMBERS.visitor % 2 == 0, "NA"),
            "itemId": ITEMS,
            "timeframe": (SECONDS - SECONDS.groupby(LOG.session).transform("min")) * 1000,
            "eventdate": start.dt.strftime("%Y-%m-%d"),
        }
    )
    views = rows[LOG.event == "view"]
    buys = rows[LOG.event == "purchase"].assign(ordernumber=NUMBERS.session)
    views.to_csv(RAW / "train-item-views.csv", index=False, sep=";")
    buys[["sessionId", "userId", "timeframe", "eventdate", "ordernumber", "itemId"]].to_csv(
        RAW / "train-purchases.csv", index=False, sep=";"
    )
    return int((rows[LOG.event != "add"].userId == "NA").sum())


LOGS = {
    "REES46": (write_rees46, "left out the rows without a session"),
    "Google Analytics 4": (write_google_analytics, "left out the rows without a session"),
    "RetailRocket": (write_retailrocket, ""),
    "YOOCHOOSE": (write_yoochoose, ""),
    "Diginetica": (write_diginetica, "rows without a visitor"),
}


@pytest.mark.parametrize("title", LOGS)
def test_the_params_of_the_docs_read_a_log_of_this_form(
    title: str, run_stage: RunStage, write_params: WriteParams
) -> None:
    RAW.mkdir(parents=True)
    write, finding = LOGS[title]
    count = write()
    code, params = preset(title)
    exec(code, {})
    write_params(**params)
    ran = run_stage("prepare", params["prepare.source"], "prepared.parquet")
    assert ran.code == 0, ran.err
    table = read_sessions(Path("prepared.parquet")).to_arrow()
    assert (len(table), sum(table["purchased"].to_pylist())) == (SCORED, PURCHASES)
    findings = [line for line in ran.out.splitlines()[:-1] if not line.startswith("left out the features")]
    assert len(findings) == (1 if finding else 0), findings
    assert all(finding in line and f": {count}" in line for line in findings)


def test_every_log_of_the_docs_is_tested() -> None:
    sections = DOCS.read_text(encoding="utf-8").split("\n### ")
    assert [section.split("\n")[0] for section in sections if "source_type: clicks" in section] == [*LOGS]
