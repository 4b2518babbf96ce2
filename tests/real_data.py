"""Real data that is read by changing params only, and what to expect of it; for tests where the files are present."""

from dataclasses import dataclass
from typing import Any

from helpers import SHARED_DATA


@dataclass(frozen=True)
class RealData:
    """A file in SHARED_DATA, the params that read it, and its test set."""

    name: str
    params: dict[str, Any]
    test_rows: int
    test_purchases: int

    @property
    def path(self) -> str:
        return str(SHARED_DATA / self.name)


BANK = RealData(
    "bank_full.csv",
    {
        "prepare.source_type": "sessions",
        "prepare.target": "y",
        "prepare.drop": ["duration"],
        "prepare.na_values": ["", "unknown"],
    },
    test_rows=9043,
    test_purchases=1058,
)
REES46 = RealData(
    "rees46_2019_oct_sample.csv",
    {
        "prepare.target": "purchased",
        "prepare.csv.truncated_last_line": "drop",
        "prepare.clicks.columns": {
            "time": "event_time",
            "visitor": "user_id",
            "session": "user_session",
            "event": "event_type",
            "page": "product_id",
            "page_type": "category_code",
            "price": "price",
        },
        "prepare.clicks.events.add": ["cart"],
    },
    test_rows=388,
    test_purchases=14,
)
