"""What questions of rows are asked of: DuckDB in this process, or, for what takes longest, whatever Ibis speaks to."""

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

from stages.lib.common.errors import InputError
from stages.lib.common.files import scratch_folder

LOCAL = "duckdb://"
MEMORY = 5 * 2**29  # bytes that this process takes for a click log where nothing else is said
SHARE = 0.4  # of what the process has not taken yet: DuckDB does not count all that it takes, and rows are written
# As DuckDB has it; and no server and no progress where nobody looks. The address may say otherwise.
SPARK = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),
    "spark.log.level": "ERROR",
}


@dataclass(frozen=True)
class Engine:
    """DuckDB in this process, which reads, checks and orders; the one that measures; and a folder they share."""

    local: ibis.BaseBackend
    measuring: ibis.BaseBackend
    name: str
    folder: Path
    memory: int  # bytes that DuckDB may take

    @property
    def is_local(self) -> bool:
        return self.measuring is self.local

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What goes wrong on another engine, whatever its errors are, is an InputError."""
        try:
            yield
        except Exception as error:
            if self.is_local:
                raise
            # Their tables, cached on the engine, have to go before it does.
            clear_frames(error.__traceback__)
            raise InputError(f"runtime.engine: {self.name} {first_line(error)}") from None


@contextmanager
def open_engine(output: Path, url: str = LOCAL, memory_limit: int | None = None) -> Iterator[Engine]:
    """Engines for as long as the block lasts, with a scratch folder beside `output`.

    `url` is an address as `ibis.connect` takes it. `memory_limit` is in bytes, of this process as a whole; what DuckDB
    can't hold in it goes to the scratch folder. None: most of the machine's. Raises InputError if the engine is not
    installed or can't be reached.
    """
    name = f"{urlsplit(url).scheme}://"  # the rest may hold a password
    with scratch_folder(output) as folder:
        most = memory_limit or MEMORY
        memory = int(SHARE * max(most - psutil.Process().memory_info().rss, most // 2))
        limit = {"memory_limit": f"{memory // 2**20}MiB"} if memory_limit else {}
        local = connect_duckdb(temp_directory=str(folder / "spilled"), **limit)
        measuring = local
        try:
            if url != LOCAL:
                measuring = _connect_remote(url, name)
            yield Engine(local, measuring, name, folder, memory)
        finally:
            if measuring is not local:
                measuring.disconnect()


def default_memory_limit(kind: str) -> int | None:
    """The limit of memory where none is set: a table of sessions, which is asked whole, may take what there is."""
    return MEMORY if kind == "clicks" else None


def connect_duckdb(**settings: str) -> ibis.BaseBackend:
    """DuckDB in this process: quiet, and in UTC."""
    connection = ibis.duckdb.connect(**settings)
    connection.raw_sql("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    return connection


def _connect_remote(url: str, name: str) -> ibis.BaseBackend:
    try:
        return _spark(url) if name == "pyspark://" else ibis.connect(url)
    except ImportError:
        install = "-r requirements-cluster.txt" if name == "pyspark://" else f"'ibis-framework[{name[:-3]}]'"
        raise InputError(f"runtime.engine: {name} is not installed: pip install {install}") from None
    except Exception as error:  # each engine has its own
        password = urlsplit(url).password or url
        raise InputError(f"runtime.engine: {name} {first_line(error).replace(password, '…')}") from None


def _spark(url: str) -> ibis.BaseBackend:
    from pyspark.sql import SparkSession

    # Not by ibis.connect, which sets the options of the address once more in the session, where most are refused.
    session = SparkSession.builder.config(map={**SPARK, **dict(parse_qsl(urlsplit(url).query))}).getOrCreate()
    return ibis.pyspark.connect(session)


def first_line(error: object) -> str:
    """One line of an error of some engine's."""
    if isinstance(error, OutOfMemoryException):
        return "more memory is needed than there may be; raise runtime.memory_limit, or score less at once"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
