"""docs/parameters.md is what make docs writes, and describes every parameter."""

from typing import Any

import pytest
from helpers import ROOT

from docs.parameters import PAGE, commented_lines, render, type_text
from stages.lib.common.model_params import Network
from stages.lib.common.params import Prepare, Split

TEXT = render(ROOT)


def test_the_page_is_what_make_docs_writes() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == TEXT, "run make docs"


def test_every_parameter_has_a_type_a_default_and_a_meaning() -> None:
    rows = [row.strip("| ").split(" | ") for row in TEXT.splitlines() if row.startswith("| `")]
    assert len(rows) > 80
    assert not [row for row in rows if len(row) != 4 or not all(row)]


@pytest.mark.parametrize(
    ("section", "name", "text"),
    [
        (Prepare, "positive_class", "text, integer, number, boolean or null"),
        (Prepare, "date_format", "format or null"),
        (Split, "strategy", "`stratified`, `grouped` or `temporal`"),
        (Split, "test_size", "number > 0 and < 1"),
        (Network, "layers", "list of integers ≥ 1"),
    ],
)
def test_types_and_ranges_are_in_words(section: Any, name: str, text: str) -> None:
    assert type_text(section.__annotations__[name]) == text


def test_a_comment_belongs_to_the_key_on_its_line_or_below_it() -> None:
    text = 'a:   # section\n  b: "%"   # first\n  c: {d: 1}\n  # above\n  g:\n    - 1\n# e: 1   # no key\n'
    text += "train_base:\n  f: 1   # both\ntrain_strong:\n  f: 2\n"
    assert commented_lines(text) == {
        "a": ("", "section"),
        "a.b": ('"%"', "first"),
        "a.c": ("{d: 1}", ""),
        "a.g": ("", "above"),
        "train_base": ("", ""),
        "train_base.f": ("1", "both"),
        "train_strong": ("", ""),
        "train_strong.f": ("2", "both"),
    }
