"""The pages that people read, and what is in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *PROJECT.glob("*.md"),
        *(PROJECT / "docs").rglob("*.md"),
        PROJECT / "client/README.md",
        PROJECT / "training/README.md",
        PROJECT / "deploy/helm/audiocraft-triton/README.md",
        PROJECT / "audiocraft_triton/checkpoints/demo/MODEL_CARD.md",
    ]
)
NOT_RUN = "*Not run by our tests: "
"""What the paragraph above a command that no test runs begins with; it ends with the reason."""

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code.

    Attributes:
        language: such as "sh"; empty where none is given.
        text: what is between the fences.
        above: the last paragraph above it.
    """

    language: str
    text: str
    above: str


def name_of(page: Path) -> str:
    """The page's path in the repository."""
    return page.relative_to(PROJECT).as_posix()


def fences(page: Path) -> list[Fence]:
    """A page's blocks of code, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        above = text[: match.start()].rstrip().rpartition("\n\n")[2]
        found.append(Fence(match["language"], match["text"], above))
    return found


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may end in."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
