"""The links of the pages: every file and every heading that is linked exists, and the README leads to every page."""

import re
from functools import cache
from pathlib import Path

import pytest
from helpers import ROOT

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *DOCS, *sorted((ROOT / ".github").rglob("*.md"))]
MAX_README_LINES = 150
# [text](target), with an image as the text too; [name]: target; <img src="target">
LINKS = re.compile(r'\]\(([^()\s]+)\)|^\[[^\]]+\]: (\S+)|src="([^"]+)"', re.M)


def text_of(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def links(page: Path) -> list[str]:
    return ["".join(groups) for groups in LINKS.findall(text_of(page))]


@cache
def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and GitLab give to headings."""
    headings = re.findall(r"^#+ (.*)", text_of(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_broken(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    path = (page.parent / name).resolve() if name else page
    return not path.exists() or (bool(anchor) and anchor not in anchors(path))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    relative = [link for link in links(page) if not link.startswith(("https://", "http://", "mailto:"))]
    assert not [link for link in relative if is_broken(page, link)]
    assert not [link for link in links(page) if link.startswith("http://")]


def test_links_and_anchors_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# How to add …\n## `make` it, now!\n[a](b.md) [![c](d.svg)](e.md#f) [g][h]\n[h]: i.md\n"
        '<img src="j.png" width="1">\n```bash\n# no heading [k](l.md)\n```\n'
    )
    assert links(page) == ["b.md", "d.svg", "e.md#f", "i.md", "j.png"]
    assert anchors(page) == {"how-to-add-", "make-it-now"}
    assert not is_broken(page, "#how-to-add-")
    assert is_broken(page, "#how-to-add") and is_broken(page, "b.md")


def test_the_readme_is_short_and_links_every_page() -> None:
    readme = ROOT / "README.md"
    assert len(readme.read_text(encoding="utf-8").splitlines()) <= MAX_README_LINES
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(readme)}
    assert not {*DOCS, *ROOT.glob("*.md")} - linked - {readme}
