"""The names of a log's events: those that params map, and what to say about the others."""

import re
from difflib import SequenceMatcher

from ibis import _
from ibis.expr.types import Table, Value

from stages.lib.common.errors import InputError
from stages.lib.dataset.left_out import LeftOut

SECTION = "prepare.clicks.events"
MAX_NAMES = 1000  # only the most frequent ones are compared
MAX_FINDINGS = 10
SIMILARITY = 0.85  # of the letters of two names, from 0 to 1, above which they are likely to mean the same
# Parts of names that shops give to the events on which the figures depend, and of those that only look like them
MEANINGS = {
    "view": r"view|impression|pageload|visit|screen",
    "add": r"add|cart|basket|bag",
    "purchase": r"purchas|order|transaction|buy|bought|conver|checkout|paid|payment|sale|sold",
}
OTHER_MEANINGS = {
    "view": r"review",
    "add": r"remove|delete|address|wish|fav|view|update|clear|empty|abandon",
    "purchase": r"refund|cancel|return|add|remove|start|begin|intent|abandon|view|fail",
}


def check_event_names(
    column: Value, name: str, events: dict[str, list[str]], left_out: LeftOut, *, training: bool
) -> None:
    """Report the event names that no param maps, with a hint if one is nearly a name that params do map.

    A view, an addition to the basket or a purchase that is in no row is an error if the log has names that are not
    mapped: one of them may be it.

    Args:
        column: the names, as texts.
        name: of the column.
        events: our name: the log's event names.
        left_out: gets the names.
        training: whether the log is one to train on: other logs may be of a day without any purchase.

    Raises:
        InputError: a name that params map is in no row, but one that may mean the same is there.
    """
    listed = {log_name: event for event, log_names in events.items() for log_name in log_names}
    table = column.name("name").as_table()
    counts = table.group_by("name").aggregate(rows=_.count()).cache()
    is_listed = counts.name.isin([*listed]).fill_null(False)
    present = {row["name"] for row in _rows(counts.filter(is_listed))}
    others = counts.filter(~is_listed)
    n_names, n_rows = (int(value) for value in others.aggregate(n=_.count(), rows=_.rows.sum()).execute().iloc[0])
    unmapped = _rows(others.order_by(_.rows.desc(), _.name).limit(MAX_NAMES))
    named = {row["name"]: row["rows"] for row in unmapped if row["name"] is not None}
    for other, rows in named.items():
        _check_near_miss(name, other, rows, listed, present, training=training)
    if named and training:
        _check_present(name, next(iter(named.items())), listed, present)
    for row in unmapped[:MAX_FINDINGS]:
        n_rows -= row["rows"]
        if row["name"] is None:
            left_out.add(f"column '{name}': left out the rows without an event name", row["rows"])
            continue
        near = _near_miss(row["name"], [*listed])
        hint = f"nearly '{near}' of {SECTION}.{listed[near]}" if near else f"no name in {SECTION}"
        left_out.add(f"column '{name}': left out the events '{row['name']}'", row["rows"], hint=hint)
    if n_names > MAX_FINDINGS:
        what = f"column '{name}': left out the events with {n_names - MAX_FINDINGS:,} other names"
        example = unmapped[MAX_FINDINGS]["name"] if len(unmapped) > MAX_FINDINGS else None
        left_out.add(what, n_rows, example, f"no names in {SECTION}")


def _rows(table: Table) -> list[dict]:
    return table.to_pyarrow().to_pylist()


def _check_near_miss(
    column: str, other: str, n_rows: int, listed: dict[str, str], present: set[str], *, training: bool
) -> None:
    """Raise an InputError if `other` seems to be a listed name, or an event, that is in no row."""
    absent = [log_name for log_name in listed if log_name not in present]
    if near := _near_miss(other, absent):
        what = f"the event '{near}' ({SECTION}.{listed[near]}) is in no row"
        raise _absent(column, what, other, n_rows, listed[near])
    event = _meaning(other)
    if training and event in _absent_events(listed, present):
        raise _absent(column, _no_row(event, listed), other, n_rows, event)


def _check_present(column: str, most_frequent: tuple[str, int], listed: dict[str, str], present: set[str]) -> None:
    """Raise an InputError if an event on which figures depend is in no row, while the log has names of its own."""
    for event in _absent_events(listed, present):
        raise _absent(column, _no_row(event, listed), *most_frequent, event)


def _absent_events(listed: dict[str, str], present: set[str]) -> list[str]:
    """Those of MEANINGS that params map, but that are in no row."""
    return [event for event in MEANINGS if event in {*listed.values()} - {listed[name] for name in present}]


def _no_row(event: str, listed: dict[str, str]) -> str:
    names = ", ".join(f"'{log_name}'" for log_name, mapped in listed.items() if mapped == event)
    return f"no row has an event of {SECTION}.{event}, {names}"


def _absent(column: str, what: str, other: str, n_rows: int, event: str) -> InputError:
    # Without views, there is nothing to score.
    otherwise = "" if event == "view" else f", or set {SECTION}.{event} to [] if the log has none"
    hint = f"list it there if it means the same{otherwise}"
    return InputError(f"column '{column}': {what}, but '{other}' is in {n_rows:,} rows; {hint}")


def _near_miss(name: str, candidates: list[str]) -> str | None:
    """The candidate that differs from the name in case, padding, separators or a letter or two."""
    letters = _letters(name)
    scores = {candidate: SequenceMatcher(None, letters, _letters(candidate)).ratio() for candidate in candidates}
    best = max(scores, key=lambda candidate: scores[candidate], default=None)
    return best if best is not None and scores[best] >= SIMILARITY else None


def _meaning(name: str) -> str | None:
    """The event that the name seems to stand for."""
    letters = _letters(name)
    for event, pattern in MEANINGS.items():
        if re.search(pattern, letters) and not re.search(OTHER_MEANINGS[event], letters):
            return event
    return None


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()
