"""A folder with checksums: any damage to a file of it is reported in one line."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from stages.lib.common.checksums import FILE, check_checksums, write_checksums
from stages.lib.common.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "part").mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(range(256)))
    (folder / "part" / "encoder.json").write_text("{}")
    write_checksums(folder)
    return folder


def test_a_folder_as_it_was_written_passes_and_the_system_s_tool_agrees(folder: Path) -> None:
    check_checksums(folder, "")
    (folder / "README").write_text("added by somebody")
    write_checksums(folder)  # again, of a changed folder
    check_checksums(folder, "")
    if tool := shutil.which("sha256sum"):
        assert subprocess.run([tool, "--check", "--quiet", FILE], cwd=folder, check=False).returncode == 0


def test_a_folder_without_checksums_passes(folder: Path) -> None:
    (folder / FILE).unlink()
    (folder / "weights").write_bytes(b"")
    check_checksums(folder, "")


@pytest.mark.parametrize("name", ["weights", "part/encoder.json", FILE])
def test_damage_is_reported_with_the_file_and_the_way_out(folder: Path, name: str) -> None:
    path, rng = folder / name, random.Random(0)
    content = path.read_bytes()
    for number in range(50):
        position = rng.randrange(len(content))
        flipped = bytes([content[position] ^ 1 << rng.randrange(8)])
        path.write_bytes(content[:position] + (flipped + content[position + 1 :] if number % 2 else b""))
        try:
            check_checksums(folder, "copy it again")
        except InputError as error:
            text = str(error)
            assert text.startswith(str(folder)) and text.endswith("; copy it again") and "\n" not in text
            assert name == FILE or text.startswith(f"{path}: damaged")
        else:
            # What is left of the list are whole lines, perhaps without the last line's end.
            assert name == FILE and path.read_bytes() and content.startswith(path.read_bytes())


def test_only_the_files_that_are_asked_for_are_compared(folder: Path) -> None:
    (folder / "weights").write_bytes(b"")
    check_checksums(folder, "", [folder / "part" / "encoder.json"])
    with pytest.raises(InputError, match="weights: damaged"):
        check_checksums(folder, "", [folder / "weights"])
    (folder / "new").touch()
    with pytest.raises(InputError, match="new: damaged"):
        check_checksums(folder, "", [folder / "new"])


def test_a_missing_file_is_reported(folder: Path) -> None:
    (folder / "weights").unlink()
    with pytest.raises(InputError, match="weights: damaged"):
        check_checksums(folder, "")
