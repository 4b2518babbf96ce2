"""Models and scores of this repository in another one, by dvc get, dvc import and dvc.api: docs/sharing.md."""

import json
import re
from pathlib import Path

import documentation
import pandas as pd
import pytest
from checkout import Checkout, Clone
from helpers import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def owner(built_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The repository that others use, whose outputs are in a remote, which is a folder."""
    folder = tmp_path_factory.mktemp("elsewhere")
    owner = Clone(built_checkout, folder / "owner", with_cache=True)
    owner.dvc("remote", "add", "--default", "storage", str(folder / "storage"))
    owner.dvc("remote", "modify", "storage", "verify", "true")
    owner.commit("Where data and models are kept")
    owner.dvc("push")
    return owner


@pytest.fixture(scope="module")
def other(owner: Clone) -> Checkout:
    """Another repository, with nothing of the pipeline."""
    other = Checkout.at(owner.folder.parent / "other")
    other.folder.mkdir()
    site_cache = str(owner.folder.parent / "other.site")
    other.environment = {**owner.environment, "DVC_SITE_CACHE_DIR": site_cache}
    other.git("init", "--quiet")
    other.dvc("init", "--quiet")
    log = pd.read_parquet(owner.folder / "data/raw/clicks.parquet")
    for folder in (owner.folder, other.folder):
        log.to_csv(folder / "tomorrow.csv", index=False)
    return other


def url(owner: Clone) -> str:
    """By which DVC clones the repository; it would use a mere path as it is, with its cache."""
    return owner.folder.as_uri()


def same_files(one: Path, another: Path) -> bool:
    names = {path.relative_to(one) for path in one.rglob("*") if path.is_file()}
    assert names
    return names == {path.relative_to(another) for path in another.rglob("*") if path.is_file()} and all(
        (one / name).read_bytes() == (another / name).read_bytes() for name in names
    )


def test_dvc_get_downloads_a_model_and_the_scores_of_the_test_set(owner: Clone, other: Checkout) -> None:
    other.dvc("get", url(owner), "models/trees", "--out", "trees")
    other.dvc("get", url(owner), "data/predictions/trees.parquet")
    assert same_files(owner.folder / "models/trees", other.folder / "trees")
    assert other.file("trees.parquet") == owner.file("data/predictions/trees.parquet")


def test_an_imported_model_scores_as_in_its_own_repository(owner: Clone, other: Checkout) -> None:
    other.dvc("import", url(owner), "models/blend")
    assert owner.git("rev-parse", "HEAD").strip() in other.file("blend.dvc").decode()
    assert same_files(owner.folder / "models/blend", other.folder / "blend")
    other.git("clone", url(owner), "purchase-prediction")
    score = ("python", "-m", "stages.score")
    options = ("tomorrow.csv", "-o", "scores.csv")
    done = other.run("env", "PYTHONPATH=purchase-prediction", *score, "blend", *options)
    assert done.returncode == 0, done.stderr
    done = owner.run(*score, "models/blend", *options)
    assert done.returncode == 0, done.stderr
    assert other.file("scores.csv") == owner.file("scores.csv")
    assert len(pd.read_csv(other.folder / "scores.csv")) == 300


def test_others_download_the_version_of_a_model_that_is_in_a_stage(owner: Clone, other: Checkout) -> None:
    for command in (
        ("gto", "register", "strong", "--version", "v1.0.0"),
        ("gto", "assign", "strong", "--version", "v1.0.0", "--stage", "prod"),
        ("gto", "show"),
        ("gto", "show", "strong#prod", "--ref"),
    ):
        done = owner.run(*command)
        assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["strong@v1.0.0"]
    assert set(owner.git("tag").split()) == {"strong@v1.0.0", "strong#prod#1"}
    other.dvc("artifacts", "get", url(owner), "strong", "--stage", "prod", "--out", "promoted")
    other.dvc("get", url(owner), "models/strong", "--rev", "strong@v1.0.0")
    for folder in ("promoted", "strong"):
        assert same_files(owner.folder / "models/strong", other.folder / folder)


def test_dvc_update_takes_the_latest_version(owner: Clone, other: Checkout) -> None:
    before = owner.git("rev-parse", "HEAD").strip()
    path = owner.folder / "models/blend/decision.json"
    decision = json.loads(path.read_bytes()) | {"threshold": 0.123}
    path.unlink()  # it may be linked to the cache
    path.write_text(json.dumps(decision))
    owner.dvc("commit", "--force", "blend")
    owner.git("commit", "--all", "--message", "Another threshold")
    owner.dvc("push")
    assert other.json("blend/decision.json")["threshold"] != 0.123
    other.dvc("update", "blend.dvc")
    assert other.json("blend/decision.json")["threshold"] == 0.123
    other.dvc("get", url(owner), "models/blend", "--out", "earlier", "--rev", before)
    assert other.json("earlier/decision.json")["threshold"] != 0.123


def test_dvc_api_reads_scores_and_metrics(owner: Clone, other: Checkout) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/sharing.md").read_text(encoding="utf-8"), re.M | re.S)
    assert code.count('"URL"') == 2
    show = "\nprint(json.dumps([scores.probability.tolist(), metrics]))"
    done = other.run("python", "-c", code.replace('"URL"', repr(url(owner))) + show)
    assert done.returncode == 0, done.stderr
    probabilities, metrics = json.loads(done.stdout.splitlines()[-1])
    predicted = pd.read_parquet(owner.folder / "data/predictions/blend.parquet")
    assert probabilities == predicted.probability.tolist()
    assert metrics == owner.json("metrics/blend.json")


def test_all_commands_of_the_documentation_were_run() -> None:
    assert not documentation.not_run("dvc get", Checkout.commands)
