"""The keys of a session table: the columns that identify, group and order its rows, and are never features."""

from ibis import _
from ibis.expr.types import Column, Table

from stages.lib.common.errors import InputError
from stages.lib.common.params import Keys
from stages.lib.preparation.timestamps import TIMESTAMP, parse_timestamp


def check_keys(table: Table, keys: Keys) -> None:
    """Check that each key has a value in every row, and that no two rows have the same session."""
    for role, name in keys:
        if name and (missing := table[name].isnull().sum().execute()):
            raise InputError(f"key '{name}' (prepare.keys.{role}): no value in {missing} of {_rows(table)} rows")
    if keys.session:
        counts = table.group_by(session=table[keys.session]).aggregate(rows=_.count())
        repeated = counts.filter(_.rows > 1).order_by("session").limit(1).to_pyarrow().to_pylist()
        if repeated:
            raise InputError(
                f"key '{keys.session}' (prepare.keys.session): '{repeated[0]['session']}' is in {repeated[0]['rows']} "
                "rows; expected one row per session"
            )


def parse_time(table: Table, name: str) -> Column:
    """The time as numbers or timestamps if its column is text, since in the order of texts 10 comes before 9.

    Raises:
        InputError: the texts are neither all numbers nor all timestamps.
    """
    column = table[name]
    if not column.type().is_string():
        return column
    numbers = column.try_cast("float64")
    unreadable = numbers.isnull().sum().execute()
    if not unreadable:
        return numbers
    timestamps = parse_timestamp(column).coalesce(column.try_cast(TIMESTAMP))
    unreadable = timestamps.isnull().sum().execute()
    if not unreadable:
        return timestamps
    raise InputError(
        f"key '{name}' (prepare.keys.time): no readable time in {unreadable} of {_rows(table)} rows; expected numbers "
        "in all rows, or 2020-01-31 or 2020-01-31 23:59:59 in all"
    )


def _rows(table: Table) -> int:
    return table.count().execute()
