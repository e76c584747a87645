"""Markdown that streams in, cut into blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrun.cli.chat.markdown_blocks import MarkdownBlocks


def blocks_of(*pieces: str) -> list[str]:
    """Return the blocks that come out, the rest at the end among them."""
    blocks = MarkdownBlocks()
    done = [block for piece in pieces for block in blocks.feed(piece)]
    return [*done, *filter(None, [blocks.finish()])]


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("one\ntwo\n\nthree", ["one\ntwo", "three"]),
        ("one\n\n\n\ntwo\n", ["one", "two"]),
        ("\n\none", ["one"]),
        ("# Title\n\ntext", ["# Title", "text"]),
        ("```\na\n\nb\n```\n\nafter", ["```\na\n\nb\n```", "after"]),
        ("~~~~\na\n\n~~~\n\nb\n~~~~\n\nafter", ["~~~~\na\n\n~~~\n\nb\n~~~~", "after"]),
        ("```py\nnever closed\n\nb", ["```py\nnever closed\n\nb"]),
        ("- a\n\n  still a\n\n- b\n\nafter", ["- a\n\n  still a", "- b", "after"]),
        (
            "1. a\n\n   ```\n   x\n\n   y\n   ```\n\nb",
            ["1. a\n\n   ```\n   x\n\n   y\n   ```", "b"],
        ),
        ("para\n\n    code", ["para", "    code"]),
        ("| a |\n|---|\n| b |\n\nafter", ["| a |\n|---|\n| b |", "after"]),
        ("", []),
        ("\n\n", []),
    ],
)
def test_a_block_ends_where_nothing_can_change_it_any_more(text: str, blocks: list[str]) -> None:
    assert blocks_of(text) == blocks


@given(st.text(st.sampled_from("a-`~ \n1.#|"), max_size=40), st.data())
def test_where_chunks_are_cut_changes_nothing(text: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(text)))

    assert blocks_of(text[:cut], text[cut:]) == blocks_of(text)
    assert blocks_of(*text) == blocks_of(text)


@given(st.text(st.sampled_from("ab-`~ \n"), max_size=60))
def test_nothing_is_lost_but_empty_lines(text: str) -> None:
    lines = [line for line in text.split("\n") if line.strip()]

    shown = [line for block in blocks_of(text) for line in block.split("\n") if line.strip()]

    assert shown == lines


def test_a_block_is_there_before_the_text_ends() -> None:
    blocks = MarkdownBlocks()

    assert blocks.feed("one\n\n") == []
    assert blocks.rest == "one"
    assert blocks.feed("t") == ["one"]
    assert blocks.rest == "t"


def test_the_end_of_long_code_keeps_its_fence() -> None:
    blocks = MarkdownBlocks()
    blocks.feed("```py\n" + "".join(f"line {number}\n" for number in range(50)))

    assert blocks.tail(3) == "```py\nline 48\nline 49\n"
    assert blocks.tail(100) == blocks.rest
