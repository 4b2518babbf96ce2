"""What stops a table is told in one go, with the params that settle it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers import PrepareTable
from ruamel.yaml import YAML

from stages.lib.dataset.sessions import read_sessions
from stages.lib.preparation.problems import yaml_list

ROWS = 200
CHURN = pd.DataFrame(
    {
        "customerID": [f"{number:04}-X" for number in range(ROWS)],
        "country": "US",
        "months": np.arange(ROWS) % 70,
        "TotalCharges": [("?" if row % 60 == 3 else f"{row % 37}.5") for row in range(ROWS)],
        "a: b": [("none yet" if row % 50 == 9 else f"2024-01-{row % 28 + 1:02}") for row in range(ROWS)],
        "yes": [(np.inf if row == 8 else row % 7) for row in range(ROWS)],
        "joined": [f"{row % 28 + 1:02}.01.2024" for row in range(ROWS)],
        "churn": (np.arange(ROWS) % 3 == 0).astype(int),
    }
)


def pasted(error: str) -> dict[str, Any]:
    """The params of the error's YAML."""
    text = error[error.index("\nprepare:\n") :]
    both = yaml.safe_load(text), YAML(typ="safe").load(text)
    assert both[0] == both[1], "YAML 1.1 and 1.2 read it differently"
    return {f"prepare.{key}": value for key, value in both[0]["prepare"].items()}


def test_all_columns_that_stop_a_table_are_told_at_once_and_the_params_settle_them(prepare: PrepareTable) -> None:
    ran = prepare(CHURN, **{"prepare.target": "churn"})
    assert ran.code == 1 and ran.out == ""
    lines = ran.err.splitlines()
    assert lines[0] == "prepare: sessions.csv: 4 problems:"
    assert [line.split("'")[1] for line in lines[1:5]] == ["TotalCharges", "a: b", "yes", "joined"]
    assert "4 of 200 values are not numbers, such as '?'" in lines[1]
    assert lines[5] == "in params.yaml, this settles all of them:"
    again = prepare(CHURN, **{"prepare.target": "churn"} | pasted(ran.err))
    assert again.code == 0, again.err
    assert "left out the identifier 'customerID'" in again.out and "[country]" in again.out
    names = read_sessions(Path("prepared.parquet")).names("feature")
    assert names == ["months", "TotalCharges", "a: b", "joined"]


def test_what_params_cannot_settle_is_told_with_the_rest(prepare: PrepareTable) -> None:
    ran = prepare(CHURN.assign(churn=["left", "stays"] * (ROWS // 2)), **{"prepare.target": "churn"})
    assert "\n  target 'churn': expected two classes" in ran.err
    assert "\nin params.yaml, this settles 4 of them:\n" in ran.err


def test_columns_that_need_two_values_of_one_param_are_not_both_settled(prepare: PrepareTable) -> None:
    rows = np.arange(ROWS)
    dates = {"us": [f"01/{row % 28 + 1:02}/2024" for row in rows], "eu": [f"{row % 28 + 1:02}/01/2024" for row in rows]}
    ran = prepare(CHURN[["months", "churn"]].assign(**dates), **{"prepare.target": "churn"})
    assert "\nin params.yaml, this settles 1 of them:\n" in ran.err
    assert pasted(ran.err) == {"prepare.date_format": "%m/%d/%Y"}
    assert 'set prepare.date_format: "%d/%m/%Y"; or add it to prepare.categories: [eu]' in ran.err


def test_one_problem_is_one_line(prepare: PrepareTable) -> None:
    error = prepare(CHURN[["months", "TotalCharges", "churn"]], **{"prepare.target": "churn"}).error
    assert error.endswith("add it to prepare.na_values, or the column to prepare.categories")


def test_settings_that_are_there_stay_in_what_is_pasted(prepare: PrepareTable) -> None:
    settings: dict[str, Any] = {"prepare.target": "churn", "prepare.drop": ["months"], "prepare.na_values": ["", "-"]}
    params = pasted(prepare(CHURN, **settings).err)
    assert params["prepare.drop"] == ["months", "yes"]
    assert params["prepare.na_values"] == ["", "-", "?"]


def test_a_column_declared_as_numeric_by_mistake_is_no_longer(prepare: PrepareTable) -> None:
    rows = CHURN[["months", "TotalCharges", "churn"]].assign(city=["Rom", "Bern"] * (ROWS // 2))
    settings: dict[str, Any] = {"prepare.target": "churn", "prepare.numeric": ["months", "city"]}
    params = pasted(prepare(rows, **settings).err)
    assert params["prepare.numeric"] == ["months"]
    assert prepare(rows, **settings | params).code == 0


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["x", "Total_Charges", "a b"], "[x, Total_Charges, a b]"),
        (["", "?", "1", "1.5", "no", "NULL", "~", "-", "a: b", 'a"b', "größe", "a\nb", " a", "a ", "[x]", "#"], None),
    ],
)
def test_texts_are_quoted_as_yaml_needs(texts: list[str], expected: str | None) -> None:
    written = yaml_list(texts)
    assert yaml.safe_load(written) == YAML(typ="safe").load(written) == texts
    assert expected in (None, written)
