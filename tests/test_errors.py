"""What goes wrong with a file becomes one line that names it."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from stages.lib.common import cli
from stages.lib.common.errors import InputError, file_errors, first_line


class LibraryError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError(2, "No such file or directory"), "a.parquet: no such file; run the split stage"),
        (
            PermissionError(13, "Permission denied"),
            "a.parquet: not a parquet file: [Errno 13] Permission denied",
        ),
        (ValueError("\n  bad magic\nbytes\n"), "a.parquet: not a parquet file: bad magic"),
        (
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
            "a.parquet: not a parquet file: 'utf-8' codec",
        ),
        (LibraryError(), "a.parquet: not a parquet file: LibraryError"),
    ],
)
def test_what_goes_wrong_while_a_file_is_read_is_one_line_that_names_the_file(error: Exception, message: str) -> None:
    with (
        pytest.raises(InputError) as raised,
        file_errors(Path("a.parquet"), "a parquet file", "run the split stage", errors=(LibraryError,)),
    ):
        raise error
    assert str(raised.value).startswith(message)
    assert len(str(raised.value).splitlines()) == 1


def test_a_missing_file_without_a_hint_is_named_alone() -> None:
    with pytest.raises(InputError, match=r"^a\.csv: no such file$"), file_errors(Path("a.csv"), "a csv file"):
        Path("a.csv").read_text()


def test_other_errors_pass_through_unchanged() -> None:
    with pytest.raises(KeyError), file_errors(Path("a.csv"), "a csv file"):
        raise KeyError("a bug, no broken file")


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError("one\ntwo"), "one"), (ValueError("\n \n two \n"), "two"), (ValueError(), "ValueError")],
)
def test_the_first_line_of_an_error_is_the_first_that_is_not_empty_or_its_name(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_what_is_not_printable_is_escaped_so_that_an_error_stays_one_line() -> None:
    error = InputError("classes 'no' and 'may\u2028be\x0c'; see\nthe next problem")
    assert str(error).splitlines() == [r"classes 'no' and 'may\u2028be\x0c'; see", "the next problem"]
    assert str(InputError("'grün €'")) == "'grün €'"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_ends_a_stage_in_one_line_whatever_error_a_library_makes_of_it(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise RuntimeError("Query interrupted") from None

    monkeypatch.setattr("sys.argv", ["stage"])
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a process of its own
    try:
        with pytest.raises(SystemExit) as ended:
            cli.run(main)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "test_errors: interrupted; earlier outputs are unchanged\n"


def test_an_error_that_no_interrupt_caused_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def main() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("sys.argv", ["stage"])
    with pytest.raises(RuntimeError, match="a defect"):
        cli.run(main)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            "[Errno 28] No space left on device; free some space, then run it again",
        ),
        (
            LibraryError("IO Error: File too large\nmore"),
            "IO Error: File too large; raise the limit of a file's size (ulimit -f), then run it again",
        ),
        (
            LibraryError("An error occurred while calling o1.parquet.\njava.io.IOException: No space left on device"),
            "java.io.IOException: No space left on device; free some space, then run it again",
        ),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), "data/split"),
            "[Errno 13] Permission denied: 'data/split'; check its owner and permissions, then run it again",
        ),
    ],
)
def test_what_the_disk_refuses_ends_a_stage_in_one_line(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main() -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["stage"])
    with pytest.raises(SystemExit, match=r"^test_errors: ") as ended:
        cli.run(main)
    assert ended.value.code == f"test_errors: {line}"


def test_a_refusal_is_found_below_several_errors_of_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def main() -> None:
        try:
            with file_errors(Path("a.csv"), "a csv file", errors=(LibraryError,)):
                raise LibraryError("IO Error: No space left on device")
        except InputError as error:
            raise InputError(f"part 2: {error}") from None

    monkeypatch.setattr("sys.argv", ["stage"])
    with pytest.raises(SystemExit, match=r"^test_errors: part 2: .*; free some space, then run it again$"):
        cli.run(main)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            LibraryError("IO Error: Could not write: No space left on device"),
            "a.csv: not a csv file: IO Error: Could not write: No space left on device; "
            "free some space, then run it again",
        ),
        (
            LibraryError("Conversion Error: Could not convert string 'No space left on device'"),
            "a.csv: not a csv file: Conversion Error: Could not convert string 'No space left on device'",
        ),
        (
            ValueError("'Permission denied' is no number"),
            "a.csv: not a csv file: 'Permission denied' is no number",
        ),
    ],
)
def test_only_what_the_system_says_is_taken_for_its_refusal(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main() -> None:
        with file_errors(Path("a.csv"), "a csv file", errors=(LibraryError,)):
            raise error

    monkeypatch.setattr("sys.argv", ["stage"])
    with pytest.raises(SystemExit) as ended:
        cli.run(main)
    assert ended.value.code == f"test_errors: {line}"


def test_an_interrupt_while_libraries_are_imported_leaves_no_traceback() -> None:
    # What runs in the background ignores the signal, and so would this test's process.
    start = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); sys.argv = ['-m']; "
    start += "import stages; signal.raise_signal(signal.SIGINT)"
    ended = subprocess.run([sys.executable, "-c", start], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")
