"""Texts that are nearly all numbers or dates in a form that is not read: no categories, but a param that is not set."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ibis import _
from ibis.expr.types import Column, Table

from stages.lib.common.params import Prepare
from stages.lib.preparation.numbers import parse_number
from stages.lib.preparation.problems import ColumnProblem
from stages.lib.preparation.timestamps import parse_timestamp

Settings = dict[str, Any]  # params of `prepare`

SHARE = 0.9  # of the texts
NUMBER = r"[+-]?\(?(\d+|\d{1,3}([., '\x{00A0}\x{202F}\x{2019}]\d{3})+)([.,]\d+)?\)?"
NO_UNIT = r"[-+\d.,'\s\x{00A0}\x{202F}\x{2019}()]"
MAX_UNITS = 5
CODES = "USD|EUR|GBP|JPY|CNY|INR|CHF|RUB|BRL|PLN|SEK|NOK|DKK|CZK|HUF|TRY|AUD|CAD|NZD|MXN|KRW"
CURRENCY = rf"([A-Z]{{0,2}}\p{{Sc}}|kr\.?|zł|Rs\.?|{CODES})"
MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
# How numbers may be written; the first of several that read the same texts comes first in messages.
SEPARATORS: list[Settings] = [
    {},
    {"thousands": ","},
    {"decimal": ","},
    *({"decimal": ",", "thousands": character} for character in ". '"),
    *({"thousands": character} for character in " '"),
]
KINDS = {
    "numbers": rf"^{NUMBER}$",
    "percentages": rf"^{NUMBER}\s?%$",
    "amounts of money": rf"^([+-]?{CURRENCY}\s?{NUMBER}|{NUMBER}\s?{CURRENCY})$",
    "durations": (
        r"^(-?\d+:[0-5]\d(\.\d+)?|(\d+([.,]\d+)? ?(d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?|ms),? ?)+|"
        r"-?P(\d+D)?(T(\d+H)?(\d+M)?([\d.]+S)?)?)$"
    ),
    "dates": (
        r"^(\d{4}[./-]\d\d?([./-]\d\d?)?|\d\d?[./-]\d\d?[./-](\d{4}|\d\d))([T ,].*)?$|"
        rf"(?i:^([a-z]{{3,9}},? )?(\d\d?(st|nd|rd|th)?[ .-]+)?{MONTH}[ .,-]+(\d\d?(st|nd|rd|th)?,? )?\d{{2,4}}\b)"
    ),
}


@dataclass(frozen=True)
class OtherForm:
    """Texts that are nearly all numbers or dates in a form that is not read.

    Attributes:
        kind: one of KINDS.
        example: one of the texts.
        settings: params of `prepare` that read nearly all; units are to be added. Empty if there are none.
        others: params that read as many of them, but perhaps as other numbers or days.
    """

    kind: str
    example: str
    settings: Settings
    others: list[Settings]

    def __str__(self) -> str:
        return f"texts such as '{self.example}' look like {self.kind}; {self._advice}"

    @property
    def _advice(self) -> str:
        if self.settings:
            others = " or ".join(map(_in_words, self.others))
            return f"set {_in_words(self.settings)}" + (f", or {others}, which reads other values" if others else "")
        if self.kind == "durations":
            return "write them as HH:MM:SS or in seconds"
        if self.kind == "dates" and re.match(r"\d{4}-\d\d-\d\d", self.example):
            return "only dates from 1990 to 2100 are read; add others to prepare.na_values"
        return f"write all of them in the same form{' and set prepare.date_format' if self.kind == 'dates' else ''}"

    def problem(self, text: str, hint: str) -> ColumnProblem:
        """An error that the params settle."""
        units = {"units": self.settings["units"]} if "units" in self.settings else {}
        put = {name: value for name, value in self.settings.items() if name != "units"}
        return ColumnProblem(text, hint, add=units, put=put)


def _in_words(settings: Settings) -> str:
    return " and ".join(f"prepare.{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items())


def other_form(column: Column, settings: Prepare) -> OtherForm | None:
    """What texts look like, and the params that read them; None if they are neither numbers nor dates.

    Args:
        column: a text column, with nulls where it is missing.
        settings: how numbers and dates are written, as far as params say so.
    """
    texts = column.as_table().group_by(text=column).aggregate(rows=_.count()).filter(_.text.notnull()).cache()
    number = parse_number(texts.text, settings)
    date = parse_timestamp(texts.text, settings.date_format, numbers=False)
    parsed = texts.mutate(is_number=number.notnull(), is_date=date.notnull())
    aggregates = {
        "rows": parsed.rows.sum(),
        "is_number": parsed.rows.sum(where=parsed.is_number).fill_null(0),
        "is_date": parsed.rows.sum(where=parsed.is_date).fill_null(0),
    }
    for kind, pattern in KINDS.items():
        is_kind = parsed.text.re_search(pattern) & ~(parsed.is_date if kind == "dates" else parsed.is_number)
        aggregates |= {
            kind: parsed.rows.sum(where=is_kind).fill_null(0),
            f"{kind}_example": parsed.text.min(where=is_kind),
        }
    (counts,) = parsed.aggregate(**aggregates).to_pyarrow().to_pylist()
    numeric = {kind: counts[kind] for kind in KINDS if kind != "dates" and counts[kind]}
    if counts["dates"] and counts["dates"] + counts["is_date"] >= SHARE * counts["rows"]:
        example = counts["dates_example"]
        candidates = [{"date_format": form} for form in _date_forms(example)]
        return OtherForm("dates", example, *_that_read_most(texts, candidates, settings))
    if numeric and sum(numeric.values()) + counts["is_number"] >= SHARE * counts["rows"]:
        kind = max(numeric, key=lambda name: numeric[name])
        example = counts[f"{kind}_example"]
        units: Settings = {"units": names} if (names := _units(texts)) else {}
        candidates = [] if kind == "durations" else [units | separators for separators in SEPARATORS]
        return OtherForm(kind, example, *_that_read_most(texts, candidates, settings))
    return None


def _units(texts: Table) -> list[str]:
    """What is written before or after the numbers, in percentages and amounts of money."""
    is_amount = texts.text.re_search(KINDS["percentages"]) | texts.text.re_search(KINDS["amounts of money"])
    unit = texts.filter(is_amount).text.re_replace(NO_UNIT, "").name("unit").as_table().distinct()
    return unit.order_by("unit").limit(MAX_UNITS).to_pyarrow()["unit"].to_pylist()


def _that_read_most(texts: Table, candidates: Sequence[Settings], settings: Prepare) -> tuple[Settings, list[Settings]]:
    """The first of the candidates that read most texts, if those are nearly all; and others that read as many, but
    some of them as other values."""
    if not candidates:
        return {}, []
    # By the position of the candidate
    values = texts.select(**{str(i): _read(texts.text, candidate, settings) for i, candidate in enumerate(candidates)})
    counts = values.aggregate(**{name: values[name].count() for name in values.columns}, texts=_.count())
    (count,) = counts.to_pyarrow().to_pylist()
    n_texts, most = count.pop("texts"), max(count.values())
    if most < SHARE * n_texts:
        return {}, []
    best, *others = (name for name in values.columns if count[name] == most)
    differ = values.aggregate(
        best=values[best].count(), **{name: (values[name] != values[best]).sum() for name in others}
    )
    (n_other_values,) = differ.to_pyarrow().to_pylist()
    return candidates[int(best)], [candidates[int(name)] for name in others if n_other_values[name]]


def _read(text: Column, candidate: Settings, settings: Prepare) -> Column:
    units = [*settings.units, *candidate.get("units", [])]
    changed = settings.model_copy(update=candidate | {"units": units})
    if "date_format" in candidate:
        return parse_timestamp(text, changed.date_format, numbers=False)
    return parse_number(text, changed)


def _date_forms(example: str) -> list[str]:
    """Forms that such dates may have, for strptime, the day before the month first."""
    time = re.search(r"[T ,]+\d\d?:\d\d(:\d\d)?( ?[AaPp][Mm])?$", example)
    day = example[: time.start()] if time else example
    clock = ""
    if time:
        seconds, half = ":%S" if time[1] else "", time[2] or ""
        separator = re.match(r"\D+", time[0])
        clock = (
            f"{separator[0] if separator else ' '}%{'I' if half else 'H'}:%M{seconds}{half[:-2]}{'%p' if half else ''}"
        )
    if match := re.fullmatch(r"\d{4}(\D)\d\d?(\D)\d\d?", day):
        return [f"%Y{match[1]}%m{match[2]}%d{clock}"]
    if match := re.fullmatch(r"\d\d?(\D)\d\d?(\D)(\d{4}|\d\d)", day):
        year = "%Y" if len(match[3]) == 4 else "%y"
        return [f"%{one}{match[1]}%{other}{match[2]}{year}{clock}" for one, other in ("dm", "md")]
    if match := re.fullmatch(r"\d{4}(\D)\d\d?", day):
        return [f"%Y{match[1]}%m"]
    names = ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%d-%b-%Y", "%d-%b-%y", "%b %Y", "%B %Y")
    return [f"{name}{clock}" for name in names]
