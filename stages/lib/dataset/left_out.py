"""What prepare and split left out or changed: printed, kept with the sessions, shown in the report."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

from stages.lib.common.errors import InputError

METADATA = b"left_out"


@dataclass(frozen=True)
class Finding:
    """Something that was left out or changed.

    Attributes:
        what: in words, such as "column 'price': values that are not numbers are missing".
        count: of values, rows, sessions or columns, as `what` says.
        example: one of them, if that helps to find them.
        hint: the parameter that decides about it.
    """

    what: str
    count: int
    example: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        example = f", such as '{self.example}'" if self.example is not None else ""
        hint = f" ({self.hint})" if self.hint else ""
        count = f": {self.count:,}" if self.count > 1 else ""
        return " ".join(f"{self.what}{count}{example}{hint}".splitlines())


class LeftOut:
    """All findings of a run, in the order in which they were made."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def add(self, what: str, count: int, example: object = None, hint: str | None = None) -> None:
        """Record a finding, unless its count is 0."""
        if count:
            self.findings.append(Finding(what, count, None if example is None else str(example), hint))

    def check_nothing(self) -> None:
        """Raise an InputError that lists the findings, if there are any."""
        if len(self.findings) == 1:
            raise InputError(f"{self.findings[0]}; prepare.strict makes this an error")
        if self.findings:
            lines = "\n".join(f"  {finding}" for finding in self.findings)
            raise InputError(f"{len(self.findings)} problems:\n{lines}\nprepare.strict makes these errors")

    def attach(self, schema: pa.Schema) -> pa.Schema:
        """The Arrow schema with the findings in its metadata."""
        content = json.dumps([asdict(finding) for finding in self.findings])
        return schema.with_metadata({**(schema.metadata or {}), METADATA: content.encode()})


def with_findings(schema: pa.Schema, findings: Sequence[Finding]) -> pa.Schema:
    """The Arrow schema with these findings after those that it has."""
    left_out = LeftOut()
    left_out.findings = [*read_findings(schema), *findings]
    return left_out.attach(schema)


def read_findings(schema: pa.Schema) -> list[Finding]:
    """The findings that `attach` has added; none if the table was written without."""
    content = (schema.metadata or {}).get(METADATA, b"[]")
    return [Finding(**finding) for finding in json.loads(content)]
