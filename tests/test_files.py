"""Files are written whole or not at all."""

from pathlib import Path

import pyarrow as pa
import pytest

from stages.lib.common.files import atomic_write, write_json
from stages.lib.dataset import sessions as table

KINDS = ("nothing", "file", "folder")


def put(path: Path, kind: str, content: str) -> None:
    if kind == "file":
        path.write_text(content)
    elif kind == "folder":
        path.mkdir()
        (path / "inner").write_text(content)


def found(path: Path) -> tuple[str, str]:
    if path.is_dir():
        return "folder", (path / "inner").read_text()
    return ("file", path.read_text()) if path.exists() else ("nothing", "")


@pytest.mark.parametrize("earlier", KINDS)
@pytest.mark.parametrize("later", ["file", "folder"])
def test_files_and_folders_replace_each_other(tmp_path: Path, earlier, later) -> None:
    path = tmp_path / "place.txt"
    put(path, earlier, "old")
    with atomic_write(path) as temporary:
        put(temporary, later, "new")
    assert found(path) == (later, "new")
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("earlier", KINDS)
@pytest.mark.parametrize("later", KINDS)
def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path, earlier, later, error) -> None:
    path = tmp_path / "place.txt"
    put(path, earlier, "old")
    with pytest.raises(error), atomic_write(path) as temporary:
        put(temporary, later, "new")
        raise error
    assert found(path) == (earlier, "old" * (earlier != "nothing"))
    assert [*tmp_path.iterdir()] == [path] * (earlier != "nothing")


def test_a_block_that_writes_nothing_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "place.txt"
    put(path, "file", "old")
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass
    assert found(path) == ("file", "old")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_old_one_stands_until_the_new_one_is_done(tmp_path: Path, kind) -> None:
    path = tmp_path / "place"
    put(path, kind, "old")
    with atomic_write(path) as temporary:
        put(temporary, kind, "new")
        assert found(path) == (kind, "old")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_does_not_get_in_the_way(tmp_path: Path, kind) -> None:
    path = tmp_path / "place"
    with atomic_write(path) as temporary:
        put(temporary, "file", "new")
    put(temporary, kind, "half")
    with atomic_write(path) as temporary:
        assert not temporary.exists()
        put(temporary, "file", "newer")
    assert found(path) == ("file", "newer")
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_is_replaced_and_not_what_it_leads_to(tmp_path: Path, kind) -> None:
    path, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    put(elsewhere, kind, "old")
    path.symlink_to(elsewhere)
    with atomic_write(path) as temporary:
        put(temporary, kind, "new")
    assert not path.is_symlink()
    assert (found(path), found(elsewhere)) == ((kind, "new"), (kind, "old"))


def test_the_place_to_write_has_the_same_ending_and_is_made_a_folder_for(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a" / "b" / "rows.parquet") as temporary:
        assert temporary.suffix == ".parquet"
        assert temporary.parent == tmp_path / "a" / "b"
        temporary.touch()


def test_json_is_sorted_and_ends_with_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": 1.5, "a": ["ü", None]})
    first = path.read_bytes()
    assert first.endswith(b"}\n")
    assert first.index(b'"a"') < first.index(b'"b"')
    write_json(path, {"a": ["ü", None], "b": 1.5})
    assert path.read_bytes() == first


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [float("-inf")]}])
def test_json_without_a_number_is_refused(tmp_path: Path, value) -> None:
    path = tmp_path / "a.json"
    write_json(path, 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"value": value})
    assert path.read_text() == "1\n"
    assert [*tmp_path.iterdir()] == [path]


def batches(*sizes: int) -> list[pa.RecordBatch]:
    start = [sum(sizes[:place]) for place in range(len(sizes))]
    numbers = pa.array(range(sum(sizes)), pa.int64())
    return [pa.record_batch({"n": numbers[first : first + size]}) for first, size in zip(start, sizes, strict=True)]


def test_the_bytes_of_a_table_do_not_depend_on_its_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "ROW_GROUP", 10)
    schema = table.with_roles(pa.schema({"n": pa.int64()}), {})
    contents = set()
    for sizes in ([25], [1] * 25, [10, 10, 5], [3, 0, 22], [0, 25]):
        path = tmp_path / "rows.parquet"
        assert table.write_batches(path, schema, batches(*sizes)) == 25
        assert table.read_sessions(path).table["n"].to_pylist() == [*range(25)]
        contents.add(path.read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize("sizes", [[], [0]])
def test_a_table_without_rows_can_be_written(tmp_path: Path, sizes) -> None:
    path = tmp_path / "rows.parquet"
    assert table.write_batches(path, table.with_roles(pa.schema({"n": pa.int64()}), {}), batches(*sizes)) == 0
    assert len(table.read_sessions(path)) == 0


def test_batches_that_fail_leave_the_earlier_table(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_text("old")

    def broken():
        yield from batches(3)
        raise ValueError

    with pytest.raises(ValueError):
        table.write_batches(path, table.with_roles(pa.schema({"n": pa.int64()}), {}), broken())
    assert found(path) == ("file", "old")
    assert [*tmp_path.iterdir()] == [path]
