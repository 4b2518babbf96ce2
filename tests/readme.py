"""The commands that the README gives, for tests to hold what they run against."""

import re
import shlex
from pathlib import Path

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
