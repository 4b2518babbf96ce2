"""What each stage loads when it starts, counted in modules, which depends on no machine's speed."""

import subprocess
import sys

import pytest
from helpers import ROOT

# Libraries that take a second or more to load, and the stages' scripts that load them when they start. What workers
# load comes later, while the script loads what it needs itself.
HEAVY = ("tensorflow", "keras", "sklearn", "scipy", "pandas", "ibis", "duckdb", "matplotlib", "talos", "imblearn")
TRAINING = {"train_base", "train_strong", "smote_train", "train_reference"}
MAX_MODULES = 700  # Python itself has about 100, pydantic and joblib 500


def loaded(program: str) -> set[str]:
    """The modules that are loaded after the program has run."""
    program += "; import sys; print(*sys.modules)"
    completed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return {*completed.stdout.split()}


@pytest.mark.parametrize("stage", sorted(TRAINING))
def test_a_training_stage_starts_its_workers_before_it_loads_anything_large(stage: str) -> None:
    modules = loaded(f"import stages.{stage}")
    assert not modules & {*HEAVY}
    assert len(modules) <= MAX_MODULES


@pytest.mark.slow
def test_what_trains_a_network_loads_tensorflow_without_what_keras_only_wraps() -> None:
    modules = loaded("import stages.lib.modeling.model, stages.lib.modeling.network_stage")
    assert "tensorflow" in modules and "keras" in modules
    assert not modules & {"matplotlib", "sklearn", "scipy.stats", "scipy.optimize", "talos", "imblearn"}
    assert len(modules) <= 3800
