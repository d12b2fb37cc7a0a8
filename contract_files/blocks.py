"""Marked blocks: generated parts, each between two comments, of files that are otherwise written by hand.

The comments are `# generated: NAME` … `# /generated` in Python and config.pbtxt, and `<!-- … -->` in Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_BLOCK = re.compile(
    r"^(?P<indent>[ ]*)(?P<begin>(?:#|<!--) generated: (?P<name>\w+)(?: -->)?)\n"
    r"(?:.*\n)*?"
    r"(?P<end>[ ]*(?:#|<!--) /generated(?: -->)?)$",
    re.MULTILINE,
)


def names(text: str) -> list[str]:
    """Returns the names of a file's blocks, in order."""
    return [found["name"] for found in _BLOCK.finditer(text)]


def filled(text: str, contents: Mapping[str, str]) -> str:
    """Returns the text with every marked block replaced.

    Args:
        contents: the content of each block by name; its lines are indented like the block's first comment.
    Raises:
        KeyError: the text has a block without a content.
    """

    def fill(found: re.Match[str]) -> str:
        indent = found["indent"]
        lines = [f"{indent}{line}" if line else "" for line in contents[found["name"]].split("\n")]
        return "\n".join([f"{indent}{found['begin']}", *lines, found["end"]])

    return _BLOCK.sub(fill, text)
