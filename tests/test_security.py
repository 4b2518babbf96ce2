"""What SECURITY.md promises: DVC unpickles nothing that another user can write, and models are loaded without code."""

import re
import shutil
import stat
from pathlib import Path

import pytest
from checkout import Checkout, Clone
from helpers import ROOT

from stages.lib.common.errors import InputError
from stages.lib.modeling.backend import keras
from stages.lib.modeling.model import Model

pytestmark = pytest.mark.slow

SITE = ".dvc/tmp/site"


@pytest.fixture(scope="module")
def clone(built_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone with all outputs, in a folder with a space, whose DVC make has configured."""
    clone = Clone(built_checkout, tmp_path_factory.mktemp("private") / "a clone")
    clone.environment = {name: value for name, value in clone.environment.items() if name != "DVC_SITE_CACHE_DIR"}
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, clone.folder)
    commands = clone.run("make", "--dry-run", "--always-make", ".venv/ready").stdout.splitlines()
    configure = [command for command in commands if SITE in command]
    (block,) = re.findall(r"^```bash\n(.*?)^```", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.M | re.S)
    assert [command.replace(str(clone.folder), "$PWD") for command in configure] == block.splitlines()
    for command in configure:
        assert clone.run("bash", "-c", command).returncode == 0
    shutil.copytree(built_checkout.folder / ".dvc/cache", clone.folder / ".dvc/cache")
    clone.dvc("checkout", "--quiet")
    for name in ("Makefile", "requirements.txt"):
        (clone.folder / name).unlink()
    return clone


def databases(clone: Clone) -> set[Path]:
    """The folders that DVC unpickles from; there is one for each folder in which it has run."""
    return {path.parent for path in (clone.folder / SITE / "repo").glob("*/links")}


def test_dvc_keeps_what_it_unpickles_in_a_private_folder_of_the_checkout(clone: Clone) -> None:
    assert stat.S_IMODE((clone.folder / SITE).stat().st_mode) == 0o700
    (database,) = databases(clone)
    for arguments in ((), ("--cd", "stages/lib")):
        assert f"Repo.site_cache_dir: {database}\n" in clone.dvc(*arguments, "version")


def test_a_run_and_an_experiment_with_it_change_no_other_file(clone: Clone) -> None:
    assert "Data and pipelines are up to date." in clone.dvc("repro")
    output = clone.dvc("exp", "run", "--temp", "--name", "private", "-S", "split.leakage_auc=0.7", "split")
    assert "Ran experiment(s): private" in output
    assert len(databases(clone)) == 2
    assert clone.git("status", "--short") == ""


def test_a_network_with_code_is_refused(tmp_path: Path) -> None:
    layer = keras.layers.Lambda(lambda inputs: inputs, output_shape=(1,))
    keras.Sequential([keras.Input((1,)), layer]).save(tmp_path / "network.keras")
    with pytest.raises(InputError, match="not a network that Keras can load"):
        Model.load(tmp_path)
