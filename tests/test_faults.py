"""A fault of each kind ends in the undisturbed run's bytes, or in a line that is on a page of the docs."""

from pathlib import Path

import documentation
import pytest
from checkout import Checkout, Clone
from faults.kinds import KINDS, TURN, kind_of, run_fault
from faults.outcome import WRONG

pytestmark = pytest.mark.slow

SEED = 1
NUMBERS = [TURN.index(kind) for kind in KINDS]  # the first of each


@pytest.mark.parametrize("number", [*NUMBERS, 1], ids=kind_of)  # two different signals of the most frequent kind
def test_a_fault(built_checkout: Checkout, tmp_path: Path, number: int) -> None:
    outcome = run_fault(built_checkout, tmp_path, SEED, number)
    assert outcome.how != WRONG, outcome
    print(outcome)


def test_all_commands_of_the_documentation_were_run() -> None:
    assert not documentation.not_run("chmod -R u+w", Clone.commands)
