"""make audit: the list of known advisories is complete, and what pip-audit finds besides is an error."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

from security.audit import ADVISORIES, FIELDS, check_entries, main
from security.locked import Locked, read_locked

REQUIREMENTS = sorted(ROOT.glob("requirements*.txt"))
ENTRIES = json.loads((ROOT / ADVISORIES).read_text(encoding="utf-8"))
ENTRY = dict.fromkeys(FIELDS, "text") | {"id": "CVE-2025-69872", "package": "diskcache", "version": "5.6.3"}
PACKAGE = {"name": "diskcache", "version": "5.6.3"}
VULNERABILITY = {"id": "PYSEC-2026-1", "aliases": ["CVE-2025-69872"], "fix_versions": []}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one pinned package and one known advisory, and no program but those that a test adds."""
    (tmp_path / "requirements.txt").write_text("# Pinned\ndiskcache==5.6.3\n")
    (tmp_path / ADVISORIES).parent.mkdir()
    (tmp_path / ADVISORIES).write_text(json.dumps([ENTRY]))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def add_pip_audit(project: Path, output: str) -> None:
    """A program that prints what pip-audit would print."""
    program = project / "bin" / "pip-audit"
    program.write_text(f"#!{sys.executable}\nprint({output!r})\n")
    program.chmod(0o755)


def answer(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": list(packages), "fixes": []})


def test_the_known_advisories_are_complete_and_about_pinned_versions() -> None:
    assert not check_entries(ENTRIES, REQUIREMENTS)
    ids = [entry["id"] for entry in ENTRIES]
    assert "CVE-2025-69872" in ids and len(ids) == len(set(ids))


def test_security_md_explains_each_known_advisory_and_no_other() -> None:
    section = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## Known vulnerabilities")[2]
    rows = "".join(re.findall(r"^\|.*\n", section, re.M))
    assert set(re.findall(r"CVE-\d+-\d+", rows)) == {entry["id"] for entry in ENTRIES}
    for entry in ENTRIES:
        assert f"{entry['package']} {entry['version']}" in rows


def test_a_new_version_of_a_listed_package_is_an_error(project: Path) -> None:
    (project / "requirements.txt").write_text("diskcache==5.7.0\n")
    with pytest.raises(SystemExit, match=r"about diskcache 5\.6\.3, but 5\.7\.0 is pinned; look up whether"):
        main([], project)
    (project / "requirements.txt").write_text("")
    with pytest.raises(SystemExit, match="but no version is pinned"):
        main([], project)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", ["", "  ", None])
def test_an_entry_without_a_reason_or_another_text_is_an_error(project: Path, field: str, value: str | None) -> None:
    entry = {name: text for name, text in (ENTRY | {field: value}).items() if text is not None}
    (project / ADVISORIES).write_text(json.dumps([entry]))
    with pytest.raises(SystemExit, match="expected a text for each of id, package, version, what, why_kept, what_is_"):
        main([], project)


def test_an_unknown_kind_of_id_is_an_error(project: Path) -> None:
    (project / ADVISORIES).write_text(json.dumps([ENTRY | {"id": "the one in diskcache"}]))
    with pytest.raises(SystemExit, match="expected an id such as CVE-2025-69872"):
        main([], project)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (None, "pip-audit is not installed"),
        ("", "pip-audit has no answer, perhaps for lack of a network"),
        (answer(PACKAGE | {"skip_reason": "not found"}), "pip-audit could not look up 1 packages, such as diskcache"),
    ],
)
def test_without_an_answer_the_audit_says_so_and_fails_only_if_it_has_to_ask(
    project: Path, output: str | None, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if output is not None:
        add_pip_audit(project, output)
    main([], project)
    assert f"not compared with the published advisories: {reason}\n" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=reason):
        main(["--online"], project)


def test_a_published_advisory_is_an_error_unless_it_is_known_for_this_version(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_pip_audit(project, answer(PACKAGE | {"vulns": [VULNERABILITY]}))
    main(["--online"], project)
    assert "pip-audit found 1 published advisories" in capsys.readouterr().out
    other = VULNERABILITY | {"id": "GHSA-aaaa-bbbb-cccc", "aliases": [], "fix_versions": ["6.0"]}
    add_pip_audit(project, answer(PACKAGE | {"vulns": [VULNERABILITY, other]}))
    with pytest.raises(SystemExit) as failure:
        main([], project)
    assert str(failure.value) == (
        "diskcache 5.6.3: GHSA-aaaa-bbbb-cccc, fixed in 6.0: run make lock, or add it to security/advisories.json "
        "with reasons"
    )


def test_pinned_packages_are_read_with_their_markers(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("# A comment\n\nnumpy==2.4.6 ; python_full_version < '3.12'\nzc-lockfile==4.0\n")
    assert read_locked(path) == [
        Locked("numpy", "2.4.6", "python_full_version < '3.12'"),
        Locked("zc-lockfile", "4.0", None),
    ]
    path.write_text("numpy>=2\n")
    with pytest.raises(ValueError, match=r"requirements\.txt: not a package with its version: numpy>=2"):
        read_locked(path)
