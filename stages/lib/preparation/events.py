"""A shop's click log with the names and types that the pipeline uses: params say what the log calls them."""

import ibis
from ibis import _
from ibis.expr.types import Table, Value

from stages.lib.common.errors import InputError
from stages.lib.common.params import Clicks
from stages.lib.preparation.timestamps import parse_timestamp

# Columns of a log, as params name them
REQUIRED = ("time", "visitor", "session", "event")
TEXTS = ("page", "page_type", "browser", "operating_system")
INTEGERS = (
    "quantity", "checkout_step", "browser_version", "operating_system_version", "major_city", "screen_width",
    "screen_height", "window_width", "window_height", "tab_visible",
)  # fmt: skip
OPTIONAL = (*TEXTS, *INTEGERS, "price")

EVENTS = ("view", "click", "scroll", "tab", "add", "remove", "purchase")
PAGE_TYPES = ("product", "search", "overview", "sale", "cart")
SESSION = ["visitor", "session"]  # sessions of two visitors may have the same name
MAX_SECONDS = 10**11  # since 1970, in the year 5138; a larger number is milliseconds


def normalize_events(log: Table, settings: Clicks) -> tuple[Table, list[str]]:
    """Rename and parse the columns of a click log.

    Args:
        log: one row per event.
        settings: the log's names of columns and events.

    Returns:
        The events of a known kind, with REQUIRED and OPTIONAL columns, but for the price, which is `cents`, and for the
        page type as the log names it, which is `raw_page_type`. Beside it, the optional columns that the log lacks;
        they are null.

    Raises:
        InputError: a required column is missing or has a value that can't be read, or params name an unknown column,
            event or page type.
    """
    _check_settings(log, settings)
    columns = {name: log[column] for name, column in settings.columns.items() if column in log.columns}
    missing = [name for name in OPTIONAL if name not in columns]
    columns |= {name: ibis.null("string" if name in TEXTS else "int64") for name in missing}
    events = log.select(
        time=_to_timestamp(columns["time"]),
        visitor=columns["visitor"],
        session=columns["session"],
        event=map_names(columns["event"], settings.events),
        cents=(_to_number(columns["price"]) * 100).round().cast("int64"),
        **{name: _to_integer(columns[name]) for name in INTEGERS},
        **{name: columns[name].cast("string") for name in TEXTS},
    ).rename(raw_page_type="page_type")
    _check_complete(events, settings)
    return events.filter(_.event.notnull()).mutate(quantity=_.quantity.fill_null(1)), missing


def map_names(column: Value, names: dict[str, list[str]]) -> Value:
    """For each value the key of `names` whose list contains it; null if there is none."""
    cases = [(column.cast("string").isin(listed), name) for name, listed in names.items() if listed]
    return ibis.cases(*cases, else_=ibis.null("string"))


def _check_settings(log: Table, settings: Clicks) -> None:
    known = {"columns": (*REQUIRED, *OPTIONAL), "events": EVENTS, "page_types": PAGE_TYPES}
    for section, known_names in known.items():
        for name in getattr(settings, section):
            if name not in known_names:
                raise InputError(f"prepare.clicks.{section}.{name}: unknown name; known are {', '.join(known_names)}")
    for name in REQUIRED:
        source_name = settings.columns.get(name)
        if source_name not in log.columns:
            raise InputError(
                f"no column '{source_name}' for prepare.clicks.columns.{name}; it has {', '.join(log.columns)}"
            )


def _check_complete(events: Table, settings: Clicks) -> None:
    nulls = {name: events[name].isnull().sum() for name in ("time", "session", "visitor")}
    counts = events.aggregate(rows=_.count(), **nulls).to_pyarrow().to_pylist()[0]
    for name in nulls:
        if counts[name]:
            what = "readable time" if name == "time" else name
            problem = f"no {what} in {counts[name]} of {counts['rows']} rows"
            raise InputError(f"column '{settings.columns[name]}': {problem}")


def _to_timestamp(column: Value) -> Value:
    """A timestamp from a timestamp, a text, or the seconds or milliseconds since 1970."""
    if column.type().is_numeric():
        return _from_epoch(column)
    timestamp = column.try_cast("timestamp(6)")
    if column.type().is_string():
        # In a csv, seconds are text too; 10 or 13 digits are no date such as 20191001.
        digits = column.re_search(r"^\d{10}(\d{3})?$").ifelse(column, ibis.null("string"))
        # parse_timestamp comes first, since the cast would ignore an offset from UTC.
        timestamp = parse_timestamp(column).coalesce(timestamp, _from_epoch(digits))
    return timestamp


def _from_epoch(column: Value) -> Value:
    number = _finite(column)
    milliseconds = (number > MAX_SECONDS).ifelse(number, number * 1000)
    return milliseconds.round().cast("int64").as_timestamp("ms")


def _to_number(column: Value) -> Value:
    return _finite(column if column.type().is_numeric() else column.cast("string"))


def _finite(column: Value) -> Value:
    """The column as float64; null for what is not a finite number."""
    number = column.try_cast("float64")
    return (number.isnan() | number.isinf()).ifelse(ibis.null("float64"), number)


def _to_integer(column: Value) -> Value:
    """An integer from a number, or from the text of an integer, of true or of false."""
    if column.type().is_signed_integer():
        return column.cast("int64")
    text = column.cast("string")
    return text.try_cast("int64").coalesce(text.try_cast("boolean").cast("int64"))
