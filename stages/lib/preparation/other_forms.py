"""Texts that are nearly all numbers or dates in a form that is not read: no categories, but a param that is not set."""

import re

from ibis import _
from ibis.expr.types import Column

from stages.lib.preparation.numbers import parse_number
from stages.lib.preparation.timestamps import parse_timestamp
from stages.lib.preparation.values import Formats

SHARE = 0.9  # of the texts
NUMBER = r"[+-]?\(?(\d+|\d{1,3}([., '\x{00A0}\x{202F}\x{2019}]\d{3})+)([.,]\d+)?\)?"
CODES = "USD|EUR|GBP|JPY|CNY|INR|CHF|RUB|BRL|PLN|SEK|NOK|DKK|CZK|HUF|TRY|AUD|CAD|NZD|MXN|KRW"
CURRENCY = rf"([A-Z]{{0,2}}\p{{Sc}}|kr\.?|zł|Rs\.?|{CODES})"
MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
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


def other_form(column: Column, formats: Formats) -> str:
    """What texts look like, with an example, and the params to set; empty if they are neither numbers nor dates.

    Args:
        column: a text column, with nulls where it is missing.
        formats: how numbers and dates are written, as far as params say so.
    """
    texts = column.as_table().group_by(text=column).aggregate(rows=_.count()).filter(_.text.notnull())
    number = parse_number(texts.text, formats)
    date = parse_timestamp(texts.text, formats.date_format, numbers=False)
    texts = texts.mutate(is_number=number.notnull(), is_date=date.notnull())
    read = {"dates": texts.is_date}
    aggregates = {"rows": texts.rows.sum()}
    for kind, pattern in KINDS.items():
        is_kind = texts.text.re_search(pattern) & ~read.get(kind, texts.is_number)
        aggregates |= {
            kind: texts.rows.sum(where=is_kind).fill_null(0),
            f"{kind}_example": texts.text.min(where=is_kind),
        }
    aggregates["is_number"] = texts.rows.sum(where=texts.is_number).fill_null(0)
    aggregates["is_date"] = texts.rows.sum(where=texts.is_date).fill_null(0)
    counts = texts.aggregate(**aggregates).to_pyarrow().to_pylist()[0]
    numeric = {kind: counts[kind] for kind in KINDS if kind != "dates" and counts[kind]}
    if counts["dates"] and counts["dates"] + counts["is_date"] >= SHARE * counts["rows"]:
        kind = "dates"
    elif numeric and sum(numeric.values()) + counts["is_number"] >= SHARE * counts["rows"]:
        kind = max(numeric, key=lambda name: numeric[name])
    else:
        return ""
    example = counts[f"{kind}_example"]
    return f"texts such as '{example}' look like {kind}; {_advice(kind, example)}"


def _advice(kind: str, example: str) -> str:
    if kind == "dates":
        if re.match(r"\d{4}-\d\d-\d\d", example):
            return "only dates from 1990 to 2100 are read; add others to prepare.na_values"
        return f"set prepare.date_format, such as '{_date_format(example)}'"
    if kind == "durations":
        return "write them as HH:MM:SS or in seconds"
    settings = []
    if kind != "numbers":
        unit = re.sub(r"^[+-]|[\d.,' \u00a0\u202f\u2019()]", "", example)
        settings.append(f'prepare.units: ["{unit}"]')
    return "set " + " and ".join([*settings, *_separators(example)])


def _separators(example: str) -> list[str]:
    """The params for the separators in a number, both if it can be read in two ways."""
    digits = re.search(r"\d.*\d", example)
    separators = re.sub(r"\d", "", digits[0]) if digits else ""
    if not separators or separators == ".":
        return []
    decimal = 'prepare.decimal: ","'
    if separators == ",":
        return [decimal] if not re.search(r",\d{3}(\D|$)", example) else [f'{decimal} or prepare.thousands: ","']
    thousands = f'prepare.thousands: "{separators[0]}"'
    is_european = separators[0] == "." or (separators[-1] == "," and separators[0] != ",")
    return [decimal, thousands] if is_european else [thousands]


def _date_format(example: str) -> str:
    """A form that such dates may have."""
    if re.match(r"\d{4}", example):
        return re.sub(r"^\d{4}(.)\d\d?((.)\d\d?)?.*", lambda m: f"%Y{m[1]}%m" + (f"{m[3]}%d" if m[3] else ""), example)
    if re.match(r"\d\d?\D\d\d?\D\d", example):
        separator = re.search(r"\D", example)
        year = "%Y" if re.match(r"\d\d?\D\d\d?\D\d{4}", example) else "%y"
        return (separator[0] if separator else ".").join(["%d", "%m", year])
    return "%d %b %Y"
