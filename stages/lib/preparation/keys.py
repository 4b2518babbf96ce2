"""The keys of a session table: the columns that identify, group and order its rows, and are never features."""

from ibis import _
from ibis.expr.types import Column, Table

from stages.lib.common.errors import InputError
from stages.lib.common.params import Keys, Prepare
from stages.lib.preparation.numbers import parse_number
from stages.lib.preparation.timestamps import FORMS, parse_timestamp
from stages.lib.preparation.values import as_category


def check_keys(table: Table, keys: Keys) -> None:
    """Check that each key has a value in every row, and that no two rows have the same session."""
    for role, name in keys:
        if name and (missing := table[name].isnull().sum().execute()):
            raise InputError(f"key '{name}' (prepare.keys.{role}): no value in {missing} of {_rows(table)} rows")
    if keys.session:
        counts = table.group_by(session=as_category(table[keys.session])).aggregate(rows=_.count())
        repeated = counts.filter(_.rows > 1).order_by("session").limit(1).to_pyarrow().to_pylist()
        if repeated:
            raise InputError(
                f"key '{keys.session}' (prepare.keys.session): '{repeated[0]['session']}' is in {repeated[0]['rows']} "
                "rows; expected one row per session"
            )


def parse_time(table: Table, name: str, settings: Prepare) -> Column:
    """The time as TIMESTAMP, or as float64 if no value is a moment but all are numbers, such as 1, 2, 3.

    Raises:
        InputError: the values are neither all moments nor all other numbers.
    """
    column = table[name]
    moment, number = parse_timestamp(column, settings.date_format), parse_number(column, settings)
    counts = table.aggregate(
        rows=_.count(),
        moments=moment.count(),
        numbers=number.count(),
        example=column.cast("string").min(where=moment.isnull()),
    )
    values = counts.to_pyarrow().to_pylist()[0]
    if values["moments"] == values["rows"]:
        return moment
    if values["numbers"] == values["rows"] and not values["moments"]:
        return number
    raise InputError(
        f"key '{name}' (prepare.keys.time): no readable time in {values['rows'] - values['moments']} of "
        f"{values['rows']} rows, such as '{values['example']}'; expected numbers in all rows, or {FORMS}"
    )


def _rows(table: Table) -> int:
    return table.count().execute()
