"""The commands in README.md and docs/, so that tests can check that they have run each of them."""

import re
import shlex

from helpers import ROOT

PLACEHOLDERS = (
    "s3://bucket/path",
    "KEY",
    "SECRET",
    "tcp://host:8786",
    "URL",
)  # a test runs the command with other values

Command = tuple[str, ...]


def sections() -> list[list[Command]]:
    """The commands of each section that has any, in order."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    texts = [text for page in pages for text in re.split(r"^#+ ", page.read_text(encoding="utf-8"), flags=re.M)]
    return [commands for text in texts if (commands := _commands(text))]


def section(command: str) -> list[Command]:
    """The commands of the section that has this one, which may go on after `command`.

    If several sections have it, the commands of all of them, each once.
    """
    matching = [commands for commands in sections() if any(_starts_with(each, command) for each in commands)]
    assert matching, f"no section has the command {command}"
    return list(dict.fromkeys(each for commands in matching for each in commands))


def not_run(command: str, executed: set[Command]) -> list[Command]:
    """The commands of `section(command)` that were not executed; they may have been executed with more arguments."""
    return [each for each in section(command) if not any(_matches(each, other) for other in executed)]


def _commands(text: str) -> list[Command]:
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := tuple(shlex.split(line, comments=True)))]


def _starts_with(command: Command, start: str) -> bool:
    return " ".join(command).startswith(start)


def _matches(command: Command, executed: Command) -> bool:
    pairs = zip(command, executed, strict=False)
    return len(executed) >= len(command) and all(word == other or word in PLACEHOLDERS for word, other in pairs)
