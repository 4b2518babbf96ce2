"""Files are written whole or not at all, with the same bytes for the same content."""

import errno
import fcntl
import os
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from helpers import ROOT

from stages.lib.common.files import LOCK, atomic_write, scratch_folder, scratch_path, write_csv, write_json
from stages.lib.dataset import sessions
from stages.lib.dataset.sessions import read_sessions, with_roles, write_batches

KINDS = ("nothing", "file", "folder")


def create(path: Path, kind: str, content: str) -> None:
    if kind == "file":
        path.write_text(content)
    elif kind == "folder":
        path.mkdir()
        (path / "inner").write_text(content)


def content_of(path: Path) -> tuple[str, str]:
    """Its kind, and the text in it."""
    if path.is_dir():
        return "folder", (path / "inner").read_text()
    return ("file", path.read_text()) if path.exists() else ("nothing", "")


@pytest.mark.parametrize("earlier", KINDS)
@pytest.mark.parametrize("later", ["file", "folder"])
def test_files_and_folders_replace_each_other(tmp_path: Path, earlier: str, later: str) -> None:
    path = tmp_path / "a.txt"
    create(path, earlier, "old")
    with atomic_write(path) as temporary:
        create(temporary, later, "new")
    assert content_of(path) == (later, "new")
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("earlier", KINDS)
@pytest.mark.parametrize("later", KINDS)
def test_a_block_that_fails_leaves_the_earlier_file_or_folder(
    tmp_path: Path, earlier: str, later: str, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    create(path, earlier, "old")
    with pytest.raises(error), atomic_write(path) as temporary:
        create(temporary, later, "new")
        raise error
    assert content_of(path) == (earlier, "old" * (earlier != "nothing"))
    assert [*tmp_path.iterdir()] == [path] * (earlier != "nothing")


def test_a_block_that_writes_nothing_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    create(path, "file", "old")
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass
    assert content_of(path) == ("file", "old")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_earlier_one_exists_until_the_new_one_is_complete(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    create(path, kind, "old")
    with atomic_write(path) as temporary:
        create(temporary, kind, "new")
        assert content_of(path) == (kind, "old")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_temporary_file_of_a_killed_process_is_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    with atomic_write(path) as temporary:
        create(temporary, "file", "new")
    temporary.parent.mkdir()
    create(temporary, kind, "half")
    with atomic_write(path) as temporary:
        assert not temporary.exists()
        create(temporary, "file", "newer")
    assert content_of(path) == ("file", "newer")
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_is_replaced_and_its_target_is_unchanged(tmp_path: Path, kind: str) -> None:
    path, target = tmp_path / "a", tmp_path / "target"
    create(target, kind, "old")
    path.symlink_to(target)
    with atomic_write(path) as temporary:
        create(temporary, kind, "new")
    assert not path.is_symlink()
    assert (content_of(path), content_of(target)) == ((kind, "new"), (kind, "old"))


def test_the_temporary_file_has_the_same_suffix_and_its_folder_is_created(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a" / "b" / "rows.parquet") as temporary:
        assert temporary.suffix == ".parquet"
        assert temporary.parent.parent == tmp_path / "a" / "b"
        temporary.touch()


def replace_after(path: Path, content: str, started: Event, go_on: Event) -> None:
    """Replace the file in a process of its own, which is not done before `go_on`."""
    with atomic_write(path) as temporary:
        temporary.write_text(content)
        started.set()
        assert go_on.wait(60)
        assert temporary.read_text() == content, "another process has used the same temporary file"


def test_a_process_waits_for_another_one_that_writes_the_same_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, context = tmp_path / "a.txt", get_context("fork")
    started, go_on, started_2 = context.Event(), context.Event(), context.Event()
    first = context.Process(target=replace_after, args=(path, "first", started, go_on))
    second = context.Process(target=replace_after, args=(path, "second", started_2, go_on))
    first.start()
    assert started.wait(60)
    second.start()
    assert not started_2.wait(0.3)
    message = "waiting for another process, which is writing it"
    assert capfd.readouterr().err == f"{path}: {message}\n"
    assert f"`…: {message}`" in (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    go_on.set()
    for process in (first, second):
        process.join(60)
        assert process.exitcode == 0
    assert path.read_text() == "second"
    assert [*tmp_path.iterdir()] == [path]


def test_many_processes_replace_a_file_in_turn(tmp_path: Path) -> None:
    path, context = tmp_path / "a.txt", get_context("fork")
    started, go_on = context.Event(), context.Event()
    go_on.set()
    processes = [
        context.Process(target=replace_after, args=(path, f"{number}" * 1000, started, go_on)) for number in range(10)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * len(processes)
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_text() in {f"{number}" * 1000 for number in range(10)}


def test_a_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    write_json(tmp_path / "a.json", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_that_is_a_broken_link_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(tmp_path / "not mounted")
    with pytest.raises(FileExistsError), atomic_write(tmp_path / "data" / "a.txt"):
        pass


def test_json_is_sorted_and_ends_with_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": 1.5, "a": ["ü", None]})
    first = path.read_bytes()
    assert first.endswith(b"}\n")
    assert first.index(b'"a"') < first.index(b'"b"')
    write_json(path, {"a": ["ü", None], "b": 1.5})
    assert path.read_bytes() == first


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [float("-inf")]}])
def test_nan_and_infinity_are_errors_in_json_and_leave_the_earlier_file(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "a.json"
    write_json(path, 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"value": value})
    assert path.read_text() == "1\n"
    assert [*tmp_path.iterdir()] == [path]


def batches(*sizes: int) -> list[pa.RecordBatch]:
    start = [sum(sizes[:number]) for number in range(len(sizes))]
    numbers = pa.array(range(sum(sizes)), pa.int64())
    return [pa.record_batch({"n": numbers[first : first + size]}) for first, size in zip(start, sizes, strict=True)]


def test_the_bytes_of_a_table_do_not_depend_on_its_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ROW_GROUP", 10)
    schema = with_roles(pa.schema({"n": pa.int64()}), {})
    contents = set()
    for sizes in ([25], [1] * 25, [10, 10, 5], [3, 0, 22], [0, 25]):
        path = tmp_path / "rows.parquet"
        assert write_batches(path, schema, batches(*sizes)) == 25
        assert read_sessions(path).table["n"].to_pylist() == [*range(25)]
        contents.add(path.read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize("sizes", [[], [0]])
def test_a_table_without_rows_can_be_written(tmp_path: Path, sizes: list[int]) -> None:
    path = tmp_path / "rows.parquet"
    assert write_batches(path, with_roles(pa.schema({"n": pa.int64()}), {}), batches(*sizes)) == 0
    assert len(read_sessions(path)) == 0


def test_batches_that_fail_leave_the_earlier_table(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_text("old")

    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(3)
        raise ValueError

    with pytest.raises(ValueError):
        write_batches(path, with_roles(pa.schema({"n": pa.int64()}), {}), broken())
    assert content_of(path) == ("file", "old")
    assert [*tmp_path.iterdir()] == [path]


def test_a_csv_has_six_decimals_no_index_and_the_same_line_ends_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_csv(path, pd.DataFrame({"n": [1, 2], "x": [1 / 3, None], "text": ["a", "ü"]}, index=[7, 8]))
    assert path.read_bytes() == "n,x,text\n1,0.333333,a\n2,,ü\n".encode()


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_a_scratch_folder_starts_empty_and_is_removed_however_the_block_ends(
    tmp_path: Path, error: type[BaseException] | None
) -> None:
    output = tmp_path / "rows.parquet"
    scratch_path(output).mkdir()
    (scratch_path(output) / "of a killed process").touch()
    try:
        with scratch_folder(output) as folder:
            assert folder == scratch_path(output) and [path.name for path in folder.iterdir()] == [LOCK]
            (folder / "part").touch()
            if error:
                raise error
    except (ValueError, KeyboardInterrupt) as raised:
        assert type(raised) is error
    assert not [*tmp_path.iterdir()]
