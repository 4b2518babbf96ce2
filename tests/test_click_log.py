"""The simulated click log has exact counts, the same bytes each time, and sessions like those of a shop."""

import math
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from helpers import RunStage, WriteParams

from stages import simulate
from stages.lib.common.params import Simulate
from stages.lib.simulation.click_log import simulate_blocks, simulate_log

Connection = duckdb.DuckDBPyConnection

SESSIONS, PURCHASES = 51_349, 4_112

# One row per session, from the log alone
SESSION = """
    with numbered as (
        select *, count(*) filter (event = 'view') over (partition by session order by time) as views_so_far
        from log
    )
    select session, min(visitor) as visitor, min(time) as start, max(views_so_far) as views,
           min(time) filter (event = 'view' and views_so_far = 3) as third,
           min(time) filter (event = 'purchase') as bought,
           max(page_type) filter (event = 'view' and views_so_far = 3) as page_type,
           min(browser) as browser, min(operating_system) as operating_system,
           count(*) filter (event = 'add') as adds
    from numbered group by session
"""
SCORED = f"select * from ({SESSION}) where third is not null and (bought is null or bought > third)"


def settings(sessions: int, purchases: int, **changes: Any) -> Simulate:
    defaults: dict[str, Any] = {"start": date(2015, 1, 1), "days": 365, "daily": False, "signal": 1.0}
    return Simulate(sessions=sessions, purchases=purchases, **defaults | changes)


def database(log: pa.Table) -> Connection:
    connection = duckdb.connect()
    connection.register("arrow", log)
    connection.execute("create table log as select row_number() over () as row, * from arrow")
    return connection


def row(connection: Connection, query: str) -> tuple[Any, ...]:
    result = connection.sql(query).fetchone()
    assert result is not None
    return result


@pytest.fixture(scope="module")
def log() -> pa.Table:
    return simulate_log(settings(SESSIONS, PURCHASES), seed=1)


@pytest.fixture(scope="module")
def shop(log: pa.Table) -> Connection:
    connection = database(log)
    connection.execute(f"create table session as {SESSION}")
    connection.execute(f"create table scored as {SCORED}")
    return connection


def test_counts_are_exact(shop: Connection) -> None:
    assert row(shop, "select count(*), count(bought) from scored") == (SESSIONS, PURCHASES)


@pytest.mark.parametrize(
    ("sessions", "purchases", "changes"),
    [
        (2000, 160, {}),
        (500, 40, {}),
        (50, 1, {}),
        (50, 49, {}),
        (10, 1, {}),
        (500, 40, {"days": 14, "start": date(2024, 2, 20)}),
        (500, 40, {"signal": 0.0}),
    ],
)
def test_counts_are_exact_in_small_logs(sessions: int, purchases: int, changes: dict[str, Any]) -> None:
    log = simulate_log(settings(sessions, purchases, **changes), seed=3)
    assert row(database(log), f"select count(*), count(bought) from ({SCORED})") == (sessions, purchases)


def test_the_same_seed_gives_the_same_bytes() -> None:
    def content(seed: int) -> bytes:
        log = simulate_log(settings(500, 40), seed)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, log.schema) as writer:
            writer.write_table(log)
        return sink.getvalue().to_pybytes()

    assert content(1) == content(1)
    assert content(1) != content(2)


@pytest.mark.parametrize(("sessions", "purchases"), [(1000, 80), (1001, 3), (50, 49)])
def test_counts_are_exact_over_blocks_which_share_no_visitor(sessions: int, purchases: int) -> None:
    logs = list(simulate_blocks(settings(sessions, purchases), seed=3, block_sessions=300))
    together = database(pa.concat_tables(logs))
    assert len(logs) == math.ceil(sessions / 300)
    assert row(together, f"select count(*), count(bought) from ({SCORED})") == (sessions, purchases)
    assert row(together, "select count(distinct visitor) from log")[0] == sum(
        row(database(log), "select count(distinct visitor) from log")[0] for log in logs
    )
    # A session would hold two visitors if blocks shared it.
    visitors_of_a_session = "select count(distinct visitor) n from log group by session"
    assert row(together, f"select max(n) from ({visitors_of_a_session})") == (1,)


def test_blocks_differ_and_a_log_of_one_block_is_the_whole_log() -> None:
    first, second = simulate_blocks(settings(600, 40), seed=3, block_sessions=300)
    assert first["page"].to_pylist() != second["page"].to_pylist()
    (only,) = simulate_blocks(settings(300, 20), seed=3, block_sessions=300)
    assert only.equals(simulate_log(settings(300, 20), seed=3))


def test_a_large_log_is_a_folder_of_files(
    run_stage: RunStage, write_params: WriteParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulate, "BLOCK_SESSIONS", 300)
    write_params(**{"simulate.sessions": 300, "simulate.purchases": 20})
    assert run_stage("simulate", "clicks.parquet").code == 0
    assert Path("clicks.parquet").is_file()
    write_params(**{"simulate.sessions": 301, "simulate.purchases": 20})
    assert run_stage("simulate", "clicks.parquet").code == 0
    assert sorted(path.name for path in Path("clicks.parquet").iterdir()) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]


def test_columns_have_values_where_they_apply_and_make_sense(log: pa.Table, shop: Connection) -> None:
    assert log.schema.field("time").type == pa.timestamp("ms")
    assert {name for name in log.column_names if log[name].null_count} == {"price", "quantity"}
    for mistake in (
        "(quantity is null) = (event in ('add', 'remove', 'purchase'))",
        "(price is null) = (quantity is not null or (event = 'view' and page_type = 'product'))",
        "price <> round(price, 2) or price <= 0 or quantity < 1",
        "(page_type = 'checkout') <> (checkout_step between 1 and 4)",
        "window_width > screen_width or window_height >= screen_height",
        "tab_visible not in (0, 1) or major_city not in (0, 1)",
    ):
        assert row(shop, f"select count(*) from log where {mistake}") == (0,), mistake


def test_no_two_events_of_a_session_have_the_same_time_and_the_log_is_sorted(shop: Connection) -> None:
    assert row(
        shop,
        """
        select count(*) from (
            select time, visitor, session, lag((time, visitor, session)) over (order by row) as before
            from log)
        where (time, visitor, session) <= before""",
    ) == (0,)
    assert row(shop, "select count(*) - count(distinct (session, time)) from log") == (0,)


def test_an_event_is_on_the_page_that_was_viewed_last(shop: Connection) -> None:
    assert row(
        shop,
        """
        select count(*) from (
            select page, last_value(case event when 'view' then page end ignore nulls)
                         over (partition by session order by time) as viewed
            from log)
        where viewed is distinct from page""",
    ) == (0,)


@pytest.mark.parametrize(("column", "levels"), [("page_type", 12), ("browser", 13), ("operating_system", 11)])
def test_every_category_is_frequent(shop: Connection, column: str, levels: int) -> None:
    shares = shop.sql(f"select count(*) / {SESSIONS} from scored group by {column}").fetchall()
    assert len(shares) == levels
    assert min(shares)[0] >= 0.003


def test_buyers_pass_the_checkout_after_the_third_view(shop: Connection) -> None:
    assert row(
        shop,
        """
        select count(distinct session) from log join scored using (session)
        where event = 'view' and log.checkout_step = 4 and time > third and time < bought""",
    ) == (PURCHASES,)
    assert row(shop, "select count(*) from scored where bought is not null and adds = 0") == (0,)


def test_some_visitors_reorder_before_the_third_view(shop: Connection) -> None:
    (reorders,) = row(shop, "select count(bought) from session where views < 3 or bought < third")
    assert reorders > 50


def test_visits_are_like_those_of_a_shop(shop: Connection) -> None:
    (bounces,) = row(shop, "select avg((views = 1)::int) from session")
    assert 0.33 < bounces < 0.42
    (returning,) = row(
        shop,
        """
        with visits as (
            select session, row_number() over (partition by visitor order by start) as visit from session)
        select avg((visit > 1)::int) from scored join visits using (session)""",
    )
    assert 0.4 < returning < 0.6
    (abandoned,) = row(shop, "select avg((bought is null)::int) from scored where adds > 0")
    assert 0.65 < abandoned < 0.85
    (days,) = row(shop, "select date_diff('day', min(start), max(start)) from session")
    assert 330 < days < 365


def test_the_third_page_tells_buyers_from_others(shop: Connection) -> None:
    rates = dict(shop.sql("select page_type, count(bought) / count(*) from scored group by 1").fetchall())
    assert rates["cart"] > 1.5 * rates["home"]
