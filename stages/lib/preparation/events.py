"""A shop's click log with the names and types that the pipeline uses: params say what the log calls them."""

from dataclasses import dataclass

import ibis
import ibis.expr.datatypes as dt
from ibis import _
from ibis.expr.types import BooleanValue, Table, Value

from stages.lib.common.errors import InputError
from stages.lib.common.params import Clicks, Prepare
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.preparation.event_names import check_event_names
from stages.lib.preparation.event_values import MAX_PRICE, MAX_QUANTITY, to_id, to_integer, to_price, to_quantity
from stages.lib.preparation.nulls import with_nulls
from stages.lib.preparation.row_checks import Check, Matches, count_rows
from stages.lib.preparation.timestamps import FORMS, parse_timestamp
from stages.lib.preparation.values import as_category

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
MIN_ROWS = 20  # in so few, all times may well be a midnight
UNREADABLE_SHARE = 0.5  # of a column's values, above which the column is taken to be written in another way
COLUMNS = "prepare.clicks.columns"


@dataclass(frozen=True)
class Events:
    """The events of a log that can be used.

    Attributes:
        table: with REQUIRED and OPTIONAL columns, but for the price, which is `cents`, and for the page type as the log
            names it, which is `raw_page_type`. Optional columns that the log lacks are null. `row` is a hash of all
            values of the log's row, if params say to drop duplicates. If the log has no sessions, `microsecond`, the
            time since 1970, is there to make them of.
        count: the number of these events.
        n_rows: of the log, with the events that can't be used.
        missing: the optional columns that the log lacks.
        without_session: the rows whose session is null.
        without_visitor: the other rows whose visitor is null.
    """

    table: Table
    count: int
    n_rows: int
    missing: list[str]
    without_session: Matches
    without_visitor: Matches


@ibis.udf.scalar.builtin(name="hash")  # type: ignore[untyped-decorator]
def hash_of(row) -> dt.uint64:  # type: ignore[no-untyped-def]
    """DuckDB's own; that of Ibis goes through a text of bits, which takes longer."""


def normalize_events(log: Table, settings: Prepare | Schema, left_out: LeftOut, *, training: bool = True) -> Events:
    """Rename and parse the columns of a click log, and leave out the events that no param maps, and refunds.

    Args:
        log: one row per event.
        settings: the log's names of columns and events, and how it writes values.
        left_out: gets what is left out and what counts as missing.
        training: whether the log is one to train on.

    Raises:
        InputError: a required column is missing or has a value that can't be read, or params name an unknown column,
            event or page type.
    """
    clicks = settings.clicks
    _check_settings(log, clicks)
    missing = [name for name in OPTIONAL if clicks.columns.get(name) not in log.columns]
    typed = _typed_events(log, settings)
    is_refund = (typed.event == "purchase") & _is_negative(typed)
    is_reversal = typed.event.isin(("add", "remove")) & _is_negative(typed)
    is_used = typed.event.notnull() & ~is_refund & ~is_reversal
    has_session = typed.session.notnull() if clicks.columns["session"] is not None else ibis.literal(True)
    checks = _value_checks(typed, [name for name in OPTIONAL if name not in missing])
    rows, matches = count_rows(
        typed,
        checks
        | {
            "time of day": Check(typed.time != typed.time.truncate("D")),
            "unmapped": Check(typed.event.isnull()),
            "refunds": Check(is_refund),
            "reversals": Check(is_reversal),
            "no visitor": Check(is_used & has_session & typed.visitor.isnull(), typed.text_visitor),
            "no session": Check(is_used & ~has_session, typed.text_session),
        },
    )
    _check_times(rows, matches, clicks)
    if matches["unmapped"].count:
        event_column = clicks.columns["event"]
        check_event_names(typed.text_event, str(event_column), clicks.events, left_out, training=training)
    _report_values(rows, matches, clicks, left_out)
    left_out.add(
        "left out purchases with a negative price or quantity, which are refunds or canceled orders",
        matches["refunds"].count,
    )
    left_out.add("left out events of the basket with a negative price or quantity", matches["reversals"].count)
    n_unused = sum(matches[name].count for name in ("unmapped", "refunds", "reversals"))
    # Most logs need no filter, which takes a while.
    events = (typed.filter(is_used) if n_unused else typed).mutate(
        cents=(_.price * 100).round().cast("int64"), quantity=_.quantity.fill_null(1), raw_page_type=_.page_type
    )
    kept = [*REQUIRED, "cents", *INTEGERS, *(name if name != "page_type" else "raw_page_type" for name in TEXTS)]
    kept += [name for name in ("row", "microsecond") if name in events.columns]
    return Events(events.select(kept), rows - n_unused, rows, missing, matches["no session"], matches["no visitor"])


def map_names(column: Value, names: dict[str, list[str]]) -> Value:
    """For each value the key of `names` whose list contains it; null if there is none."""
    cases = [(column.cast("string").isin(listed), name) for name, listed in names.items() if listed]
    return ibis.cases(*cases, else_=ibis.null("string")) if cases else ibis.null("string")


def _typed_events(log: Table, settings: Prepare | Schema) -> Table:
    """All rows, with typed values, and for column x of the log text_x; for a number has_x, whether there is one."""
    clicks = settings.clicks
    sources = {name: log[column] for name, column in clicks.columns.items() if column in log.columns}
    row = (
        {"row": hash_of(ibis.struct({name: log[name] for name in log.columns}))} if clicks.duplicates == "drop" else {}
    )
    table = log.select(**sources, **{f"text_{name}": column for name, column in sources.items()}, **row)
    table = with_nulls(table, [name for name in sources if name != "event"], settings.na_values)
    columns = {name: table[name] for name in sources}
    columns |= {name: ibis.null("string") for name in (*REQUIRED, *TEXTS) if name not in columns}
    columns |= {name: ibis.null("int64") for name in (*INTEGERS, "price") if name not in columns}
    time = parse_timestamp(columns["time"], settings.date_format)
    typed = {
        "time": time,
        "visitor": to_id(columns["visitor"]),
        "session": to_id(columns["session"]),
        "event": map_names(_event_name(columns["event"]), clicks.events),
        **{name: to_integer(columns[name], settings) for name in INTEGERS},
        **{name: as_category(columns[name]) for name in TEXTS},
        "price": to_price(columns["price"], settings),
        "quantity": to_quantity(columns["quantity"], settings),
    }
    if clicks.columns["session"] is None:
        typed["microsecond"] = time.delta(ibis.timestamp("1970-01-01"), unit="microsecond").cast("int64")
    texts = {f"text_{name}": table[f"text_{name}"].cast("string") for name in sources}
    texts["text_event"] = _event_name(columns["event"])
    texts |= {f"text_{name}": ibis.null("string") for name in REQUIRED if name not in sources}
    # What is stored as an integer can always be read, but a quantity may be too large.
    numbers = [name for name in ("price", *INTEGERS) if name in sources]
    numbers = [name for name in numbers if name == "quantity" or not columns[name].type().is_signed_integer()]
    has = {f"has_{name}": columns[name].notnull() for name in numbers}
    return table.select(**typed, **texts, **has, **{name: table[name] for name in row})


def _event_name(column: Value) -> Value:
    return column if column.type().is_string() else as_category(column)


def _is_negative(typed: Table) -> BooleanValue:
    return (typed.price < 0).fill_null(False) | (typed.quantity < 0).fill_null(False)


def _value_checks(typed: Table, names: list[str]) -> dict[str, Check]:
    """Values that can't be read, and texts that count as missing, of the columns that the log has."""
    checks = {"time": Check(typed.time.isnull(), typed.text_time)}
    for name in names:
        value, text = typed[name], typed[f"text_{name}"]
        if name in TEXTS:
            checks[name] = Check(value.isnull() & (text.strip() != ""), text)
        elif f"has_{name}" in typed.columns:
            has = typed[f"has_{name}"]
            checks[name] = Check(value.isnull() & has, text)
            checks[f"has {name}"] = Check(has)
    return checks


def _check_times(rows: int, matches: dict[str, Matches], clicks: Clicks) -> None:
    if count := matches["time"].count:
        example = matches["time"].example
        such_as = f", such as '{example}'" if example is not None else ""
        raise InputError(
            f"column '{clicks.columns['time']}': no readable time in {count} of {rows} rows{such_as}; expected {FORMS}"
        )
    if rows > MIN_ROWS and not matches["time of day"].count:
        raise InputError(
            f"column '{clicks.columns['time']}': all {rows} rows have a day without a time of day; write both in one "
            "column"
        )


def _report_values(rows: int, matches: dict[str, Matches], clicks: Clicks, left_out: LeftOut) -> None:
    for name in OPTIONAL:
        if name not in matches:
            continue
        column, count, example = clicks.columns[name], matches[name].count, matches[name].example
        if name in TEXTS:
            left_out.add(f"column '{column}': texts that count as missing", count, example, "prepare.na_values")
            continue
        what = "numbers" if name == "price" else "whole numbers"
        limit = {"price": MAX_PRICE, "quantity": MAX_QUANTITY}.get(name)
        what = f"{what} up to {limit:,}" if limit else what
        present = matches[f"has {name}"].count
        hint = "prepare.decimal, prepare.thousands, prepare.units" if name == "price" else f"{COLUMNS}.{name}"
        if name in ("price", "quantity") and count > UNREADABLE_SHARE * present:
            raise InputError(
                f"column '{column}': {count} of {present} values are not {what}, such as '{example}'; "
                "set prepare.decimal, prepare.thousands or prepare.units to read them, or "
                f"{COLUMNS}.{name} to null to go on without them"
            )
        left_out.add(f"column '{column}': values that are not {what} are missing", count, example, hint)


def _check_settings(log: Table, clicks: Clicks) -> None:
    known = {"columns": (*REQUIRED, *OPTIONAL), "events": EVENTS, "page_types": PAGE_TYPES}
    for section, known_names in known.items():
        for name in getattr(clicks, section):
            if name not in known_names:
                raise InputError(f"prepare.clicks.{section}.{name}: unknown name; known are {', '.join(known_names)}")
    for name in REQUIRED:
        if name == "session" and name in clicks.columns and clicks.columns[name] is None:
            continue
        source_name = clicks.columns.get(name)
        if source_name is None:
            cut = "; null makes sessions of the visitor's events (prepare.clicks.session_gap)"
            raise InputError(f"{COLUMNS}.{name}: no column named{cut if name == 'session' else ''}")
        if source_name not in log.columns:
            raise InputError(f"no column '{source_name}' for {COLUMNS}.{name}; it has {', '.join(log.columns)}")
    if not clicks.events.get("view"):
        raise InputError("prepare.clicks.events.view: no names; sessions are scored at a page view")
