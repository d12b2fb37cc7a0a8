"""Links and pictures of the documentation lead somewhere, in the repository and on the site."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documentation import PAGES, PROJECT, anchors, fences, name_of, prose

EXTERNAL_HOSTS = {"github.com", "keepachangelog.com", "www.rfc-editor.org", "localhost:8080"}
"""Every site that the documentation points at. Nothing there is fetched."""
LONGEST_README = 200
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<(https?://[^>]+)>")


def links(page: Path) -> list[str]:
    """The targets of a page's links and pictures."""
    return [target or address for target, address in _LINK.findall(prose(page))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(PROJECT), link
        if anchor:
            assert anchor in anchors(target), link


def test_links_to_other_hosts_are_known() -> None:
    found = {link.split("/")[2] for page in PAGES for link in links(page) if "://" in link}
    assert found == EXTERNAL_HOSTS


def test_every_page_and_picture_is_linked() -> None:
    targets = {(page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in links(page)}
    files = {path for path in (PROJECT / "docs").rglob("*") if path.suffix in (".md", ".png", ".svg")}
    assert {name_of(path) for path in files - targets} == set()


def test_the_readme_is_short_and_has_one_picture_and_one_table_of_figures() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_README
    assert len(re.findall(r"!\[", text)) == 1
    assert len(re.findall(r"^\|.*× real time", text, re.MULTILINE)) == 1


def test_pictures_need_no_script() -> None:
    """Mermaid diagrams are drawn by a script that the site would load from another host."""
    assert [name_of(page) for page in PAGES for fence in fences(page) if fence.language == "mermaid"] == []
