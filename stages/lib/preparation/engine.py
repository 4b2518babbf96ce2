"""The engines that run queries: DuckDB in this process and, to aggregate a click log, any that Ibis can connect to."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from traceback import clear_frames
from urllib.parse import parse_qsl, urlsplit

import ibis
import psutil
from duckdb import OutOfMemoryException

from stages.lib.common.errors import InputError, first_line
from stages.lib.common.files import scratch_folder

# Engines merge nested queries themselves. Ibis takes a tenth of the time of prepare on a small log to do it for them.
ibis.options.sql.fuse_selects = False

LOCAL = "duckdb://"
DEFAULT_MEMORY = 5 * 2**29  # bytes of the whole process, for a click log
# Of the memory that the process has not used yet: DuckDB does not count all that it uses, and writing takes some too.
DUCKDB_SHARE = 0.4
# The first two make Spark compute as DuckDB does, the others keep it quiet. Options in the address override them.
SPARK_OPTIONS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),
    "spark.log.level": "ERROR",
}


@dataclass(frozen=True)
class Engine:
    """Two connections and a folder that both can reach.

    `local` is DuckDB in this process, which reads, checks and sorts. `compute` aggregates a click log, which takes
    longest; it is the same connection unless params name another engine.
    """

    local: ibis.BaseBackend
    compute: ibis.BaseBackend
    name: str  # of `compute`, such as pyspark://
    folder: Path
    memory: int  # bytes that DuckDB may use

    @property
    def is_local(self) -> bool:
        return self.compute is self.local

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn any error of another engine into an InputError, since each engine has exceptions of its own."""
        try:
            yield
        except Exception as error:
            if self.is_local:
                raise
            # The traceback holds tables that are cached on the engine; they must be freed before it disconnects.
            clear_frames(error.__traceback__)
            raise InputError(f"runtime.engine: {self.name} {first_line(error)}") from None


@contextmanager
def open_engine(output: Path, url: str = LOCAL, memory_limit: int | None = None) -> Iterator[Engine]:
    """Connect to the engines for as long as the block lasts.

    Args:
        output: the file that will be written; the scratch folder is made beside it.
        url: where to aggregate click logs, an address that `ibis.connect` takes.
        memory_limit: bytes of this process as a whole; DuckDB spills what exceeds it to the scratch folder. None: most
            of the machine's memory.

    Raises:
        InputError: the engine is not installed or can't be reached.
    """
    name = f"{urlsplit(url).scheme}://"  # the rest may contain a password
    with scratch_folder(output) as folder:
        limit = memory_limit or DEFAULT_MEMORY
        memory = int(DUCKDB_SHARE * max(limit - psutil.Process().memory_info().rss, limit // 2))
        settings = {"memory_limit": f"{memory // 2**20}MiB"} if memory_limit else {}
        local = connect_duckdb(temp_directory=str(folder / "spilled"), **settings)
        compute = local if url == LOCAL else connect_remote(url, name)
        try:
            yield Engine(local, compute, name, folder, memory)
        finally:
            if compute is not local:
                compute.disconnect()


def default_memory_limit(source_type: str) -> int | None:
    """The limit that applies if params set none, in bytes: a session table, which is read whole, has no limit."""
    return DEFAULT_MEMORY if source_type == "clicks" else None


def connect_duckdb(**settings: str) -> ibis.BaseBackend:
    """Connect to DuckDB in this process, without a progress bar and in UTC."""
    connection = ibis.duckdb.connect(**settings)
    connection.raw_sql("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    # An IN of several values would become a join, through which all other columns pass: with one in each column, as for
    # missing values, a query would take time and memory that grow with the square of the columns.
    connection.raw_sql("SET disabled_optimizers = 'in_clause'")
    return connection


def connect_remote(url: str, name: str) -> ibis.BaseBackend:
    """Connect to the engine at `url`; errors call it `name`, since the URL may contain a password."""
    try:
        return _connect_spark(url) if name == "pyspark://" else ibis.connect(url)
    except ImportError:
        install = "-r requirements-cluster.txt" if name == "pyspark://" else f"'ibis-framework[{name[:-3]}]'"
        raise InputError(f"runtime.engine: {name} is not installed: pip install {install}") from None
    except Exception as error:  # each engine has its own
        password = urlsplit(url).password or url
        raise InputError(f"runtime.engine: {name} {first_line(error).replace(password, '…')}") from None


def _connect_spark(url: str) -> ibis.BaseBackend:
    from pyspark.sql import SparkSession

    # ibis.connect would set the options of the address once more in the session, which refuses most of them.
    builder = SparkSession.builder.config(map={**SPARK_OPTIONS, **dict(parse_qsl(urlsplit(url).query))})
    return ibis.pyspark.connect(builder.getOrCreate())


def duckdb_message(error: Exception) -> str:
    """One line about an error of DuckDB, whose own text about memory does not name the parameter that sets it."""
    if isinstance(error, OutOfMemoryException):
        return "not enough memory; raise runtime.memory_limit, or score fewer rows at a time"
    return first_line(error)
