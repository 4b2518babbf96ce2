"""The site of the documentation: built strictly, with every page, and readable without a network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as by `make site`: a broken link, a page without a place in the contents and any warning fail it."""
    folder = tmp_path_factory.mktemp("site")
    (command,) = re.findall(r"^\tsphinx-build (.*) build/site$", (ROOT / "Makefile").read_text(), re.M)
    words = [sys.executable, "-m", "sphinx", *command.split(), folder / "html", "--doctree-dir", folder / "doctrees"]
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder / "html"


def test_it_has_every_page(site: Path) -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    assert not [page for page in pages if not (site / page.relative_to(ROOT).with_suffix(".html")).exists()]
    assert "README.html" in (site / "index.html").read_text(encoding="utf-8")


def test_nothing_in_it_is_loaded_from_elsewhere(site: Path) -> None:
    loads = r'<(?:script|img|iframe)\b[^>]*\bsrc="([^"]+)"|<link\b[^>]*\bhref="([^"]+)"|url\(["\']?([^)"\']+)'
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        for groups in re.findall(loads, path.read_text(encoding="utf-8")):
            assert not re.match(r"(https?:)?//", "".join(groups)), path
