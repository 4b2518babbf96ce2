"""The commands that the README gives, for tests to hold what they run against."""

import re
import shlex
from pathlib import Path

PLACES = ("s3://bucket/path", "KEY", "SECRET", "tcp://host:8786")  # stand for others
README = Path(__file__).parents[1] / "README.md"


def commands() -> dict[str, list[tuple[str, ...]]]:
    """The commands of each section that has any, in order."""
    found = {}
    for part in re.split(r"^#+ ", README.read_text(encoding="utf-8"), flags=re.M)[1:]:
        title, _, text = part.partition("\n")
        blocks = "".join(re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)).replace("\\\n", " ")
        lines = [tuple(shlex.split(line, comments=True)) for line in blocks.splitlines()]
        if any(lines):
            found[title] = [line for line in lines if line]
    return found


def not_run(title: str, done: set[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The section's commands that none of those `done` is, or begins with."""

    def is_run(command: tuple[str, ...], by: tuple[str, ...]) -> bool:
        return len(by) >= len(command) and all(
            word == other or word in PLACES for word, other in zip(command, by, strict=False)
        )

    return [command for command in commands()[title] if not any(is_run(command, by) for by in done)]
