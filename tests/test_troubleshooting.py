"""What docs/troubleshooting.md says of a failure is what happens, and the way out leads out."""

import fcntl
from pathlib import Path

import pytest
import yaml
from checkout import Checkout, Clone, make_recipe
from helpers import ROOT

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
TRAIN = "data/split/train.parquet"


@pytest.fixture(scope="module")
def clone(built_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(built_checkout, tmp_path_factory.mktemp("trouble") / "clone", with_cache=True)


def fails(clone: Clone, message: str, *arguments: str) -> None:
    """The command fails with a message that is on the page."""
    assert message in PAGE
    completed = clone.run("dvc", *arguments)
    assert completed.returncode != 0
    assert message in completed.stdout + completed.stderr


def cached_train_set(clone: Clone) -> Path:
    outs = yaml.safe_load(clone.file("dvc.lock"))["stages"]["split"]["outs"]
    (md5,) = [out["md5"] for out in outs if out["path"] == TRAIN]
    return clone.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


@pytest.mark.parametrize(("cut_at", "message"), [("outs:\n", "validation failed."), ("hash", "is invalid.")])
def test_a_lock_that_is_cut_off_comes_back_from_git(clone: Clone, cut_at: str, message: str) -> None:
    text = clone.file("dvc.lock").decode()
    (clone.folder / "dvc.lock").write_text(text[: text.index(cut_at, 2000) + len(cut_at) - 1])
    fails(clone, f"'./dvc.lock' {message}", "repro")
    clone.git("checkout", "dvc.lock")
    assert "Data and pipelines are up to date." in clone.dvc("repro")


def test_make_repro_restores_a_lock_that_is_cut_off(clone: Clone) -> None:
    recipe = make_recipe("repro")
    before = clone.file("dvc.lock")
    (clone.folder / "dvc.lock").write_bytes(before[: before.index(b"md5: ", 2000) + 2])  # not before a whole stage
    repaired = clone.run("bash", "-c", recipe)
    assert repaired.returncode == 0 and "restored from git" in repaired.stdout
    assert clone.file("dvc.lock") == before
    assert "restored" not in clone.run("bash", "-c", recipe).stdout


def test_make_repro_removes_a_lock_of_dvc_that_is_cut_off(clone: Clone) -> None:
    (clone.folder / ".dvc/tmp/rwlock").write_text("")
    message = "Unable to read RWLock-file '.dvc/tmp/rwlock'. JSON structure is corrupted"
    fails(clone, message, "repro", "--force", "--single-item", "split")
    repaired = clone.run("bash", "-c", make_recipe("repro"))
    assert repaired.returncode == 0, repaired.stderr


def test_a_damaged_file_in_the_cache_is_made_again(clone: Clone) -> None:
    cached = cached_train_set(clone)
    content = bytearray(cached.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    cached.chmod(0o644)
    cached.write_bytes(content)
    cached.chmod(0o444)
    (clone.folder / TRAIN).unlink()
    clone.dvc("checkout")
    assert clone.status() == {}
    completed = clone.run("dvc", "repro", "--force", "--single-item", "train_reference")
    message = f"train_reference: {TRAIN}: not a complete parquet file: "
    assert message in PAGE and message in completed.stderr
    cached.unlink()
    (clone.folder / TRAIN).unlink()
    clone.git("checkout", ".")
    assert "Running stage 'split'" in clone.dvc("repro")
    assert clone.git("status", "--short") == ""


def test_a_file_that_the_cache_lacks_is_made_again(clone: Clone) -> None:
    cached_train_set(clone).unlink()
    (clone.folder / TRAIN).unlink()
    fails(clone, "Checkout failed for following targets:", "checkout")
    assert "Running stage 'split'" in clone.dvc("repro")


def test_two_commands_at_once(clone: Clone) -> None:
    with (clone.folder / ".dvc/tmp/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fails(clone, "ERROR: Unable to acquire lock. Most likely another DVC process is running", "status")
    assert clone.status() == {}
