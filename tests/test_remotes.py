"""Data and models shared by remotes, as the README says: between clones, through real servers on this machine."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import project
import pytest
import readme
import yaml
from project import TINY, Project
from remotes import KINDS, Folder, Remote, address, damaged, gate, objects, runs, wrong

VARIANT = TINY | {"smote_train.sampling_strategy": 0.8}
STAGES = 10
SOME = "data/split/train.parquet"
READ = list(KINDS)
WRITTEN = ["folder", "s3", "ssh"]

pytestmark = pytest.mark.slow


class Clone(project.Clone):
    """A clone of somebody who shares data by a remote."""

    def set_up(self, remote: Remote) -> None:
        """What the first one does, for all."""
        self.dvc("remote", "add", "--default", "storage", remote.url)
        for name, value in {"verify": "true", **remote.settings}.items():
            self.dvc("remote", "modify", "storage", name, value)
        self.use(remote.own)
        self.git("add", ".dvc/config")
        self.git("commit", "--message", "Where data and models are kept")

    def use(self, settings: dict[str, str]) -> None:
        """What each does alone: credentials, say, which git is not to see."""
        for name, value in settings.items():
            self.dvc("remote", "modify", "--local", "storage", name, value)

    def takes_settings_of(self, other: "Clone") -> None:
        """As use, in no time."""
        if (other.folder / ".dvc/config.local").exists():
            shutil.copy(other.folder / ".dvc/config.local", self.folder / ".dvc")

    def ends_with(self, other: Project) -> bool:
        """Whether all that DVC keeps in the other's workspace is here too, byte for byte."""
        return all(self.file(name) == other.file(name) for name in outputs(other))

    @property
    def cache(self) -> Folder:
        return Folder(self.folder / ".dvc/cache")


def outputs(clone: Project) -> list[str]:
    found = []
    for name, stage in yaml.safe_load(clone.file("dvc.lock"))["stages"].items():
        for out in stage["outs"] if name not in ("evaluate", "report") else ():
            path = clone.folder / out["path"]
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            found += [file.relative_to(clone.folder).as_posix() for file in files]
    assert len(found) > 20
    return found


@pytest.fixture(scope="module")
def variant(origin: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Somebody who has trained with other params."""
    clone = Clone(origin, tmp_path_factory.mktemp("variant") / "clone", with_cache=True)
    clone.set_params(**VARIANT)
    assert "Running stage 'smote_train'" in clone.dvc("repro", "smote_train")
    return clone


@pytest.fixture(scope="module")
def shared(
    request: pytest.FixtureRequest, origin: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Remote, Clone]]:
    """A remote, and who has pushed to it and committed how it is reached."""
    place = tmp_path_factory.mktemp(request.param)
    with KINDS[request.param](place) as remote:
        owner = Clone(origin, place / "owner", with_cache=True)
        owner.set_up(remote)
        owner.use(remote.writer)
        owner.dvc("push", "--run-cache")
        owner.use(remote.reader)
        yield remote, owner


@pytest.fixture
def colleague(shared, tmp_path: Path) -> Clone:
    _, owner = shared
    clone = Clone(owner, tmp_path / "colleague")
    clone.takes_settings_of(owner)
    return clone


@pytest.mark.parametrize("shared", READ, indirect=True)
def test_a_colleague_pulls_all_of_it_and_no_stage_runs(shared, colleague) -> None:
    _, owner = shared
    pulled = colleague.dvc("pull", "--run-cache")
    assert "fetched" in pulled
    assert colleague.ends_with(owner) and not wrong(colleague.cache)
    for clone in (owner, colleague):
        assert "are in sync" in clone.dvc("status", "--cloud")
    done = colleague.dvc("repro")
    assert done.count("didn't change, skipping") == STAGES and "Running stage" not in done
    assert colleague.git("status", "--porcelain") == ""


@pytest.mark.parametrize("shared", ["s3", "ssh"], indirect=True)
def test_credentials_stay_out_of_git(shared, colleague) -> None:
    remote, owner = shared
    for clone in (owner, colleague):
        clone.git("add", "--all")
        assert clone.git("status", "--porcelain") == ""
        assert ".dvc/config.local" in clone.git("check-ignore", "--verbose", ".dvc/config.local")
        everything = clone.git("log", "--all", "--patch", "--text") + clone.file(".dvc/config").decode()
        own = clone.file(".dvc/config.local").decode()
        assert remote.private and remote.private[0] in own
        assert not [text for text in remote.private if text in everything]


@pytest.mark.parametrize("shared", ["s3"], indirect=True)
def test_credentials_in_the_environment_do_as_well(shared, tmp_path: Path) -> None:
    remote, owner = shared
    colleague = Clone(owner, tmp_path / "colleague")
    key, secret = remote.private
    colleague.environment |= {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    colleague.dvc("pull", SOME)
    assert colleague.file(SOME) == owner.file(SOME) and not (colleague.folder / ".dvc/config.local").exists()


@pytest.mark.parametrize("shared", WRITTEN, indirect=True)
def test_what_somebody_has_trained_and_pushed_is_not_trained_again(shared, colleague, variant, tmp_path: Path) -> None:
    _, owner = shared
    with_variant(owner, variant, tmp_path).dvc("push", "--run-cache")
    colleague.dvc("pull")
    colleague.set_params(**VARIANT)
    done = colleague.dvc("repro", "--pull", "smote_train")
    assert "Stage 'smote_train' is cached" in done and "Running stage" not in done
    assert colleague.file("dvc.lock") == variant.file("dvc.lock") and colleague.ends_with(variant)


@pytest.mark.parametrize("shared", ["http"], indirect=True)
def test_by_http_nothing_is_pushed_and_no_run_is_found(shared, colleague, variant, tmp_path: Path) -> None:
    remote, owner = shared
    before = remote.store.names()
    somebody = with_variant(owner, variant, tmp_path)
    done = somebody.run("dvc", "push", "--run-cache")
    assert done.returncode != 0 and "failed to push" in done.stderr
    assert remote.store.names() == before
    somebody.use(remote.writer)
    somebody.dvc("push", "--run-cache")
    colleague.dvc("pull", "--run-cache")
    colleague.set_params(**VARIANT)
    done = colleague.run("dvc", "repro", "--pull", "--dry", "smote_train")
    assert "run-cache is not supported for http" in done.stderr and "Running stage 'smote_train'" in done.stdout


def with_variant(owner: Clone, variant: Project, place: Path) -> Clone:
    """Somebody who shares the owner's remote, and has trained with other params."""
    clone = Clone(owner, place / "somebody")
    clone.takes_settings_of(owner)
    shutil.copytree(variant.folder / ".dvc/cache", clone.folder / ".dvc/cache")
    for name in ("params.yaml", "dvc.lock"):
        shutil.copy(variant.folder / name, clone.folder)
    return clone


@pytest.mark.parametrize("shared", ["s3", "ssh", "http"], indirect=True)
def test_a_pull_that_was_killed_is_taken_up_again(shared, colleague) -> None:
    remote, owner = shared
    size = sum(len(owner.file(name)) for name in outputs(owner))
    with gate(remote.port, limit=size // 2) as (port, shut):
        colleague.use(remote.by_way_of(port))
        pull = colleague.start("dvc", "pull", "--jobs", "1")
        assert shut.wait(30)
        os.killpg(pull.pid, signal.SIGKILL)
        pull.communicate()
    colleague.use(remote.by_way_of(remote.port))
    assert len(objects(colleague.cache)) < len(objects(owner.cache)) and not wrong(colleague.cache)
    colleague.dvc("pull")
    assert colleague.ends_with(owner) and not wrong(colleague.cache)
    assert "are in sync" in colleague.dvc("status", "--cloud")


@pytest.mark.parametrize("shared", READ, indirect=True)
def test_an_object_that_the_remote_has_lost_or_changed_is_an_error_that_names_its_file(shared, colleague) -> None:
    remote, owner = shared
    with damaged(remote.store, address(owner.file(SOME))) as damage:
        for how in ("lost", "changed"):
            damage(how)
            done = colleague.run("dvc", "pull")
            assert done.returncode != 0 and "failed to pull" in done.stderr and SOME in done.stderr, how
            assert "Traceback" not in done.stderr
            assert not (colleague.folder / SOME).exists() and not wrong(colleague.cache)
            assert address(owner.file(SOME)) not in objects(colleague.cache)
    colleague.dvc("pull")
    assert colleague.ends_with(owner) and not wrong(colleague.cache)


@pytest.mark.parametrize("shared", ["folder", "s3"], indirect=True)
def test_a_lost_file_of_a_model_comes_back_when_the_models_list_is_pushed_again(shared, colleague) -> None:
    remote, owner = shared
    lost = address(owner.file("models/base/network.keras"))
    oid = lost.removeprefix("files/md5/").replace("/", "")
    lists = [name for name in objects(remote.store) if name.endswith(".dir")]
    lists = [name for name in lists if oid.encode() in remote.store.read(name)]
    remote.store.delete(lost)
    done = colleague.run("dvc", "pull")
    assert done.returncode != 0 and oid in done.stderr  # "failed to pull", or S3's own error
    assert not wrong(colleague.cache)
    assert "up to date" in owner.dvc("push")  # DVC believes in a list that is there
    for name in lists:
        remote.store.delete(name)
    owner.dvc("push")
    colleague.dvc("pull")
    assert colleague.ends_with(owner) and not wrong(colleague.cache)


@pytest.mark.parametrize("shared", READ, indirect=True)
def test_unless_told_to_verify_dvc_takes_what_it_gets(shared, colleague) -> None:
    """Why `verify` is part of the recipe: should this fail one day, the recipe can go without."""
    remote, owner = shared
    colleague.dvc("remote", "modify", "--local", "storage", "verify", "false")
    with damaged(remote.store, address(owner.file(SOME))) as damage:
        damage("changed")
        colleague.dvc("pull", SOME)
    assert colleague.file(SOME) != owner.file(SOME) and wrong(colleague.cache) == {address(owner.file(SOME))}


@pytest.mark.parametrize("kind", WRITTEN)
def test_two_people_push_at_once(kind, origin: Project, variant, tmp_path: Path) -> None:
    with KINDS[kind](tmp_path) as remote:
        one = Clone(origin, tmp_path / "one", with_cache=True)
        one.set_up(remote)
        two = with_variant(one, variant, tmp_path)
        pushes = [clone.start("dvc", "push", "--run-cache") for clone in (one, two)]
        for push in pushes:
            _, err = push.communicate()
            assert push.returncode == 0, err
        assert not wrong(remote.store) and objects(remote.store) == remote.store.names() - runs(remote.store)
        assert runs(remote.store) == runs(one.cache) | runs(two.cache)
        third = Clone(one, tmp_path / "third")
        third.takes_settings_of(one)
        for clone, trained in ((one, origin), (two, variant)):
            shutil.copy(clone.folder / "dvc.lock", third.folder)
            third.dvc("pull")
            assert third.ends_with(trained)


def test_these_are_the_commands_that_the_readme_gives() -> None:
    assert not readme.not_run("Share", Clone.commands)
