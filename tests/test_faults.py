"""Twenty faults, of all kinds, each ends in the undisturbed run's bytes, or in a line that is on a page of the docs."""

from pathlib import Path

import documentation
import pytest
from checkout import Checkout, Clone
from faults.kinds import KINDS, TURN, kind_of, run_fault
from faults.outcome import WRONG

pytestmark = pytest.mark.slow

SEED = 1


def test_the_first_faults_are_of_all_kinds() -> None:
    assert {*TURN} == {*KINDS} and len(TURN) == 20


@pytest.mark.parametrize("number", range(20), ids=kind_of)
def test_a_fault(built_checkout: Checkout, tmp_path: Path, number: int) -> None:
    outcome = run_fault(built_checkout, tmp_path, SEED, number)
    assert outcome.how != WRONG, outcome
    print(outcome)


def test_all_commands_of_the_documentation_were_run() -> None:
    assert not documentation.not_run("chmod -R u+w", Clone.commands)
