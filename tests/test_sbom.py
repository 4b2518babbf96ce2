"""make sbom: a CycloneDX document of all pinned packages, the same bytes each time."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

from security.sbom import SBOM, main

PINNED = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def written(project: Path) -> dict[str, Any]:
    main(project)
    document: dict[str, Any] = json.loads((project / SBOM).read_text(encoding="utf-8"))
    return document


def test_the_document_has_the_shape_of_cyclonedx(project: Path) -> None:
    document = written(project)
    assert set(document) == {"bomFormat", "specVersion", "serialNumber", "version", "metadata", "components"}
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", document["serialNumber"])
    project_itself = document["metadata"]["component"]
    assert project_itself["type"] == "application" and project_itself["name"] == "purchase-prediction"
    assert project_itself["licenses"] == [{"license": {"id": "MIT"}}]
    for component in document["components"]:
        assert set(component) - {"properties"} == {"type", "bom-ref", "name", "version", "purl"}
        assert component["type"] == "library"
        for entry in component.get("properties", []):
            assert set(entry) == {"name", "value"}
    references = [component["bom-ref"] for component in (project_itself, *document["components"])]
    assert len(references) == len(set(references))


def test_every_pinned_package_is_in_it_and_no_other(project: Path) -> None:
    components = written(project)["components"]
    assert len(PINNED) > 100
    assert [(component["name"], component["version"]) for component in components] == PINNED
    assert [component["purl"] for component in components] == [f"pkg:pypi/{name}@{version}" for name, version in PINNED]
    two_versions = [component for component in components if component["name"] == "numpy"]
    assert [component["properties"][0]["value"] for component in two_versions] == [
        "python_full_version < '3.12'",
        "python_full_version >= '3.12'",
    ]


def test_the_same_packages_give_the_same_bytes_and_others_another_serial_number(project: Path) -> None:
    before = written(project)
    content = (project / SBOM).read_bytes()
    assert written(project) == before and (project / SBOM).read_bytes() == content
    requirements = project / "requirements.txt"
    requirements.write_text(requirements.read_text().replace("diskcache==5.6.3", "diskcache==5.6.4+fixed"))
    after = written(project)
    assert after["serialNumber"] != before["serialNumber"]
    assert "pkg:pypi/diskcache@5.6.4%2Bfixed" in {component["purl"] for component in after["components"]}


def test_git_ignores_the_file_that_make_writes() -> None:
    command = ["make", "--no-print-directory", "--dry-run", "sbom"]
    dry_run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert dry_run.stdout.strip().endswith(" -m security.sbom")
    assert f"/{SBOM}" in (ROOT / ".gitignore").read_text().splitlines()
