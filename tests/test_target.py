"""The target is 0 or 1, by its meaning or by the positive class that params name."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import PreparedSessions
from session_frames import BUYS, arrow_type, frame, repeated

TARGETS = {
    "0 and 1": ("0", "1"),
    "0.0 and 1.0": ("0.0", "1.0"),
    "true and false": ("false", "true"),
    "TRUE and FALSE": ("FALSE", "TRUE"),
    "True and False": ("False", "True"),
    "yes and no": ("no", "yes"),
    "y and n": ("n", "y"),
    "Y and N": ("N", "Y"),
    "spaces": (" no", "yes "),
}


@pytest.mark.parametrize(("no", "yes"), TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_target_is_read_by_its_meaning(prepared: PreparedSessions, name: str, no: str, yes: str) -> None:
    sessions = prepared(frame().assign(buys=np.where(BUYS, yes, no)), name)
    assert sessions.column("target").tolist() == BUYS.astype(int).tolist()
    assert arrow_type(sessions, "buys") == "int64"


@pytest.mark.parametrize("dtype", ["bool", "boolean", "int8", "Int64", "float32", "Float64", "category", "string"])
def test_a_typed_target_is_read_by_its_meaning(prepared: PreparedSessions, dtype: Any) -> None:
    sessions = prepared(frame().assign(buys=pd.Series(BUYS.astype(int)).astype(dtype)), "a.parquet")
    assert sessions.column("target").tolist() == BUYS.astype(int).tolist()


def test_a_class_may_be_written_in_several_words(prepared: PreparedSessions) -> None:
    words = np.where(BUYS, repeated("yes", "Yes", "YES", "1"), repeated("no", "No"))
    assert prepared(frame().assign(buys=words)).column("target").tolist() == BUYS.astype(int).tolist()


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (("left", "bought"), "bought"),
        (("0", "2"), 2),
        (("1", "0"), 0),
        (("no", "yes"), "yes"),
        (("False", "True"), True),
        (("true", "false"), False),
        (("a", "c", "b"), "c"),
        (tuple(f"class {row}" for row in range(20)), "class 1"),
    ],
)
def test_a_declared_value_is_the_positive_class(
    prepared: PreparedSessions, values: tuple[str, ...], positive: Any
) -> None:
    words = pd.Series(repeated(*values))
    sessions = prepared(frame().assign(buys=words), **{"prepare.positive_class": positive})
    assert sessions.column("target").tolist() == (words == values[1]).astype(int).tolist()


def test_a_declared_value_fits_a_column_of_booleans(prepared: PreparedSessions) -> None:
    sessions = prepared(frame().assign(buys=BUYS), "a.parquet", **{"prepare.positive_class": True})
    assert sessions.column("target").tolist() == BUYS.astype(int).tolist()


@pytest.mark.parametrize("name", ["rows", "value", "is_positive"])
def test_any_name_is_allowed_for_the_target(prepared: PreparedSessions, name: str) -> None:
    sessions = prepared(frame().rename(columns={"buys": name}), **{"prepare.target": name})
    assert sessions.column("target").tolist() == BUYS.astype(int).tolist()
