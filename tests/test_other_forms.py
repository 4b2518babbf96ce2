"""Texts that are numbers in a form that is not read are refused until params name it."""

from pathlib import Path
from typing import Any

import pytest
from helpers import PrepareTable
from session_frames import frame, repeated

from stages.lib.dataset.sessions import read_sessions

CATEGORY: dict[str, Any] = {"prepare.categories": ["x"]}

READ = {
    "a decimal comma": (("25,0", "20,1", "1000"), [25.0, 20.1, 1000.0], {"prepare.decimal": ","}),
    "points for thousands": (
        ("1.234,5", "12,5", "1.234.567"),
        [1234.5, 12.5, 1234567.0],
        {"prepare.decimal": ",", "prepare.thousands": "."},
    ),
    "commas for thousands": (("1,234.50", "12.5", "-1,234"), [1234.5, 12.5, -1234.0], {"prepare.thousands": ","}),
    "spaces for thousands": (("1 234.5", "1\u00a0234.5", "7"), [1234.5, 1234.5, 7.0], {"prepare.thousands": " "}),
    "percentages": (("60%", "7 %", "0.5%"), [60.0, 7.0, 0.5], {"prepare.units": ["%"]}),
    "dollars": (("$12.34", "-$3", "$ 5"), [12.34, -3.0, 5.0], {"prepare.units": ["$"]}),
    "euros": (
        ("12,34 €", "1.000,00 €", "EUR 5"),
        [12.34, 1000.0, 5.0],
        {"prepare.units": ["€", "EUR"], "prepare.decimal": ",", "prepare.thousands": "."},
    ),
}


@pytest.mark.parametrize(("texts", "numbers", "settings"), READ.values(), ids=READ)
def test_numbers_in_another_form_are_refused_until_params_name_it(
    prepare: PrepareTable, texts: tuple[str, ...], numbers: list[float], settings: dict[str, Any]
) -> None:
    table = frame(x=repeated(*texts))
    error = prepare(table).error
    assert all(f"{param}: " in error for param in settings) and "look like" in error
    assert prepare(table, **settings).code == 0
    assert read_sessions(Path("prepared.parquet")).table["x"].to_pylist()[: len(numbers)] == numbers
    assert prepare(table, **CATEGORY).code == 0
    assert read_sessions(Path("prepared.parquet")).table["x"].to_pylist()[: len(texts)] == list(texts)


@pytest.mark.parametrize(
    "texts", [("12:30", "7:05"), ("1h 30m", "45m"), ("90 s", "15 s"), ("PT1M30S", "PT5S"), ("5 days", "1 day")], ids=str
)
def test_durations_in_another_form_are_no_categories(prepare: PrepareTable, texts: tuple[str, ...]) -> None:
    error = prepare(frame(x=repeated(*texts))).error
    assert "look like durations; write them as HH:MM:SS or in seconds" in error
    assert "prepare.categories: [x]" in error


@pytest.mark.parametrize(
    "texts",
    [("Feb", "Mar"), ("Chrome 1", "Chrome 2"), ("18-24", "25-34"), ("3G", "4G"), ("1_10", "11_0"), ("<10", "10+")],
)
def test_texts_with_digits_may_be_categories(prepare: PrepareTable, texts: tuple[str, ...]) -> None:
    assert prepare(frame(x=repeated(*texts))).code == 0
    assert read_sessions(Path("prepared.parquet")).table["x"].to_pylist()[:2] == list(texts)
