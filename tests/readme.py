"""The commands in the README, so that tests can check that they have run each of them."""

import re
import shlex

from helpers import ROOT

PLACEHOLDERS = ("s3://bucket/path", "KEY", "SECRET", "tcp://host:8786")  # a test runs the command with other values

Command = tuple[str, ...]


def commands() -> dict[str, list[Command]]:
    """The commands of each section that has any, in order, by the section's title."""
    by_section = {}
    for section in re.split(r"^#+ ", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.M)[1:]:
        title, _, text = section.partition("\n")
        blocks = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
        lines = "".join(blocks).replace("\\\n", " ").splitlines()
        parsed = [tuple(shlex.split(line, comments=True)) for line in lines]
        if any(parsed):
            by_section[title] = [command for command in parsed if command]
    return by_section


def not_run(title: str, executed: set[Command]) -> list[Command]:
    """The section's commands that were not executed; they may have been executed with further arguments."""
    return [command for command in commands()[title] if not any(_matches(command, other) for other in executed)]


def _matches(command: Command, executed: Command) -> bool:
    pairs = zip(command, executed, strict=False)
    return len(executed) >= len(command) and all(word == other or word in PLACEHOLDERS for word, other in pairs)
