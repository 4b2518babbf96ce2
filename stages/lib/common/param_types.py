"""Types of single parameters: what they accept, and the message for what they refuse."""

import codecs
import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, TypeAdapter, ValidationError

MIN_MEMORY = 500 * 10**6  # bytes; Python and its libraries take half of it


def _check_delimiter(value: str) -> str:
    value = value.replace(r"\t", "\t")  # as it is written in single quotes
    if value != "auto" and len(value) != 1:
        raise ValueError(f"expected auto or one character, got {value!r}")
    return value


def _check_encoding(value: str) -> str:
    try:
        is_text = codecs.lookup(value)._is_text_encoding
        codecs.getincrementaldecoder(value)
    except (LookupError, ValueError):
        is_text = False
    if not is_text or value in ("idna", "punycode"):
        raise ValueError(f"expected the name of an encoding, such as utf-8, utf-16, latin-1 or cp1252, got {value!r}")
    return value


def _check_name(value: str) -> str:
    if not value.strip():
        raise ValueError(f"expected the name of a column, got {value!r}")
    return value


def _check_columns(value: Any) -> Any:
    is_list = isinstance(value, list) and all(isinstance(name, str) and name.strip() for name in value)
    if value != "auto" and not is_list:
        raise ValueError(f"expected auto or a list of columns, got {value!r}")
    return value


def _check_not_one(value: int) -> int:
    if value == 1:
        raise ValueError("expected 2 or more, or 0 for none, got 1")
    return value


def _check_backend(value: str) -> str:
    if value != "local" and not re.fullmatch(r"(tcp|tls)://\S+:\d+", value):
        example = "tcp://127.0.0.1:8786"
        raise ValueError(f"expected local or the address of a Dask scheduler, such as {example}, got {value!r}")
    return value


def _check_engine(value: str) -> str:
    if not re.match(r"[a-z]+://", value):
        raise ValueError(f"expected a URL that Ibis connects to, such as duckdb:// or pyspark://, got {value!r}")
    return value


def _parse_memory(value: Any) -> Any:
    if value is not None:
        try:
            value = TypeAdapter(ByteSize).validate_python(str(value))  # as text, since True would count as 1
        except ValidationError:
            raise ValueError(f"expected a size such as 1GB, or null, got {value!r}") from None
        if value < MIN_MEMORY:
            raise ValueError(f"expected at least {MIN_MEMORY // 10**6}MB, got {value // 10**6}MB")
    return value


def _check_date_format(value: str | None) -> str | None:
    if value is not None:
        try:
            # A form without a year or a month would give all moments the same.
            parsed = datetime.strptime(datetime(2021, 2, 13).strftime(value), value)
            is_date = (parsed.year, parsed.month) == (2021, 2)
        except ValueError:
            is_date = False
        if not is_date:
            raise ValueError(
                f"expected the form of a date for strptime, such as '%d.%m.%Y %H:%M', or null, got {value!r}"
            )
    return value


def _check_thousands(value: str | None) -> str | None:
    if value is not None and (len(value) != 1 or value.isalnum() or value in "+-"):
        raise ValueError(f"expected a character between digits, such as ',', or null, got {value!r}")
    return value


def _check_unit(value: str) -> str:
    if not value or value != value.strip() or any(character.isdigit() or character in "+-_" for character in value):
        raise ValueError(f"expected a text before or after a number, such as '%' or EUR, got {value!r}")
    return value


def _check_views(value: list[int]) -> list[int]:
    if value != sorted({*value}):
        raise ValueError(f"expected ascending numbers, such as [1, 3, 5], got {value}")
    return value


def _parse_day(value: Any) -> Any:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f"expected a date such as 2015-01-31, got {value!r}") from None


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
FractionOrZero = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Folds = Annotated[int, Field(ge=0), AfterValidator(_check_not_one)]
Bins = Folds
Views = Annotated[list[Count], Field(min_length=1), AfterValidator(_check_views)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
DateFormat = Annotated[str | None, AfterValidator(_check_date_format)]
Thousands = Annotated[str | None, AfterValidator(_check_thousands)]
Unit = Annotated[str, AfterValidator(_check_unit)]
Day = Annotated[date, BeforeValidator(_parse_day)]
ColumnName = Annotated[str, AfterValidator(_check_name)]
Columns = Annotated[list[str] | Literal["auto"], BeforeValidator(_check_columns)]
TextEncoding = Annotated[str, AfterValidator(_check_encoding)]
Delimiter = Annotated[str, AfterValidator(_check_delimiter)]
EngineUrl = Annotated[str, AfterValidator(_check_engine)]
Memory = Annotated[int | None, BeforeValidator(_parse_memory)]
GridBackend = Annotated[str, AfterValidator(_check_backend)]
