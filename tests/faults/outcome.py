"""How a fault ended: in the undisturbed run's bytes, perhaps after one line with the way out, or wrong."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from helpers import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
STAGES = [path.stem for path in (ROOT / "stages").glob("[a-z]*.py")]
# Not what evaluate prints of the model that has a stage's name
STAGE_LINE = re.compile(rf"^(?:{'|'.join(STAGES)}): (?!AUC ).+", re.MULTILINE)
DVC_LINE = re.compile(r"^ERROR: .+", re.MULTILINE)
OF_A_STAGE = "failed to run: "  # what DVC says after the line of a stage

SAME, ONE_LINE, DVC, SILENT, WRONG, IMPOSSIBLE = HOW = (
    "same bytes",
    "a stage's line, then same bytes",
    "DVC's message, then same bytes",
    "no message, same bytes by the way out in the docs",
    "wrong",
    "not possible here",
)


@dataclass(frozen=True)
class Outcome:
    """What was done, how it ended (one of HOW), and the line it ended in or what is wrong."""

    what: str
    how: str
    line: str = ""


class Wrong(Exception):
    """A fault that ended in something else than it should."""


class Impossible(Exception):
    """A fault that needs more rights or another system."""


def patterns() -> list[re.Pattern[str]]:
    """The messages on the page, where … stands for any text."""
    cells = re.findall(r"^\| ((?:(?:,? or |, |DVC's )*`[^`]+`)+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    messages = [message for cell in cells for message in re.findall(r"`(.+?)`", cell)]
    return [re.compile(".*".join(map(re.escape, message.split("…")))) for message in messages]


def message(output: str) -> tuple[str, str]:
    """How a command that failed said so, and the line; both empty if it said nothing, as one that is killed.

    Raises:
        Wrong: it is no line, or none that is on the page of troubleshooting.
    """
    if "Traceback (most recent call last)" in output:
        raise Wrong(f"a traceback: {output[-3000:]}")
    stage, dvc = STAGE_LINE.findall(output), DVC_LINE.findall(output)
    # A stage that is killed says nothing: DVC does.
    lines: Sequence[str] = stage or [line for line in dvc if OF_A_STAGE not in line] or dvc
    known = patterns()
    for line in lines:
        if not any(pattern.search(line) for pattern in known):
            raise Wrong(f"not on {PAGE.name}: {line}")
    return (ONE_LINE if stage else DVC if dvc else "", lines[-1] if lines else "")
