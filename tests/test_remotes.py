"""Data and models shared by remotes, as the README says: between clones, through real servers on this machine."""

import hashlib
import os
import shutil
import signal
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from project import Project
from remotes import KINDS, Folder, Remote, gate

# As little as makes all stages run
TINY = {
    "simulate.sessions": 300,
    "simulate.purchases": 60,
    "validation.folds": 0,
    "train_base.network.layers": [4],
    "train_base.training.epochs": 1,
    "train_base.training.batch_size": 64,
    "grid_search.grid": {"batch_size": [64]},
    "grid_search.folds": 0,
    "train_strong.network.layers": [4],
    "train_strong.training.epochs": 1,
    "train_reference.trees.max_iter": 5,
}
VARIANT = TINY | {"smote_train.ratio": 0.8}
STAGES = 10
SOME = "data/split/train.parquet"
READ = list(KINDS)
WRITTEN = ["folder", "s3", "ssh"]

pytestmark = pytest.mark.slow


class Clone(Project):
    """A clone by git, of somebody whose home is empty."""

    def __init__(self, origin: Project, folder: Path, with_cache: bool = False):
        self.folder = folder
        home = folder.parent / "home"
        home.mkdir(exist_ok=True)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SSH_"))}
        self.environment |= {"HOME": str(home), "DVC_SITE_CACHE_DIR": str(folder.parent / f"{folder.name}.site")}
        origin.git("clone", "--quiet", ".", str(folder))
        if with_cache:
            shutil.copytree(origin.folder / ".dvc/cache", folder / ".dvc/cache")
            self.dvc("checkout", "--quiet")

    def use(self, remote: Remote, **more: str) -> None:
        """What is one's own: credentials, say, which git is not to see."""
        for name, value in {**remote.own, **more}.items():
            self.dvc("remote", "modify", "--local", "storage", name, value)

    def share(self, remote: Remote) -> None:
        self.dvc("remote", "add", "--default", "storage", remote.url)
        for name, value in {"verify": "true", **remote.settings}.items():
            self.dvc("remote", "modify", "storage", name, value)
        self.use(remote, **remote.writer)
        self.commit("Storage")
        self.dvc("push", "--run-cache")

    def ends_with(self, other: Project) -> bool:
        """Whether all that DVC keeps in the other's workspace is here too, byte for byte."""
        return all(self.file(name) == other.file(name) for name in outputs(other))

    def wrong(self) -> set[str]:
        """The files of the cache that are not what their names say."""
        return wrong(Folder(self.folder / ".dvc/cache"))


def outputs(project: Project) -> list[str]:
    found = []
    for name, stage in yaml.safe_load(project.file("dvc.lock"))["stages"].items():
        for out in stage["outs"] if name not in ("evaluate", "report") else ():
            path = project.folder / out["path"]
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            found += [file.relative_to(project.folder).as_posix() for file in files]
    assert len(found) > 20
    return found


def wrong(store) -> set[str]:
    objects = {name for name in store.names() if name.startswith("files/md5/")}
    return {name for name in objects if hashlib.md5(store.read(name)).hexdigest() != oid(name).removesuffix(".dir")}


def oid(name: str) -> str:
    return "".join(name.split("/")[-2:])


def object_of(project: Project, path: str) -> str:
    """The name that a file, which DVC keeps by itself, has in a remote."""
    md5 = hashlib.md5(project.file(path)).hexdigest()
    return f"files/md5/{md5[:2]}/{md5[2:]}"


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Project:
    built = Project(tmp_path_factory.mktemp("origin"), **TINY)
    built.dvc("repro")
    built.commit("First")
    return built


@pytest.fixture(scope="module")
def variant(origin, tmp_path_factory) -> Project:
    """Somebody who has trained with other params."""
    clone = Clone(origin, tmp_path_factory.mktemp("variant") / "clone", with_cache=True)
    clone.set_params(**VARIANT)
    assert "Running stage 'smote_train'" in clone.dvc("repro", "smote_train")
    return clone


@pytest.fixture(scope="module")
def shared(request, origin, tmp_path_factory) -> tuple[Remote, Clone]:
    """A remote, and who has pushed to it and committed how it is reached."""
    place = tmp_path_factory.mktemp(request.param)
    with KINDS[request.param](place) as remote:
        owner = Clone(origin, place / "owner", with_cache=True)
        owner.share(remote)
        yield remote, owner


@pytest.fixture
def colleague(shared, tmp_path) -> Clone:
    remote, owner = shared
    clone = Clone(owner, tmp_path / "colleague")
    clone.use(remote)
    return clone


@pytest.mark.parametrize("shared", READ, indirect=True)
def test_a_colleague_pulls_all_of_it_and_no_stage_runs(shared, colleague):
    _, owner = shared
    pulled = colleague.dvc("pull", "--run-cache")
    assert "fetched" in pulled
    assert colleague.ends_with(owner) and not colleague.wrong()
    for clone in (owner, colleague):
        assert "are in sync" in clone.dvc("status", "--cloud")
    done = colleague.dvc("repro")
    assert done.count("didn't change, skipping") == STAGES and "Running stage" not in done
    assert colleague.git("status", "--porcelain") == ""


@pytest.mark.parametrize("shared", ["s3", "ssh"], indirect=True)
def test_credentials_stay_out_of_git(shared, colleague):
    remote, owner = shared
    for clone in (owner, colleague):
        clone.git("add", "--all")
        assert clone.git("status", "--porcelain") == ""
        assert ".dvc/config.local" in clone.git("check-ignore", "--verbose", ".dvc/config.local")
        everything = clone.git("log", "--all", "--patch", "--text") + clone.file(".dvc/config").decode()
        own = clone.file(".dvc/config.local").decode()
        assert remote.secrets and remote.secrets[0] in own
        assert not [secret for secret in remote.secrets if secret in everything]


def test_credentials_in_the_environment_do_as_well(origin, tmp_path):
    with KINDS["s3"](tmp_path) as remote:
        owner = Clone(origin, tmp_path / "owner", with_cache=True)
        key, secret = remote.secrets
        owner.environment |= {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        owner.share(replace(remote, own={}))
        assert not (owner.folder / ".dvc/config.local").exists()
        assert "are in sync" in owner.dvc("status", "--cloud")


@pytest.mark.parametrize("shared", WRITTEN, indirect=True)
def test_what_somebody_has_trained_and_pushed_is_not_trained_again(shared, colleague, variant, tmp_path):
    remote, owner = shared
    push_variant(remote, owner, variant, tmp_path)
    colleague.dvc("pull")
    colleague.set_params(**VARIANT)
    done = colleague.dvc("repro", "--pull", "smote_train")
    assert "Stage 'smote_train' is cached" in done and "Running stage" not in done
    assert colleague.file("dvc.lock") == variant.file("dvc.lock") and colleague.ends_with(variant)


@pytest.mark.parametrize("shared", ["http"], indirect=True)
def test_by_http_nothing_is_pushed_and_no_run_is_found(shared, colleague, variant, tmp_path):
    remote, owner = shared
    before = remote.store.names()
    somebody = with_variant(owner, variant, tmp_path)
    done = somebody.run("dvc", "push", "--run-cache")
    assert done.returncode != 0 and "failed to push" in done.stderr
    assert remote.store.names() == before
    push_variant(remote, owner, variant, tmp_path / "writer", **remote.writer)
    colleague.dvc("pull", "--run-cache")
    colleague.set_params(**VARIANT)
    done = colleague.run("dvc", "repro", "--pull", "--dry", "smote_train")
    assert "run-cache is not supported for http" in done.stderr and "Running stage 'smote_train'" in done.stdout
    shutil.copy(variant.folder / "dvc.lock", colleague.folder)  # as git would bring it
    colleague.dvc("pull")
    assert "Running stage" not in colleague.dvc("repro", "smote_train") and colleague.ends_with(variant)


def with_variant(owner: Clone, variant: Project, place: Path) -> Clone:
    place.mkdir(exist_ok=True)
    clone = Clone(owner, place / "somebody")
    shutil.copytree(variant.folder / ".dvc/cache", clone.folder / ".dvc/cache")
    for name in ("params.yaml", "dvc.lock"):
        shutil.copy(variant.folder / name, clone.folder)
    return clone


def push_variant(remote: Remote, owner: Clone, variant: Project, place: Path, **own: str) -> None:
    clone = with_variant(owner, variant, place)
    clone.use(remote, **own)
    clone.dvc("push", "--run-cache")


@pytest.mark.parametrize("shared", ["s3", "ssh", "http"], indirect=True)
def test_a_pull_that_was_killed_is_taken_up_again(shared, colleague):
    remote, owner = shared
    size = sum(len(owner.file(name)) for name in outputs(owner))
    with gate(remote.port, limit=size // 2) as (port, shut):
        colleague.use(remote, **remote.by_way_of(port))
        pull = colleague.start("dvc", "pull", "--jobs", "1")
        assert shut.wait(30)
        os.killpg(pull.pid, signal.SIGKILL)
        pull.communicate()
    colleague.use(remote, **remote.by_way_of(remote.port))
    arrived = Folder(colleague.folder / ".dvc/cache").names()
    assert 0 < len([name for name in arrived if not name.endswith(".tmp")]) < len(remote.store.names())
    colleague.dvc("pull")
    assert colleague.ends_with(owner) and not colleague.wrong()
    assert "are in sync" in colleague.dvc("status", "--cloud")


@pytest.mark.parametrize("shared", READ, indirect=True)
def test_an_object_that_the_remote_has_lost_is_an_error_that_names_its_file(shared, colleague):
    remote, owner = shared
    with without(remote, object_of(owner, SOME)):
        assert_fails(colleague, owner)
    colleague.dvc("pull")
    assert colleague.ends_with(owner) and not colleague.wrong()


@pytest.mark.parametrize("shared", READ, indirect=True)
def test_an_object_that_was_changed_on_the_remote_is_an_error_if_dvc_verifies(shared, colleague, tmp_path):
    remote, owner = shared
    with changed(remote, object_of(owner, SOME)):
        careless = Clone(owner, tmp_path / "careless")
        careless.use(remote, verify="false")
        careless.dvc("pull")
        # Why verify is switched on: DVC takes what it gets.
        assert careless.file(SOME) != owner.file(SOME) and "up to date" in careless.dvc("status")
        assert_fails(colleague, owner)
    colleague.dvc("pull")
    assert colleague.ends_with(owner) and not colleague.wrong()


def assert_fails(clone: Clone, owner: Clone) -> None:
    """A pull that lacks SOME says so, and leaves nothing wrong behind."""
    done = clone.run("dvc", "pull")
    assert done.returncode != 0 and "failed to pull" in done.stderr and SOME in done.stderr
    assert "Traceback" not in done.stderr
    assert not (clone.folder / SOME).exists() and not clone.wrong()
    other = "data/split/test.parquet"
    assert clone.file(other) == owner.file(other)


@contextmanager
def without(remote: Remote, name: str):
    content = remote.store.read(name)
    remote.store.delete(name)
    try:
        yield
    finally:
        remote.store.write(name, content)


@contextmanager
def changed(remote: Remote, name: str):
    content = remote.store.read(name)
    remote.store.write(name, content[:-1] + bytes([content[-1] ^ 1]))
    try:
        yield
    finally:
        remote.store.write(name, content)


@pytest.mark.parametrize("kind", WRITTEN)
def test_two_people_push_at_once(kind, origin, variant, tmp_path):
    with KINDS[kind](tmp_path) as remote:
        one = Clone(origin, tmp_path / "one", with_cache=True)
        one.dvc("remote", "add", "--default", "storage", remote.url)
        for name, value in {"verify": "true", **remote.settings}.items():
            one.dvc("remote", "modify", "storage", name, value)
        one.commit("Storage")
        one.use(remote)
        two = with_variant(one, variant, tmp_path)
        two.use(remote)
        pushes = [clone.start("dvc", "push", "--run-cache") for clone in (one, two)]
        for push in pushes:
            _, err = push.communicate()
            assert push.returncode == 0, err
        assert not wrong(remote.store)
        assert not [name for name in remote.store.names() if name.endswith(".tmp")]
        for clone in (one, two):
            pulled = Clone(one, tmp_path / f"pulled-{clone.folder.name}")
            shutil.copy(clone.folder / "dvc.lock", pulled.folder)
            pulled.use(remote)
            pulled.dvc("pull")
            assert pulled.ends_with(origin if clone is one else variant)
