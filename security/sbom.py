"""Write sbom.cdx.json, the packages of requirements.txt in the format CycloneDX: make sbom.

It has no time stamp, and its serial number follows from what is in it: the same packages give the same bytes.
"""

import json
import tomllib
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

from security.locked import Locked, read_locked

SBOM = Path("sbom.cdx.json")


def main(folder: Path = Path()) -> None:
    document = sbom(folder)
    (folder / SBOM).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"{len(document['components'])} packages, written to {SBOM}")


def sbom(folder: Path) -> dict[str, Any]:
    """The document for the requirements.txt and the pyproject.toml in `folder`."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    content = {
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": project["name"],
                "name": project["name"],
                "version": project["version"],
                "description": project["description"],
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": [component(package) for package in read_locked(folder / "requirements.txt")],
    }
    serial_number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial_number}", **content}


def component(package: Locked) -> dict[str, Any]:
    """A package, under the name by which scanners find its advisories."""
    purl = f"pkg:pypi/{package.name}@{quote(package.version)}"
    described = {"type": "library", "bom-ref": purl, "name": package.name, "version": package.version, "purl": purl}
    if package.marker is None:
        return described
    return described | {"properties": [{"name": "environment marker", "value": package.marker}]}


if __name__ == "__main__":
    main()
