"""The session table is the same whatever computes it: many threads or one, little memory, or a Spark cluster."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click_logs import OWN_NAMES, as_table, random_log
from helpers import ROOT, RunStage, WriteParams
from ibis.expr.types import Table
from tracker_logs import LOG, NO_SESSION
from tracker_logs import PARAMS as TRACKER_PARAMS

from benchmarks import tools
from stages.lib.common.files import scratch_folder, scratch_path
from stages.lib.common.param_types import MIN_MEMORY
from stages.lib.preparation import engine, partitions

# A driver, a master and two workers, each a process of its own, which listen on this machine only
LOOPBACK = "spark.driver.host=127.0.0.1&spark.driver.bindAddress=127.0.0.1&spark.sql.shuffle.partitions=2"
# What compiles soonest, or not at all: most of the time is compiling
JAVA = "-XX:TieredStopAtLevel=1 -XX:%2BUseSerialGC"
INTERPRETED = "spark.sql.codegen.factoryMode=NO_CODEGEN&spark.sql.codegen.wholeStage=false"
CLUSTER = (
    f"pyspark://?spark.master=local-cluster[2,1,1024]&{LOOPBACK}&{INTERPRETED}"
    f"&spark.driver.extraJavaOptions={JAVA}&spark.executor.extraJavaOptions={JAVA}"
)
SHOP = {"simulate.sessions": 300, "simulate.purchases": 30}
OUTPUT = Path("prepared.parquet")
BOT = {"prepare.clicks.max_events_per_session": 10}
# In a random log visitors share session ids.
RANDOM: dict[str, Any] = {"prepare.clicks.columns": OWN_NAMES, "prepare.clicks.session_ids": "per_visitor"}


@pytest.fixture
def log(workdir: Path) -> Path:
    path = Path("clicks.parquet")
    pq.write_table(as_table(random_log(4)), path)
    return path


class PrepareClicks(Protocol):
    """prepare(log, **{"runtime.memory_limit": "1GB"}): the bytes that the prepare stage writes for a click log."""

    def __call__(self, log: Path, **changes: Any) -> bytes: ...


@pytest.fixture
def prepare(run_stage: RunStage, write_params: WriteParams) -> PrepareClicks:
    def run(log: Path, **changes: Any) -> bytes:
        write_params(**RANDOM | changes)
        ran = run_stage("prepare", log, OUTPUT)
        assert ran.code == 0, ran.err
        content = bytes_of(OUTPUT)
        shutil.rmtree(OUTPUT) if OUTPUT.is_dir() else OUTPUT.unlink()
        return content

    return run


def bytes_of(output: Path) -> bytes:
    """Of a file, or of all files of a folder."""
    files = [path for path in sorted([output, *output.rglob("*")]) if path.is_file()]
    assert files
    return b"".join(path.read_bytes() for path in files)


def run_process(*arguments: str) -> str:
    command, environment = [sys.executable, *arguments], {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout


# On this machine ----------------------------------------------------


def test_threads_memory_and_partitions_change_no_byte(
    prepare: PrepareClicks, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, partition, numbers = engine.connect_duckdb, partitions.partition_by_visitor, list[int]()

    def count_partitions(events: Table, n_partitions: int, used: engine.Engine) -> list[Path]:
        numbers.append(n_partitions)
        return partition(events, n_partitions, used)

    monkeypatch.setattr(partitions, "partition_by_visitor", count_partitions)
    monkeypatch.setattr(engine, "connect_duckdb", lambda **settings: connect(threads="1", **settings))
    expected = prepare(log)
    monkeypatch.setattr(engine, "connect_duckdb", lambda **settings: connect(threads="2", **settings))
    monkeypatch.setattr(partitions, "BYTES_PER_EVENT", 200_000)
    assert prepare(log, **{"runtime.memory_limit": "500MB"}) == expected
    assert numbers[0] == 1 < numbers[1]


def test_a_table_that_does_not_fit_into_memory_goes_to_disk(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "DUCKDB_SHARE", 0.1)  # some 30 MB
    with engine.open_engine(OUTPUT, memory_limit=MIN_MEMORY) as opened:
        rows = 2 * opened.memory // 32
        opened.local.raw_sql(f"CREATE TABLE t AS SELECT md5(range::text) AS a FROM range({rows})")
        assert any(opened.folder.glob("spilled/*"))
        assert opened.local.table("t").count().execute() == rows


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a process' peak is read from Linux' /proc")
def test_the_whole_process_stays_within_the_limit(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**{"runtime.memory_limit": "580MB"})
    assert run_stage("simulate", "shop.parquet").code == 0
    program = (
        "import runpy, sys\n"
        f"sys.argv = ['prepare', 'shop.parquet', '{OUTPUT}']\n"
        "runpy.run_module('stages.prepare', run_name='__main__')\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = run_process("-c", program)
    assert 1024 * int(done.splitlines()[-1]) < 580e6  # 650e6 if there is no limit


def test_too_little_memory_is_an_error_that_says_what_to_set(
    run_stage: RunStage, write_params: WriteParams, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "DUCKDB_SHARE", 0.02)
    write_params(**{"runtime.memory_limit": "500MB"})
    assert "raise runtime.memory_limit" in run_stage("prepare", log, OUTPUT).error


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_only(
    run_stage: RunStage, write_params: WriteParams, log: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    write_params(**RANDOM)
    ran = run_stage("prepare", log, OUTPUT)
    shown = ["partitioning by visitor and aggregating:  50%", "2/2 parts", "writing:   0%"]
    assert [text in ran.err for text in shown] == [terminal] * 3


# The scratch folder --------------------------------------------------


def test_the_scratch_folder_is_gone_in_the_end(prepare: PrepareClicks, log: Path) -> None:
    scratch = scratch_path(OUTPUT)
    (scratch / "spilled").mkdir(parents=True)  # as a killed process leaves it
    (scratch / "spilled/old").touch()
    prepare(log)
    assert not scratch.exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_scratch_folder_is_gone_after_a_failure(workdir: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), scratch_folder(OUTPUT) as folder:
        (folder / "rows").touch()
        raise error
    assert [*workdir.iterdir()] == []


def test_no_stage_depends_on_the_engine_or_its_memory() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    params = {param for stage in stages.values() for param in stage.get("params", [])}
    assert not [param for param in params if param.split(".")[0] == "runtime"]


# Other engines ------------------------------------------------------


def test_spark_that_is_not_installed_is_an_error_that_says_what_to_install(
    run_stage: RunStage, write_params: WriteParams, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    write_params(**{"runtime.engine": "pyspark://"})
    error = run_stage("prepare", log, OUTPUT).error
    assert error.endswith("runtime.engine: pyspark:// is not installed: pip install -r requirements-cluster.txt")


def test_an_unknown_engine_is_an_error_without_the_password_in_its_address(
    run_stage: RunStage, write_params: WriteParams, log: Path
) -> None:
    write_params(**{"runtime.engine": "nonesuch://me:secret@host"})
    error = run_stage("prepare", log, OUTPUT).error
    assert "runtime.engine: nonesuch://" in error and "secret" not in error


def test_an_engine_that_does_not_read_parquet_is_an_error(
    run_stage: RunStage, write_params: WriteParams, log: Path
) -> None:
    write_params(**{"runtime.engine": "sqlite://"})
    error = run_stage("prepare", log, OUTPUT).error
    assert "runtime.engine: sqlite://" in error


def test_another_duckdb_gives_the_same_bytes(prepare: PrepareClicks, log: Path) -> None:
    assert prepare(log, **{"runtime.engine": "duckdb://other.duckdb"}) == prepare(log)


# A process that prepares the log in each folder: one, since starting a JVM and compiling what it runs take longest.
PREPARE_EACH = """
import os, sys
from pathlib import Path
from stages import prepare
for log in map(Path, sys.argv[1:]):
    os.chdir(log.parent)
    prepare.main(log, log.with_name("spark.parquet"))  # absolute, since the JVM stays in the first folder
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java, which is not here; .ci/run installs it")
def test_a_spark_cluster_gives_the_same_bytes(
    prepare: PrepareClicks,
    write_params: WriteParams,
    run_stage: RunStage,
    monkeypatch: pytest.MonkeyPatch,
    workdir: Path,
) -> None:
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    for name in ("default", "no_session", "days/log"):
        (workdir / name).mkdir(parents=True)
    logs = {
        workdir / "default/log.parquet": SHOP,
        workdir / "no_session/log.parquet": TRACKER_PARAMS | BOT | NO_SESSION,
        workdir / "days/log": TRACKER_PARAMS | {"prepare.clicks.days": "*.parquet"},
    }
    write_params(**SHOP)
    assert run_stage("simulate", workdir / "default/log.parquet").code == 0
    # Duplicates, sessions cut by pauses, and one of too many events
    bot = [LOG[LOG.session == "s004"].assign(page=f"b{number}") for number in range(9)]
    table = pa.Table.from_pandas(pd.concat([LOG, LOG, *bot]), preserve_index=False)
    pq.write_table(table, workdir / "no_session/log.parquet")
    for name, rows in (("first", LOG[: len(LOG) // 2]), ("second", LOG[len(LOG) // 2 :])):
        pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), workdir / f"days/log/{name}.parquet")
    expected = {log: prepare(log, **changes) for log, changes in logs.items()}
    for log, changes in logs.items():
        tools.write_params(log.parent / "params.yaml", RANDOM | changes | {"runtime.engine": CLUSTER})
    run_process("-c", PREPARE_EACH, *map(str, logs))
    for log in logs:
        assert bytes_of(log.parent / "spark.parquet") == expected[log], log.parent.name
