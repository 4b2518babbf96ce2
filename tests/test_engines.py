"""The session table is the same whatever works it out: many threads or one, little memory, or a Spark cluster."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from click_oracle import COLUMNS, random_log
from helpers import ROOT, PrepareTable, RunStage, WriteParams
from test_clicks import rows_of
from test_own_data import REAL, SHARED

from stages.lib.common.files import scratch_folder, scratch_path
from stages.lib.common.params import LEAST_MEMORY
from stages.lib.preparation import engine
from stages.lib.preparation import partitions as sessions

SAMPLE = SHARED / "rees46_2019_oct_sample.csv"
OF_SAMPLE = REAL[SAMPLE.name][0]
# A driver, a master and two workers, each a process of its own, that listen on this machine only
LOOPBACK = "spark.driver.host=127.0.0.1&spark.driver.bindAddress=127.0.0.1&spark.sql.shuffle.partitions=2"
JAVA = "-XX:TieredStopAtLevel=1 -XX:%2BUseSerialGC"  # what compiles soonest: most of the time is compiling
CLUSTER = (
    f"pyspark://?spark.master=local-cluster[2,1,1024]&{LOOPBACK}"
    f"&spark.driver.extraJavaOptions={JAVA}&spark.executor.extraJavaOptions={JAVA}"
)
OUTPUT = Path("prepared.parquet")


@pytest.fixture
def log(project: Path) -> Path:
    path = Path("clicks.parquet")
    pq.write_table(rows_of(random_log(4)), path)
    return path


@pytest.fixture
def prepare(run_stage: RunStage, write_params: WriteParams):
    """The prepare stage on a click log with these params: the bytes of what it wrote."""

    def run(log: Path, **changes) -> bytes:
        write_params(**{"prepare.clicks.columns": dict(zip(COLUMNS, COLUMNS, strict=True))} | changes)
        ran = run_stage("prepare", log, OUTPUT)
        assert ran.code == 0, ran.err
        return OUTPUT.read_bytes()

    return run


def in_a_process(*arguments: str) -> str:
    command, environment = [sys.executable, *arguments], {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout


# On this machine ----------------------------------------------------


def test_threads_memory_and_parts_change_no_byte(prepare: PrepareTable, log, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, cut, parts = engine.connect_duckdb, sessions.cut, []
    monkeypatch.setattr(sessions, "cut", lambda events, count, work: parts.append(count) or cut(events, count, work))
    monkeypatch.setattr(engine, "duckdb", lambda **settings: connect(threads=1, **settings))
    expected = prepare(log)
    monkeypatch.setattr(engine, "duckdb", lambda **settings: connect(threads=2, **settings))
    monkeypatch.setattr(sessions, "EVENT", 200_000)
    assert prepare(log, **{"runtime.memory_limit": "500MB"}) == expected
    assert parts[0] == 1 < parts[1]


def test_a_table_that_does_not_fit_into_memory_goes_to_disk(project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SHARE", 0.1)  # some 30 MB
    with engine.open_engine(OUTPUT, memory_limit=LEAST_MEMORY) as work:
        rows = 2 * work.memory // 32
        work.local.raw_sql(f"CREATE TABLE t AS SELECT md5(range::text) AS a FROM range({rows})")
        assert any(work.folder.glob("spilled/*"))
        assert work.local.table("t").count().execute() == rows


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a process' peak is read from Linux' /proc")
def test_the_whole_process_stays_within_the_limit(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**{"runtime.memory_limit": "550MB"})
    assert run_stage("simulate", "shop.parquet").code == 0
    program = (
        "import runpy, sys\n"
        f"sys.argv = ['prepare', 'shop.parquet', '{OUTPUT}']\n"
        "runpy.run_module('stages.prepare', run_name='__main__')\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = in_a_process("-c", program)
    assert 1024 * int(done.splitlines()[-1]) < 550e6  # 650e6 if there is no limit


def test_too_little_memory_is_an_error_that_says_what_to_set(
    run_stage: RunStage, write_params: WriteParams, log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SHARE", 0.02)
    write_params(**{"runtime.memory_limit": "500MB"})
    assert "raise runtime.memory_limit" in run_stage("prepare", log, OUTPUT).error


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_only(
    run_stage: RunStage, write_params: WriteParams, log, monkeypatch: pytest.MonkeyPatch, terminal
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    write_params(**{"prepare.clicks.columns": dict(zip(COLUMNS, COLUMNS, strict=True))})
    ran = run_stage("prepare", log, OUTPUT)
    shown = ["cut by visitor: ", "sessions: 100%", "write: 100%"]
    assert [text in ran.err for text in shown] == [terminal] * 3


# What is needed on the way ------------------------------------------


def test_the_scratch_folder_is_gone_in_the_end(prepare: PrepareTable, log) -> None:
    scratch = scratch_path(OUTPUT)
    (scratch / "spilled").mkdir(parents=True)  # as a killed process leaves it
    (scratch / "spilled/old").touch()
    prepare(log)
    assert not scratch.exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_scratch_folder_is_gone_after_a_failure(project, error) -> None:
    with pytest.raises(error), scratch_folder(OUTPUT) as folder:
        (folder / "rows").touch()
        raise error
    assert [*project.iterdir()] == []


def test_the_engine_and_its_memory_make_no_stage_stale() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    params = {param for stage in stages.values() for param in stage.get("params", [])}
    assert not {"prepare", "runtime.engine", "runtime.memory_limit"} & params


# Other engines ------------------------------------------------------


def test_spark_that_is_not_installed_is_an_error_that_says_what_to_install(
    run_stage: RunStage, write_params: WriteParams, log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    write_params(**{"runtime.engine": "pyspark://"})
    error = run_stage("prepare", log, OUTPUT).error
    assert error.endswith("runtime.engine: pyspark:// is not installed: pip install -r requirements-cluster.txt")


def test_an_engine_that_nobody_knows_is_an_error_without_the_password_in_its_address(
    run_stage: RunStage, write_params: WriteParams, log
) -> None:
    write_params(**{"runtime.engine": "nonesuch://me:secret@host"})
    error = run_stage("prepare", log, OUTPUT).error
    assert "runtime.engine: nonesuch://" in error and "secret" not in error


def test_an_engine_that_reads_no_parquet_is_an_error(run_stage: RunStage, write_params: WriteParams, log) -> None:
    write_params(**{"runtime.engine": "sqlite://"})
    error = run_stage("prepare", log, OUTPUT).error
    assert "runtime.engine: sqlite://" in error


def test_another_duckdb_gives_the_same_bytes(prepare: PrepareTable, log) -> None:
    assert prepare(log, **{"runtime.engine": "duckdb://other.duckdb"}) == prepare(log)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java, which is not here; .ci/run installs it")
@pytest.mark.parametrize("log", ["default", "REES46"])
def test_a_spark_cluster_gives_the_same_bytes(
    log, prepare: PrepareTable, write_params: WriteParams, run_stage: RunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    if log == "REES46" and not SAMPLE.is_file():
        pytest.skip("the sample is not here: no folder shared beside the checkout")
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    changes, path = (
        (OF_SAMPLE, SAMPLE) if log == "REES46" else ({"prepare.clicks.score_at_view": 3}, Path("shop.parquet"))
    )
    write_params()
    if log == "default":
        assert run_stage("simulate", path).code == 0
    expected = prepare(path, **changes)
    # In a process of its own, which takes its JVM with it
    write_params(**changes, **{"runtime.engine": CLUSTER})
    in_a_process("-m", "stages.prepare", str(path), "spark.parquet")
    assert Path("spark.parquet").read_bytes() == expected
