"""docs/features.md lists the features that the code makes, with their units and what they are if there is nothing."""

import re
from datetime import datetime
from typing import NamedTuple

import pytest
from click_logs import by_key, click_settings, random_log, session_table
from click_oracle import COLUMNS, Row
from helpers import ROOT

from stages.lib.preparation.features import all_features

RANGES = {
    "share": (0, 1), "flag": (0, 1), "1 to 12": (1, 12), "0 to 23": (0, 23), "1 to 31": (1, 31), "0 to 6": (0, 6),
}  # fmt: skip
# Of these, there may be as many as the log says.
OTHER_UNITS = {
    "category", "count", "currency", "days", "number", "per view", "per visit", "pixels", "ratio", "seconds",
}  # fmt: skip
NOTHING = {"0": 0, "-1": -1, "missing": None}


class Described(NamedTuple):
    """A row of the page."""

    name: str
    meaning: str
    unit: str
    needs: str
    nothing: str


PAGE = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.*) \|$", PAGE, re.M)
FEATURES = [Described(*(cell.strip(" `") for cell in row.split("|"))) for row in ROWS]


def first_session_of_three_views() -> Row:
    """The features of a visitor's first session, of three page views in one second and nothing else."""
    view = dict.fromkeys(COLUMNS) | {"visitor": "v", "session": "s", "event": "view", "time": datetime(2024, 5, 1, 13)}
    (row,) = by_key(session_table([view] * 3, click_settings([1, 3]))).values()
    return row


def test_the_page_lists_the_features_of_the_code_in_order() -> None:
    expected = [(name, ", ".join(needs)) for name, needs, _ in all_features()]
    assert [(feature.name, feature.needs) for feature in FEATURES] == [*expected, ("viewNumber", "")]
    assert f"the study's {len(expected)} features" in PAGE


def test_a_feature_is_what_the_page_says_where_there_is_nothing() -> None:
    row = first_session_of_three_views()
    for feature in FEATURES:
        if feature.nothing == "always there":
            assert row[feature.name] is not None, feature
        else:
            assert row[feature.name] == NOTHING[feature.nothing], feature


@pytest.mark.parametrize("seed", [1, 2])
def test_features_are_within_the_range_of_their_unit(seed: int) -> None:
    table = session_table(random_log(seed), click_settings([1, 3])).to_pydict()
    for feature in FEATURES:
        values = [value for value in table[feature.name] if value is not None]
        if feature.unit in RANGES:
            low, high = RANGES[feature.unit]
            assert low <= min(values) and max(values) <= high, feature
            assert feature.unit != "flag" or {*values} == {0, 1}, feature
        else:
            assert feature.unit in OTHER_UNITS, feature
            least = -1 if feature.nothing == "-1" else 0
            assert feature.unit in ("category", "currency") or min(values) >= least, feature
