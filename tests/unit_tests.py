"""What makes a test a unit test: it runs no stage and no DVC, and loads neither TensorFlow nor Spark.

All others are slow: those that run a stage in this process by the fixture for it, the others by their mark; and so are
those that take several seconds. `make unit` runs the unit tests only.
"""

import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

SLOW_FILE = "\npytestmark = pytest.mark.slow\n"
SLOW_MODULES = ("tensorflow", "pyspark")
SLOW_COMMANDS = ("stages.", "dvc", "multiprocessing.forkserver")

_running: pytest.Item | pytest.Collector | None = None  # the unit test, or the file of unit tests that is imported


@pytest.hookimpl
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without slow tests, a file of slow tests is not imported, and TensorFlow neither."""
    if config.option.markexpr != "not slow" or not collection_path.match("test_*.py"):
        return None
    return SLOW_FILE in collection_path.read_text(encoding="utf-8") or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and "run_stage" in item.fixturenames:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    global _running
    only_unit_tests = collector.config.option.markexpr == "not slow"
    _running = collector if only_unit_tests and isinstance(collector, pytest.Module) else None
    try:
        return (yield)
    finally:
        _running = None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global _running
    _running = None if item.get_closest_marker("slow") else item
    try:
        return (yield)
    finally:
        _running = None


def _fail_if_slow(event: str, arguments: tuple[Any, ...]) -> None:
    if _running is None:
        return
    if event == "import" and arguments[0] in SLOW_MODULES:
        what = f"imports {arguments[0]}"
    elif event == "subprocess.Popen" and any(str(word).startswith(SLOW_COMMANDS) for word in arguments[1]):
        what = f"starts {' '.join(map(str, arguments[1]))[:100]}"
    else:
        return
    raise AssertionError(f"{_running.nodeid} {what}: mark it with pytest.mark.slow")


sys.addaudithook(_fail_if_slow)
