"""Tables with the same rows and different columns, joined by the position of their rows."""

from ibis.expr.types import Table
from ibis.util import gen_name


def join_side_by_side(tables: list[Table]) -> Table:
    """The columns of all tables, computed one table after another.

    A query over a thousand columns takes DuckDB many times as long, and as much memory, as queries over a few columns
    each: the expressions that it optimizes, and the vectors that it has in memory, are those of all columns.

    Args:
        tables: on DuckDB, which must preserve the order of their rows. Their columns have different names.
    """
    if len(tables) == 1:
        return tables[0]
    connection = tables[0].get_backend()
    prefix = gen_name("columns")
    names = [f"{prefix}_{number}" for number in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        connection.raw_sql(f'CREATE TABLE "{name}" AS {connection.compile(table)}')
    sources = " POSITIONAL JOIN ".join(f'"{name}"' for name in names)
    connection.raw_sql(f'CREATE VIEW "{prefix}" AS FROM {sources}')
    return connection.table(prefix)
