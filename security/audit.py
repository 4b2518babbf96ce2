"""Check the pinned packages for vulnerabilities: make audit.

Without a network, every advisory in advisories.json must be complete and be about a version that is pinned, so that
each is looked at again when the version changes. With a network and pip-audit, every advisory that pip-audit finds must
be in advisories.json. Only the standard library is imported, so that the audit needs no installation.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from security.locked import read_locked

ADVISORIES = Path("security/advisories.json")
FIELDS = ("id", "package", "version", "what", "why_kept", "what_is_done")
ID = re.compile(r"CVE-\d{4}-\d{4,}|GHSA(-\w{4}){3}|PYSEC-\d{4}-\d+")
SECONDS = 600


class Finding(NamedTuple):
    """What pip-audit has found in a package."""

    package: str
    version: str
    ids: tuple[str, ...]  # of one advisory, which has several
    fixed_in: tuple[str, ...]


def main(arguments: Sequence[str] | None = None, folder: Path = Path()) -> None:
    parser = argparse.ArgumentParser(prog="python -m security.audit", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--online", action="store_true", help="fail if pip-audit cannot be asked")
    online = parser.parse_args(arguments).online
    requirements = sorted(folder.glob("requirements*.txt"))
    entries = json.loads((folder / ADVISORIES).read_text(encoding="utf-8"))
    problems = check_entries(entries, requirements)
    if not problems:
        print(f"{len(entries)} known advisories, each about a pinned version; see SECURITY.md")
        try:
            findings = ask_pip_audit(requirements)
        except ConnectionError as error:
            note = f"not compared with the published advisories: {error}"
            problems = [note] if online else []
            print(note)
        else:
            print(f"pip-audit found {len(findings)} published advisories")
            problems = check_findings(findings, entries)
    if problems:
        sys.exit("\n".join(problems))


def check_entries(entries: Sequence[dict[str, Any]], requirements: Sequence[Path]) -> list[str]:
    """What is wrong with the list of known advisories: incomplete entries, and versions that are not pinned."""
    pinned: dict[str, set[str]] = {}
    for path in requirements:
        for package in read_locked(path):
            pinned.setdefault(package.name, set()).add(package.version)
    problems = []
    for entry in entries:
        name = f"{ADVISORIES}: {entry.get('id')}"
        if set(entry) != set(FIELDS) or not all(isinstance(text, str) and text.strip() for text in entry.values()):
            problems.append(f"{name}: expected a text for each of {', '.join(FIELDS)}, and nothing else")
        elif not ID.fullmatch(entry["id"]):
            problems.append(f"{name}: expected an id such as CVE-2025-69872")
        elif entry["version"] not in pinned.get(entry["package"], set()):
            versions = ", ".join(sorted(pinned.get(entry["package"], {"no version"})))
            problems.append(
                f"{name}: about {entry['package']} {entry['version']}, but {versions} is pinned; "
                "look up whether it still applies, then change or remove the entry, here and in SECURITY.md"
            )
    return problems


def ask_pip_audit(requirements: Sequence[Path]) -> list[Finding]:
    """What pip-audit finds in the pinned versions.

    Raises:
        ConnectionError: it is not installed, or has no network.
    """
    program = shutil.which("pip-audit")
    if not program:
        raise ConnectionError("pip-audit is not installed")
    files = [word for path in requirements for word in ("--requirement", str(path))]
    options = ["--no-deps", "--disable-pip", "--format", "json", "--desc", "off", "--progress-spinner", "off"]
    try:
        done = subprocess.run([program, *options, *files], capture_output=True, text=True, check=False, timeout=SECONDS)
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        raise ConnectionError("pip-audit has no answer, perhaps for lack of a network") from None
    # Without the advisories of a package, pip-audit succeeds all the same.
    if skipped := [package["name"] for package in packages if "skip_reason" in package]:
        raise ConnectionError(f"pip-audit could not look up {len(skipped)} packages, such as {skipped[0]}")
    return [
        Finding(package["name"], package["version"], (found["id"], *found["aliases"]), tuple(found["fix_versions"]))
        for package in packages
        for found in package["vulns"]
    ]


def check_findings(findings: Sequence[Finding], entries: Sequence[dict[str, Any]]) -> list[str]:
    """The findings that are not among the known advisories, a line each."""
    known = {(entry["package"], entry["version"], entry["id"]) for entry in entries}
    return [
        f"{found.package} {found.version}: {', '.join(found.ids)}, "
        f"fixed in {' or '.join(found.fixed_in) or 'no version'}: run make lock, or add it to {ADVISORIES} with reasons"
        for found in findings
        if not any((found.package, found.version, name) in known for name in found.ids)
    ]


if __name__ == "__main__":
    main()
