"""Marked blocks: the part of a file that is generated, between two comments, in a file that is otherwise hand-written.

In Python and config.pbtxt `# generated: NAME` … `# /generated`; in Markdown the same in `<!-- … -->`.
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
    """The blocks of a file, in order."""
    return [found["name"] for found in _BLOCK.finditer(text)]


def filled(text: str, contents: Mapping[str, str]) -> str:
    """The text with every marked block replaced.

    Args:
        contents: what belongs into each block, by name; lines are indented as the block's first comment is.
    Raises:
        KeyError: the text has a block that nothing is generated for.
    """

    def fill(found: re.Match[str]) -> str:
        indent = found["indent"]
        lines = [f"{indent}{line}" if line else "" for line in contents[found["name"]].split("\n")]
        return "\n".join([f"{indent}{found['begin']}", *lines, found["end"]])

    return _BLOCK.sub(fill, text)
