"""Generated blocks: only the text between the markers is replaced."""

from __future__ import annotations

import pytest

from contract_files import blocks

MARKDOWN = "# Title\n\n<!-- generated: rows -->\nold\n\nolder\n<!-- /generated -->\n\nThe rest.\n"
PYTHON = "class A:\n    # generated: fields\n    # /generated\n    b: int\n"


def test_a_block_is_replaced_and_the_rest_stays() -> None:
    filled = blocks.filled(MARKDOWN, {"rows": "new\nnewer"})
    assert filled == "# Title\n\n<!-- generated: rows -->\nnew\nnewer\n<!-- /generated -->\n\nThe rest.\n"


def test_lines_are_indented_like_the_block() -> None:
    filled = blocks.filled(PYTHON, {"fields": "# why\n\na: int"})
    assert filled == (
        "class A:\n    # generated: fields\n    # why\n\n    a: int\n    # /generated\n    b: int\n"
    )  # fmt: skip


def test_filling_twice_changes_nothing_more() -> None:
    once = blocks.filled(PYTHON, {"fields": "a: int"})
    assert blocks.filled(once, {"fields": "a: int"}) == once


def test_two_blocks_are_filled_separately() -> None:
    text = "# generated: one\n# /generated\nbetween\n# generated: two\n# /generated\n"
    assert blocks.names(text) == ["one", "two"]
    filled = blocks.filled(text, {"one": "1", "two": "2"})
    assert filled == "# generated: one\n1\n# /generated\nbetween\n# generated: two\n2\n# /generated\n"


def test_a_block_without_generated_text_is_an_error() -> None:
    with pytest.raises(KeyError, match="rows"):
        blocks.filled(MARKDOWN, {"other": ""})
