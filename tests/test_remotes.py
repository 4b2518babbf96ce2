"""Data and models shared through remotes, as documented: between clones, with real servers on this machine.

What the documentation says of each remote is tried on each; what DVC does alike for all of them, on one or two.
"""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import checkout
import documentation
import pytest
import yaml
from checkout import TINY, Checkout
from remotes import (
    REMOTE_TYPES,
    FolderStore,
    Remote,
    cached_runs,
    corrupt_objects,
    damaged,
    interrupted_proxy,
    object_name,
    objects,
)

VARIANT = TINY | {"smote_train.sampling_strategy": 0.8}
TRAIN = "data/split/train.parquet"
CACHED = ("data/", "models/")  # by DVC; the other outputs are in git
READABLE = list(REMOTE_TYPES)
WRITABLE = ["folder", "s3", "ssh"]

pytestmark = pytest.mark.slow


class Clone(checkout.Clone):
    """The clone of somebody who shares data through a remote."""

    def add_remote(self, remote: Remote) -> None:
        """What one person does, for everyone."""
        self.dvc("remote", "add", "--default", "storage", remote.url)
        for name, value in {"verify": "true", **remote.settings}.items():
            self.dvc("remote", "modify", "storage", name, value)
        self.set_local(remote.local)
        self.git("add", ".dvc/config")
        self.git("commit", "--message", "Where data and models are kept")

    def set_local(self, settings: dict[str, str]) -> None:
        """What each person sets for themselves, such as credentials, which git must not see."""
        for name, value in settings.items():
            self.dvc("remote", "modify", "--local", "storage", name, value)

    def copy_local_settings(self, other: "Clone") -> None:
        """The same as `set_local`, but instantly."""
        if (other.folder / ".dvc/config.local").exists():
            shutil.copy(other.folder / ".dvc/config.local", self.folder / ".dvc")

    def has_outputs_of(self, other: Checkout) -> bool:
        """Whether all outputs in the other workspace that DVC caches are here too, byte for byte."""
        return all(self.file(name) == other.file(name) for name in outputs(other))

    @property
    def cache(self) -> FolderStore:
        return FolderStore(self.folder / ".dvc/cache")


Shared = tuple[Remote, Clone]


def locked_stages(clone: Checkout) -> dict[str, Any]:
    return yaml.safe_load(clone.file("dvc.lock"))["stages"]


def outputs(clone: Checkout) -> list[str]:
    """The files in the workspace that DVC caches."""
    names = []
    for locked in locked_stages(clone).values():
        for path in (clone.folder / out["path"] for out in locked["outs"] if out["path"].startswith(CACHED)):
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            names += [file.relative_to(clone.folder).as_posix() for file in files]
    assert len(names) > 20
    return names


@pytest.fixture(scope="module")
def variant(built_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The clone of somebody who has trained with other params."""
    clone = Clone(built_checkout, tmp_path_factory.mktemp("variant") / "clone", with_cache=True)
    clone.set_params(**VARIANT)
    assert "Running stage 'smote_train'" in clone.dvc("repro", "smote_train")
    return clone


@pytest.fixture(scope="module")
def shared(
    request: pytest.FixtureRequest, built_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared]:
    """A remote, and the clone of its owner, who has pushed to it and committed its configuration."""
    folder = tmp_path_factory.mktemp(request.param)
    with REMOTE_TYPES[request.param](folder) as remote:
        owner = Clone(built_checkout, folder / "owner", with_cache=True)
        owner.add_remote(remote)
        owner.set_local(remote.to_push)
        owner.dvc("push", "--run-cache")
        owner.set_local(remote.to_pull)
        yield remote, owner


@pytest.fixture
def colleague(shared: Shared, tmp_path: Path) -> Clone:
    _, owner = shared
    clone = Clone(owner, tmp_path / "colleague")
    clone.copy_local_settings(owner)
    return clone


@pytest.mark.parametrize("shared", READABLE, indirect=True)
def test_a_colleague_pulls_everything_and_no_stage_runs(shared: Shared, colleague: Clone) -> None:
    _, owner = shared
    pulled = colleague.dvc("pull", "--run-cache")
    assert "fetched" in pulled
    assert colleague.has_outputs_of(owner) and not corrupt_objects(colleague.cache)
    for clone in (owner, colleague):
        assert "are in sync" in clone.dvc("status", "--cloud")
    output = colleague.dvc("repro")
    assert output.count("didn't change, skipping") == len(locked_stages(owner)) and "Running stage" not in output
    assert colleague.git("status", "--porcelain") == ""


@pytest.mark.parametrize("shared", ["s3", "ssh"], indirect=True)
def test_credentials_do_not_enter_git(shared: Shared, colleague: Clone) -> None:
    remote, owner = shared
    for clone in (owner, colleague):
        clone.git("add", "--all")
        assert clone.git("status", "--porcelain") == ""
        assert ".dvc/config.local" in clone.git("check-ignore", "--verbose", ".dvc/config.local")
        committed = clone.git("log", "--all", "--patch", "--text") + clone.file(".dvc/config").decode()
        local = clone.file(".dvc/config.local").decode()
        assert remote.secrets and remote.secrets[0] in local
        assert not [secret for secret in remote.secrets if secret in committed]


@pytest.mark.parametrize("shared", ["s3"], indirect=True)
def test_credentials_in_the_environment_work_as_well(shared: Shared, tmp_path: Path) -> None:
    remote, owner = shared
    colleague = Clone(owner, tmp_path / "colleague")
    key, secret = remote.secrets
    colleague.environment = {**colleague.environment, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    colleague.dvc("pull", TRAIN)
    assert colleague.file(TRAIN) == owner.file(TRAIN) and not (colleague.folder / ".dvc/config.local").exists()


@pytest.mark.parametrize("shared", WRITABLE, indirect=True)
def test_a_model_that_a_colleague_has_trained_and_pushed_is_not_trained_again(
    shared: Shared, colleague: Clone, variant: Clone, tmp_path: Path
) -> None:
    _, owner = shared
    with_variant(owner, variant, tmp_path).dvc("push", "--run-cache")
    colleague.dvc("pull")
    colleague.set_params(**VARIANT)
    output = colleague.dvc("repro", "--pull", "smote_train")
    assert "Stage 'smote_train' is cached" in output and "Running stage" not in output
    assert colleague.file("dvc.lock") == variant.file("dvc.lock") and colleague.has_outputs_of(variant)


@pytest.mark.parametrize("shared", ["http"], indirect=True)
def test_over_http_pushing_fails_and_runs_are_not_shared(
    shared: Shared, colleague: Clone, variant: Clone, tmp_path: Path
) -> None:
    remote, owner = shared
    before = remote.store.names()
    trainer = with_variant(owner, variant, tmp_path)
    push = trainer.run("dvc", "push", "--run-cache")
    assert push.returncode != 0 and "failed to push" in push.stderr
    assert remote.store.names() == before
    trainer.set_local(remote.to_push)
    trainer.dvc("push", "--run-cache")
    colleague.dvc("pull", "--run-cache")
    colleague.set_params(**VARIANT)
    repro = colleague.run("dvc", "repro", "--pull", "--dry", "smote_train")
    assert "run-cache is not supported for http" in repro.stderr and "Running stage 'smote_train'" in repro.stdout


def with_variant(owner: Clone, variant: Checkout, folder: Path) -> Clone:
    """The clone of somebody who uses the owner's remote and has trained with other params."""
    clone = Clone(owner, folder / "trainer")
    clone.copy_local_settings(owner)
    shutil.copytree(variant.folder / ".dvc/cache", clone.folder / ".dvc/cache")
    for name in ("params.yaml", "dvc.lock"):
        shutil.copy(variant.folder / name, clone.folder)
    return clone


@pytest.mark.parametrize("shared", ["ssh"], indirect=True)
def test_a_killed_pull_is_resumed(shared: Shared, colleague: Clone) -> None:
    remote, owner = shared
    size = sum(len(owner.file(name)) for name in outputs(owner))
    with interrupted_proxy(remote.port, limit=size // 2) as (port, limit_reached):
        colleague.set_local(remote.through_port(port))
        pull = colleague.start("dvc", "pull", "--jobs", "1")
        assert limit_reached.wait(30)
        os.killpg(pull.pid, signal.SIGKILL)
        pull.communicate()
    colleague.set_local(remote.through_port(remote.port))
    assert len(objects(colleague.cache)) < len(objects(owner.cache)) and not corrupt_objects(colleague.cache)
    colleague.dvc("pull")
    assert colleague.has_outputs_of(owner) and not corrupt_objects(colleague.cache)
    assert "are in sync" in colleague.dvc("status", "--cloud")


@pytest.mark.parametrize("shared", ["folder", "s3"], indirect=True)
def test_a_lost_or_changed_object_in_the_remote_is_an_error_that_names_the_file(
    shared: Shared, colleague: Clone
) -> None:
    remote, owner = shared
    with damaged(remote.store, object_name(owner.file(TRAIN))) as damage:
        for how in ("lost", "changed"):
            damage(how)
            pull = colleague.run("dvc", "pull")
            assert pull.returncode != 0 and "failed to pull" in pull.stderr and TRAIN in pull.stderr, how
            assert "Traceback" not in pull.stderr
            assert not (colleague.folder / TRAIN).exists() and not corrupt_objects(colleague.cache)
            assert object_name(owner.file(TRAIN)) not in objects(colleague.cache)
    colleague.dvc("pull")
    assert colleague.has_outputs_of(owner) and not corrupt_objects(colleague.cache)


@pytest.mark.parametrize("shared", ["s3"], indirect=True)
def test_a_lost_file_of_a_model_comes_back_when_the_model_s_file_list_is_pushed_again(
    shared: Shared, colleague: Clone
) -> None:
    remote, owner = shared
    lost = object_name(owner.file("models/base/network.keras"))
    oid = lost.removeprefix("files/md5/").replace("/", "")
    lists = [name for name in objects(remote.store) if name.endswith(".dir")]
    lists = [name for name in lists if oid.encode() in remote.store.read(name)]
    remote.store.delete(lost)
    pull = colleague.run("dvc", "pull")
    assert pull.returncode != 0 and oid in pull.stderr  # "failed to pull", or S3's own error
    assert not corrupt_objects(colleague.cache)
    assert "up to date" in owner.dvc("push")  # DVC does not check the files of a list that exists
    for name in lists:
        remote.store.delete(name)
    owner.dvc("push")
    colleague.dvc("pull")
    assert colleague.has_outputs_of(owner) and not corrupt_objects(colleague.cache)


@pytest.mark.parametrize("shared", ["folder"], indirect=True)
def test_without_verify_dvc_accepts_a_corrupt_object(shared: Shared, colleague: Clone) -> None:
    """This is why the README sets `verify`: if this test fails one day, the README can leave it out."""
    remote, owner = shared
    colleague.dvc("remote", "modify", "--local", "storage", "verify", "false")
    with damaged(remote.store, object_name(owner.file(TRAIN))) as damage:
        damage("changed")
        colleague.dvc("pull", TRAIN)
    assert colleague.file(TRAIN) != owner.file(TRAIN)
    assert corrupt_objects(colleague.cache) == {object_name(owner.file(TRAIN))}


@pytest.mark.parametrize("remote_type", ["s3"])
def test_two_people_push_at_once(remote_type: str, built_checkout: Checkout, variant: Clone, tmp_path: Path) -> None:
    with REMOTE_TYPES[remote_type](tmp_path) as remote:
        one = Clone(built_checkout, tmp_path / "one", with_cache=True)
        one.add_remote(remote)
        two = with_variant(one, variant, tmp_path)
        pushes = [clone.start("dvc", "push", "--run-cache") for clone in (one, two)]
        for push in pushes:
            _, err = push.communicate()
            assert push.returncode == 0, err
        assert not corrupt_objects(remote.store)
        assert objects(remote.store) == remote.store.names() - cached_runs(remote.store)
        assert cached_runs(remote.store) == cached_runs(one.cache) | cached_runs(two.cache)
        third = Clone(one, tmp_path / "third")
        third.copy_local_settings(one)
        for pushed_by, trained_by in ((one, built_checkout), (two, variant)):
            shutil.copy(pushed_by.folder / "dvc.lock", third.folder)
            third.dvc("pull")
            assert third.has_outputs_of(trained_by)


def test_all_commands_of_the_documentation_were_run() -> None:
    assert not documentation.not_run("dvc push", Clone.commands)
