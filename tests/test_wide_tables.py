"""Tables of many columns: the same values as of few, at a cost in proportion to the columns."""

from collections.abc import Callable
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest
from helpers import PreparedSessions
from ibis.expr.types import Column, Value

from benchmarks.prepare_by_columns import random_table
from stages.lib.common.errors import InputError
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import Sessions
from stages.lib.preparation.column_profile import COLUMNS_PER_QUERY
from stages.lib.preparation.engine import connect_duckdb
from stages.lib.preparation.macros import Macro
from stages.lib.preparation.reader import open_source
from stages.lib.preparation.scoring import sessions_to_score
from stages.lib.preparation.side_by_side import join_side_by_side

ROWS, COLUMNS = 120, 3 * COLUMNS_PER_QUERY + 1


@pytest.fixture
def wide() -> pd.DataFrame:
    """Numbers, some with missing values, whole numbers and categories, in turn, with the target in their midst."""
    rng = np.random.default_rng(3)
    kinds: list[Callable[[], pd.Series]] = [
        lambda: pd.Series(rng.normal(size=ROWS)).where(rng.random(ROWS) < 0.9),
        lambda: pd.Series(rng.integers(0, 30, ROWS)),
        lambda: pd.Series(rng.choice(["a", "b", " c"], ROWS)),
    ]
    columns = {f"column {number}": kinds[number % 3]() for number in range(COLUMNS)}
    columns["column 50"] = pd.Series([f"visitor {row // 2}" for row in range(ROWS)])
    return pd.DataFrame(columns).assign(buys=rng.permutation([0, 1] * (ROWS // 2)))[
        [*[*columns][:40], "buys", *[*columns][40:]]
    ]


def values(sessions: Sessions) -> pd.DataFrame:
    return sessions.to_arrow().to_pandas()


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_all_columns_keep_their_values_names_and_rows(
    prepared: PreparedSessions, wide: pd.DataFrame, name: str
) -> None:
    sessions = prepared(wide, name, **{"prepare.keys.visitor": "column 50"})
    features = [column for column in wide if column not in ("column 50", "buys")]
    assert sessions.to_arrow().column_names == ["column 50", *features, "buys"]
    assert sessions.names("visitor") == ["column 50"] and sessions.names("feature") == features
    expected = wide.apply(lambda column: column.str.strip() if column.dtype == object else column)
    pd.testing.assert_frame_equal(values(sessions), expected[sessions.to_arrow().column_names])


def test_new_rows_of_many_columns_are_those_of_the_training(prepared: PreparedSessions, wide: pd.DataFrame) -> None:
    sessions = prepared(wide, **{"prepare.keys.visitor": "column 50"})
    schema = Schema.from_arrow(sessions.table.schema)
    wide.drop(columns="buys").to_parquet("new.parquet")
    new_rows = rows_to_score(Path("new.parquet"), schema)
    assert [*new_rows] == ["row", *schema.features]
    expected = values(sessions).drop(columns=["buys", "column 50"])
    pd.testing.assert_frame_equal(new_rows.drop(columns="row"), expected, check_dtype=False)
    last = [*wide][-1]
    wide.assign(**{last: ["many", *wide[last].astype(str)[1:]]}).to_csv("new.csv", index=False)
    with pytest.raises(InputError, match=f"'{last}': 1 of {ROWS} values are not numbers, such as 'many'"):
        rows_to_score(Path("new.csv"), schema)


def rows_to_score(path: Path, schema: Schema) -> pd.DataFrame:
    with open_source(path, schema, Path("scores.csv"), left_out=LeftOut()) as (rows, engine):
        return sessions_to_score(rows, schema, engine, LeftOut())[0].to_pandas()


def test_a_table_with_a_memory_limit_is_the_same_table(prepared: PreparedSessions) -> None:
    table = random_table(20_000, COLUMNS)
    limited = values(prepared(table, "a.parquet", **{"runtime.memory_limit": "500MB"}))
    pd.testing.assert_frame_equal(limited, values(prepared(table, "a.parquet")))


def test_no_query_joins_for_each_column() -> None:
    connection = connect_duckdb()
    connection.raw_sql("CREATE TABLE source AS SELECT 'a' AS x, 'b' AS y")
    table = connection.table("source")
    query = table.select(
        *(table[name].isin(["", "NA", "NaN", "nan", "null", "NULL", "None"]).name(name) for name in "xy")
    )
    plan = connection.con.execute(f"EXPLAIN {connection.compile(query)}").fetchall()
    assert "JOIN" not in str(plan)


def test_tables_are_joined_by_the_position_of_their_rows() -> None:
    connection = connect_duckdb()
    connection.raw_sql('SET threads = 1; CREATE TABLE source AS SELECT i AS a, -i AS "b c" FROM range(5000) r(i)')
    table = connection.table("source")
    joined = join_side_by_side([table.select("a"), table.select(c=table["b c"] * 2)]).to_pyarrow()
    assert joined.to_pydict() == {"a": list(range(5000)), "c": [-2 * i for i in range(5000)]}


def test_a_macro_computes_what_its_expression_does() -> None:
    connection = connect_duckdb()
    connection.raw_sql("CREATE TABLE source AS SELECT * FROM (VALUES (1, ' a'), (NULL, 'b'), (3, NULL)) v(n, \"t x\")")
    table = connection.table("source")

    def summary(number: Column, text: Column) -> Value:
        return ibis.struct({"total": number.sum(), "last": text.max(where=number.notnull())})

    strip, summarize = Macro(lambda text: text.strip().upper()), Macro(summary, aggregates=True)
    stripped = table.select(n=table.n, t=strip(table["t x"]))
    assert stripped.to_pyarrow()["t"].to_pylist() == ["A", "B", None]
    assert stripped.aggregate(s=summarize(stripped.n, stripped.t)).to_pyarrow()["s"].to_pylist() == [
        {"total": 4, "last": "A"}
    ]


def test_the_order_of_the_rows_is_kept_across_columns(prepared: PreparedSessions, workdir: Path) -> None:
    table = random_table(9_000, 2 * COLUMNS_PER_QUERY)
    pd.testing.assert_frame_equal(values(prepared(table)), table)
