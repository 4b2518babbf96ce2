"""What stops a session table: all problems at once, and the params that settle them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stages.lib.common.errors import InputError
from stages.lib.common.params import Prepare

PLAIN = re.compile(r"[A-Za-z_](?:[\w .-]*[\w.-])?", re.ASCII)  # a text that YAML reads as text without quotes
# What YAML 1.1 or 1.2 reads as something else
YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan"}


class ColumnProblem(InputError):
    """A column that cannot be used as it is.

    Attributes:
        problem: what is wrong, without the way out, which the error's text has too.
        add: for params of `prepare`, what to add to their list.
        remove: what to remove from it.
        put: other params of `prepare`, and their new value.
    """

    def __init__(
        self,
        problem: str,
        hint: str,
        *,
        add: Mapping[str, Sequence[str]] | None = None,
        remove: Mapping[str, Sequence[str]] | None = None,
        put: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{problem}; {hint}")
        self.problem, self.add, self.remove, self.put = problem, add or {}, remove or {}, put or {}

    @property
    def is_settled(self) -> bool:
        """Whether params can settle it."""
        return bool(self.add or self.remove or self.put)

    def contradicts(self, put: Mapping[str, Any]) -> bool:
        """Whether it needs another value of one of these params."""
        return any(put.get(param, value) != value for param, value in self.put.items())


def raise_problems(problems: Sequence[InputError], settings: Prepare) -> None:
    """Raise an InputError with all problems, if there are any.

    One problem is one line. For several there is a line for each, then the params that settle them, as YAML to paste.
    """
    if len(problems) == 1:
        raise problems[0]
    if not problems:
        return
    settled: list[ColumnProblem] = []
    put: dict[str, Any] = {}
    for problem in problems:
        # Two columns may need two values of a parameter: it is that of the first one.
        if isinstance(problem, ColumnProblem) and problem.is_settled and not problem.contradicts(put):
            settled.append(problem)
            put |= problem.put
    texts = [problem.problem if problem in settled else str(problem) for problem in problems]
    lines = [f"{len(problems)} problems:", *(f"  {text}" for text in texts)]
    if settled:
        which = "all of them" if len(settled) == len(problems) else f"{len(settled)} of them"
        lines += [f"in params.yaml, this settles {which}:", "prepare:", *_as_yaml(changed_params(settled, settings))]
    raise InputError("\n".join(lines))


def changed_params(problems: Iterable[ColumnProblem], settings: Prepare) -> dict[str, Any]:
    """The params of `prepare` that differ from the settings once the problems are settled."""
    changed: dict[str, Any] = {}
    for problem in problems:
        for param, values in problem.add.items():
            current = changed.get(param, getattr(settings, param))
            changed[param] = [*current, *(value for value in values if value not in current)]
        for param, values in problem.remove.items():
            changed[param] = [value for value in changed.get(param, getattr(settings, param)) if value not in values]
        changed |= problem.put
    return changed


def drop_param(names: Iterable[str]) -> str:
    """The parameter that leaves these columns out, ready to paste."""
    return f"prepare.drop: {yaml_list(names)}"


def yaml_list(texts: Iterable[str]) -> str:
    """The texts as a list in one line of YAML."""
    return f"[{', '.join(map(yaml_text, texts))}]"


def yaml_text(text: str) -> str:
    """The text as YAML, in quotes only where it needs them."""
    if PLAIN.fullmatch(text) and text.lower() not in YAML_WORDS:
        return text
    # In double quotes, YAML has JSON's escapes.
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _as_yaml(changed: Mapping[str, Any]) -> list[str]:
    return [
        f"  {param}: {yaml_list(value) if isinstance(value, list) else json.dumps(value, ensure_ascii=False)}"
        for param, value in changed.items()
    ]
