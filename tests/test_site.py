"""The site of the documentation: built strictly, with every page, and readable without a network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from playwright.sync_api import Browser

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


def test_it_is_read_on_a_phone_without_a_network(site: Path, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    noise: list[str] = []
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else noise.append(request.url)
    )
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    for path in [site / "README.html", *sorted((site / "docs").glob("*.html"))]:
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name
        broken = "[...document.images].filter(one => one.loading !== 'lazy' && !one.naturalWidth).map(one => one.src)"
        assert page.evaluate(broken) == [], path.name
    page.goto(f"{(site / 'search.html').as_uri()}?q=oversampling")
    page.locator("#search-results li a", has_text="Architecture").first.wait_for(timeout=10_000)
    assert [line for line in noise if not line.startswith(("file:", "data:"))] == []
