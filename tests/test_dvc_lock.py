"""dvc.lock matches the committed code, params and metrics; none of these tests needs the data."""

from collections.abc import Iterator

import pytest
import yaml
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from helpers import ROOT

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning:dvc")


@pytest.fixture(scope="module")
def repo() -> Iterator[Repo]:
    with Repo(str(ROOT)) as repo:
        yield repo


def test_the_lock_has_the_stages_of_dvc_yaml(repo: Repo) -> None:
    locked = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    assert set(locked) == {stage.name for stage in repo.index.stages}
    assert not [stage.name for stage in repo.index.stages if stage.cmd != locked[stage.name]["cmd"]]


def test_the_lock_matches_code_params_and_metrics(repo: Repo) -> None:
    """As `dvc status` compares them, but for data and models, which a clone may not have."""
    cached = {out.fs_path for out in repo.index.outs if out.use_cache}
    stale = {
        f"{stage.name}: {name}": status
        for stage in repo.index.stages
        for file in (*stage.deps, *stage.outs)
        if isinstance(file, ParamsDependency) or file.fs_path not in cached
        for name, status in file.workspace_status().items()
    }
    assert not stale, "run dvc repro"


def test_the_lock_has_one_version_of_each_file(repo: Repo) -> None:
    """What a stage has read is what the other stage has written."""
    written = {out.fs_path: out.hash_info for out in repo.index.outs}
    differing = [
        f"{stage.name}: {dep}"
        for stage in repo.index.stages
        for dep in stage.deps
        if not isinstance(dep, ParamsDependency) and dep.fs_path in written and dep.hash_info != written[dep.fs_path]
    ]
    assert not differing, "run dvc repro"
