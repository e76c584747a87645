"""What a task says cannot steer the terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrun.cli.chat.safe import SafeText, safe_line, safe_text

PAYLOADS = {
    "clear screen": ("a\x1b[2Jb", "ab"),
    "colour": ("a\x1b[1;31mred\x1b[0mb", "aredb"),
    "clipboard": ("a\x1b]52;c;aGk=\x07b", "ab"),
    "clipboard, string terminator": ("a\x1b]52;c;aGk=\x1b\\b", "ab"),
    "hyperlink": ("a\x1b]8;;http://evil.test\x1b\\good\x1b]8;;\x1b\\b", "agoodb"),
    "window title": ("a\x1b]0;title\x07b", "ab"),
    "device control": ("a\x1bP1$r0m\x1b\\b", "ab"),
    "privacy message": ("a\x1b^secret\x1b\\b", "ab"),
    "application command": ("a\x1b_Gf=100;AAAA\x1b\\b", "ab"),
    "start of string": ("a\x1bXnothing\x1b\\b", "ab"),
    "one-byte control sequence": ("a\x9b2Jb", "ab"),
    "one-byte system command": ("a\x9d52;c;aGk=\x9cb", "ab"),
    "one-byte device control": ("a\x90q#0\x9cb", "ab"),
    "character set": ("a\x1b(0b", "ab"),
    "full reset": ("a\x1bcb", "ab"),
    "carriage return": ("safe\rrm -rf", "saferm -rf"),
    "backspace": ("abc\x08\x08x", "abcx"),
    "bell": ("a\x07b", "ab"),
    "delete": ("a\x7fb", "ab"),
    "reading order": ("a\u202etxt.exe\u2066b\u200f\u061c", "atxt.exeb"),
    "unfinished command ends with its line": ("a\x1b]52;c;never\nnext", "a\nnext"),
    "unfinished sequence ends with its line": ("a\x1b[12\nnext", "a\nnext"),
    "sequence inside a sequence": ("a\x1b[1\x1b[2Jb", "ab"),
    "escape inside an escape": ("a\x1b\x1b[2Jb", "ab"),
    "cancelled sequence": ("a\x1b[1\x18b", "ab"),
    "sequence broken off by other text": ("a\x1b[1é", "aé"),
    "lone surrogate": ("a\ud800b", "a\ufffdb"),
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_what_a_terminal_would_act_on_is_dropped(payload: tuple[str, str]) -> None:
    text, shown = payload

    assert safe_text(text) == shown


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_sequence_cut_in_two_by_chunks_is_dropped_all_the_same(payload: tuple[str, str]) -> None:
    text, shown = payload
    for cut in range(len(text) + 1):
        safe = SafeText()

        assert safe.feed(text[:cut]) + safe.feed(text[cut:]) == shown


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "two\nlines\tand a tab",
        "Grüße, 世界, 👩‍👩‍👧, שלום",
        "`code` **bold** [link](http://a)",
    ],
)
def test_text_passes_unchanged(text: str) -> None:
    assert safe_text(text) == text


@given(st.lists(st.text(st.characters(), max_size=30)))
def test_nothing_that_controls_ever_comes_out(pieces: list[str]) -> None:
    safe = SafeText()

    shown = "".join(safe.feed(piece) for piece in pieces)

    assert [c for c in shown if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t"] == []
    assert not set(shown) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e")
    assert shown == safe_text("".join(pieces))


@given(st.text(st.sampled_from("\x1b\x9b\x9d\x90\x9c[]P(\\;0m52\x07\x18\nab\u202e"), max_size=24))
def test_cutting_a_hostile_text_anywhere_changes_nothing(text: str) -> None:
    whole = safe_text(text)

    for cut in range(len(text) + 1):
        safe = SafeText()
        assert safe.feed(text[:cut]) + safe.feed(text[cut:]) == whole
    assert "\x1b" not in whole


def test_a_text_shown_as_one_line_has_no_breaks() -> None:
    assert safe_line(" a\n\tb\x1b[2J\r\nc ") == "a b c"
