"""Write docs/parameters.md, from params.yaml, its comments and the types in stages/lib/common/params.py: make docs."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from stages.lib.common import param_types
from stages.lib.common.model_params import Section
from stages.lib.common.params import PARAMS, Costs, Params
from stages.lib.common.params_file import read_params_file

PAGE = Path("docs/parameters.md")
HEADER = """# Parameters

Every key of [params.yaml](../params.yaml), a section per stage, with the values that are committed. `make docs`
writes this page. How to change a parameter: [experiments](experiments.md#change-a-parameter).
"""
# A key of a section may have its comment on the line above.
LINE = re.compile(r"^(?:( +)# (.*)\n(?=\1\w))?( *)(\w+):(?: +([^#\s][^#\n]*?))?(?: +# (.*))?$", re.M)
# The types that a function checks, which their JSON schema does not show
CHECKED = [
    (param_types.Folds, "integer 0 or ≥ 2"),
    (param_types.Views, "ascending list of integers ≥ 1"),
    (param_types.Columns, "`auto` or list of columns"),
    (param_types.Memory, "size ≥ 500MB or null"),
    (param_types.Day, "date"),
    (param_types.Delimiter, "`auto` or one character"),
    (param_types.TextEncoding, "encoding"),
    (param_types.DateFormat, "format or null"),
    (param_types.Thousands, "character or null"),
    (param_types.EngineUrl, "URL"),
    (param_types.GridBackend, "`local` or URL"),
    (Costs | None, "`contact` and a higher `missed_purchase`, numbers > 0, or null"),
]
NAMES = {"string": "text", "object": "mapping"}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def render(folder: Path = Path()) -> str:
    """The page for the params.yaml in `folder`."""
    path = folder / PARAMS
    lines = commented_lines(path.read_text(encoding="utf-8"))
    document = read_params_file(path)
    page = HEADER
    for name, annotation in get_type_hints(Params, include_extras=True).items():
        if name in Params.model_fields:
            page += _part(name, annotation, document[name], lines)
    return page


def commented_lines(text: str) -> dict[str, tuple[str, str]]:
    """The value, as it is written, and the comment of each key; both may be empty.

    A key of train_strong without a comment has that of train_base.
    """
    lines: dict[str, tuple[str, str]] = {}
    parents: list[str] = []
    for _, above, indent, name, value, beside in LINE.findall(text):
        parents[len(indent) // 2 :] = [name]
        key = ".".join(parents)
        lines[key] = value, beside or above or lines.get(key.replace("train_strong.", "train_base."), ("", ""))[1]
    return lines


def type_text(annotation: Any) -> str:
    """What a parameter of this type may be."""
    for checked, text in CHECKED:
        if annotation == checked:
            return text
    return _schema_text(TypeAdapter(annotation).json_schema())


def _part(name: str, annotation: Any, value: Any, lines: dict[str, tuple[str, str]]) -> str:
    """A section of the page; a single key has a table of its own."""
    heading = f"\n## {name}\n\n"
    introduction = f"{_sentence(lines[name][1])}\n\n" if isinstance(value, dict) and lines[name][1] else ""
    table = "| parameter | type and range | default | meaning |\n|---|---|---|---|\n"
    for key, leaf, default in _leaves(name, annotation, value):
        written, comment = lines[key]
        table += f"| `{key}` | {type_text(leaf)} | `{written or _flow(default)}` | {comment} |\n"
    return heading + introduction + table


def _leaves(key: str, annotation: Any, value: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each parameter in a section: its key, type and value."""
    if not (isinstance(annotation, type) and issubclass(annotation, Section)):
        yield key, annotation, value
        return
    for name, inner in get_type_hints(annotation, include_extras=True).items():
        if name in annotation.model_fields:
            yield from _leaves(f"{key}.{name}", inner, value[name])


def _schema_text(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return _alternatives([_schema_text(alternative) for alternative in schema["anyOf"]])
    if "enum" in schema:
        return _alternatives([f"`{choice}`" for choice in schema["enum"]])
    name = schema.get("type", "value")
    if name == "array":
        item, _, bounds = _schema_text(schema["items"]).partition(" ")
        return f"list of {item}s {bounds}".strip()
    if isinstance(schema.get("additionalProperties"), dict):
        return f"mapping to {_schema_text(schema['additionalProperties'])}"
    bounds = " and ".join(f"{sign} {schema[bound]:,}" for bound, sign in BOUNDS.items() if bound in schema)
    return f"{NAMES.get(name, name)} {bounds}".strip()


def _alternatives(texts: list[str]) -> str:
    *others, last = texts
    return f"{', '.join(others)} or {last}"


def _flow(value: Any) -> str:
    """A value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return f"{Decimal(repr(value)):f}" if isinstance(value, float) else str(value)


def _sentence(comment: str) -> str:
    return f"{comment[0].upper()}{comment[1:]}."


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
