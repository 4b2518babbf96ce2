"""The forms in which a moment is read, all of them in docs/your-data.md, against Python's datetime and zoneinfo."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from helpers import ROOT

from stages.lib.preparation.engine import connect_duckdb
from stages.lib.preparation.timestamps import parse_timestamp

BERLIN, ST_JOHNS, KOLKATA = (ZoneInfo(name) for name in ("Europe/Berlin", "America/St_Johns", "Asia/Kolkata"))


def at(*parts: int, zone: Any = UTC) -> datetime:
    return datetime(*parts, tzinfo=zone)  # type: ignore[misc,arg-type]


SECOND = at(2024, 10, 10, 13, 45, 7)
FORMS: dict[Any, datetime] = {
    "2024-10-10": at(2024, 10, 10),
    "20241010": at(2024, 10, 10),
    "2024-W41-4": at(2024, 10, 10),
    "2024W414": at(2024, 10, 10),
    "2024-284": at(2024, 10, 10),
    "2024-10-10T13": at(2024, 10, 10, 13),
    "2024-10-10T13:45": at(2024, 10, 10, 13, 45),
    "2024-10-10 13:45": at(2024, 10, 10, 13, 45),
    "2024-10-10T13:45:07": SECOND,
    "2024-10-10 13:45:07": SECOND,
    "2024-10-10t13:45:07z": SECOND,
    "20241010T134507": SECOND,
    "20241010 134507": SECOND,
    "20241010T1345": at(2024, 10, 10, 13, 45),
    "20241010T134507Z": SECOND,
    "20241010T134507+0200": at(2024, 10, 10, 13, 45, 7, zone=BERLIN),
    "2024-W41-4T13:45:07Z": SECOND,
    "2024-284T13:45:07": SECOND,
    "2024-10-10T13:45:07.1": SECOND + timedelta(microseconds=100_000),
    "2024-10-10T13:45:07,123": SECOND + timedelta(microseconds=123_000),
    "2024-10-10 13:45:07.123456": SECOND + timedelta(microseconds=123_456),
    "2024-10-10 13:45:07.123456789": SECOND + timedelta(microseconds=123_456),
    "2024-10-10T13:45:07.123Z": SECOND + timedelta(microseconds=123_000),
    "2024-10-10 13:45:07 UTC": SECOND,
    "2024-10-10 13:45:07 GMT": SECOND,
    "2024-10-10 13:45:07.5 UTC": SECOND + timedelta(microseconds=500_000),
    "2024-10-10 13:45:07 Z": SECOND,
    "2024-10-10T13:45:07+02:00": at(2024, 10, 10, 13, 45, 7, zone=BERLIN),
    "2024-10-10T13:45:07+0200": at(2024, 10, 10, 13, 45, 7, zone=BERLIN),
    "2024-10-10T13:45:07+02": at(2024, 10, 10, 13, 45, 7, zone=BERLIN),
    "2024-10-10 13:45:07 +02": at(2024, 10, 10, 13, 45, 7, zone=BERLIN),
    "2024-10-10 13:45:07 +0200": at(2024, 10, 10, 13, 45, 7, zone=BERLIN),
    "2024-10-10 13:45:07 +02:00": at(2024, 10, 10, 13, 45, 7, zone=BERLIN),
    "2024-12-10 13:45:07+01:00": at(2024, 12, 10, 13, 45, 7, zone=BERLIN),
    "2024-10-10 13:45:07-02:30": at(2024, 10, 10, 13, 45, 7, zone=ST_JOHNS),
    "2024-10-10T13:45+05:30": at(2024, 10, 10, 13, 45, zone=KOLKATA),
    "2024-10-10T13+02": at(2024, 10, 10, 13, zone=BERLIN),
    "2024-10-10 24:00:00": at(2024, 10, 11),
    "2024-02-29T23:59:59.999999-12:00": at(2024, 2, 29, 23, 59, 59, 999_999, zone=timezone(timedelta(hours=-12))),
    "1728567907": SECOND,
    "1728567907.25": SECOND + timedelta(microseconds=250_000),
    "1728567907123": SECOND + timedelta(microseconds=123_000),
    "1728567907123.5": SECOND + timedelta(microseconds=123_500),
    "1728567907123456": SECOND + timedelta(microseconds=123_456),
    "1728567907123456789": SECOND + timedelta(microseconds=123_456),
    "1.728567907e9": SECOND,
    1728567907: SECOND,
    1728567907123: SECOND + timedelta(microseconds=123_000),
    1728567907123456: SECOND + timedelta(microseconds=123_456),
    1728567907123456789: SECOND + timedelta(microseconds=123_456),
    1728567907.25: SECOND + timedelta(microseconds=250_000),
    1728567907123.5: SECOND + timedelta(microseconds=123_500),
    Decimal("1728567907.123456"): SECOND + timedelta(microseconds=123_456),
    20241010: at(2024, 10, 10),
}
NO_MOMENTS = [
    "10.10.2024", "10/10/2024", "10/10/2024 1:45 PM", "2024/10/10", "2024-1-1", "2024-10-10 1:45:07", "2024-10",
    "2024-13-01", "2024-02-30", "2023-366", "2023-W53-1", "2024-10-10 25:00:00", "2024-10-10 24:00:01",
    "2024-10-10 13:45:60", "2024-10-10 13:45.5", "2024-10-10T13:45:07+15:00", "2024-10-10 13:45:07 CEST",
    "20241010134507", "1989-12-31", "2101-01-01", "0001-01-01", "9999-12-31 00:00:00", "45575", "0", "-1",
    "1_728567907", "631151999", "epoch", "infinity", "now", "", "soon", 45575, 20241010134507, 0, -1, 631151999,
    4133980800, float("nan"), float("inf"),
]  # fmt: skip


def parsed(values: list[Any], date_format: str | None = None) -> list[datetime | None]:
    connection = connect_duckdb()
    table = connection.create_table("source", pa.table({"value": pa.array(values)}))
    moments = table.select(moment=parse_timestamp(table.value, date_format)).to_pyarrow()
    return [None if value is None else value.replace(tzinfo=UTC) for value in moments["moment"].to_pylist()]


@pytest.mark.parametrize(("value", "moment"), FORMS.items(), ids=map(repr, FORMS))
def test_a_form_is_read_as_python_reads_it(value: Any, moment: datetime) -> None:
    assert parsed([value, None]) == [moment.astimezone(UTC), None]


def test_there_is_no_form_that_python_reads_as_another_moment() -> None:
    texts = [text for text in FORMS if isinstance(text, str)]
    for text in texts:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            continue
        assert (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) == FORMS[text]


@pytest.mark.parametrize("value", NO_MOMENTS, ids=repr)
def test_what_is_not_read_is_null(value: Any) -> None:
    assert parsed([value]) == [None]


@pytest.mark.parametrize(
    ("value", "form", "moment"),
    [
        ("10.10.2024 13:45", "%d.%m.%Y %H:%M", at(2024, 10, 10, 13, 45)),
        ("10/9/2024 1:45 PM", "%m/%d/%Y %I:%M %p", at(2024, 10, 9, 13, 45)),
        ("10 Oct 2024 13:45:07 +0200", "%d %b %Y %H:%M:%S %z", at(2024, 10, 10, 13, 45, 7, zone=BERLIN)),
        ("20241010134507", "%Y%m%d%H%M%S", SECOND),
        (20241010134507, "%Y%m%d%H%M%S", SECOND),
        (20241010134507.0, "%Y%m%d%H%M%S", SECOND),
        ("2024-10-10", "%d.%m.%Y", at(2024, 10, 10)),
        ("1728567907", "%d.%m.%Y", SECOND),
        ("2024-10-09", "%Y-%d-%m", at(2024, 9, 10)),
    ],
)
def test_params_name_another_form(value: Any, form: str, moment: datetime) -> None:
    assert parsed([value], form) == [moment.astimezone(UTC)]


def test_a_form_that_starts_with_the_year_is_the_only_one() -> None:
    assert parsed(["2024-10-20"], "%Y-%d-%m") == [None]


def test_the_documentation_has_the_list() -> None:
    text = (ROOT / "docs/your-data.md").read_text(encoding="utf-8")
    assert [form for form in FORMS if f"`{form}`" not in text] == []
