"""Scores of a copy's model, which are those of the undisturbed run's, or an error."""

import threading
from functools import cache
from pathlib import Path

from checkout import Checkout

from faults.copies import Copy
from faults.outcome import Wrong

CLICKS, SCORES = "data/raw/clicks.parquet", "scores.csv"
_lock = threading.Lock()


def score_command(model: str, clicks: Path, output: Path) -> list[str]:
    return ["python", "-m", "stages.score", f"models/{model}", str(clicks), "-o", str(output)]


def check_score(copy: Copy, model: str) -> tuple[int, str]:
    """The exit code and the output of scoring with the copy's model.

    Raises:
        Wrong: other scores than the undisturbed run's, without an error.
    """
    output = copy.folder / SCORES
    ran = copy.ended(*score_command(model, copy.origin.folder / CLICKS, output))
    compare(copy, model, ran)
    return ran


def compare(copy: Copy, model: str, ran: tuple[int, str]) -> None:
    output = copy.folder / SCORES
    if ran[0] == 0 and output.read_bytes() != expected_scores(copy.origin, model):
        raise Wrong(f"{model}: other scores, and no error")
    output.unlink(missing_ok=True)


def expected_scores(origin: Checkout, model: str) -> bytes:
    with _lock:
        return _expected_scores(origin.folder, model)


@cache
def _expected_scores(origin: Path, model: str) -> bytes:
    output = origin.with_name(f"{model}.csv")
    completed = Checkout.at(origin).run(*score_command(model, Path(CLICKS), output))
    assert completed.returncode == 0, completed.stderr
    return output.read_bytes()
