"""Keeps what a task says from steering the terminal.

An answer may hold anything: escape sequences that rewrite the screen, set the clipboard (OSC 52),
hide a link's target (OSC 8), or turn the reading order round. What passes here is text, line
breaks and tabs. A sequence is recognised also when chunks cut it in two. Sequences: ECMA-48 and
xterm's "control sequences"; bidirectional controls: Unicode UAX #9.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

_BIDI: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Surrogates cannot be printed at all; a stream that JSON carried may hold lone ones.
_SUSPECT: Final = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}\ud800-\udfff]")

_STRING_OPENERS: Final = frozenset("]PX^_")
"""After an escape: OSC, DCS, SOS, PM, APC. What follows is not text until a terminator."""
_STRING_OPENERS_C1: Final = frozenset("\x9d\x90\x98\x9e\x9f")
_CANCEL: Final = frozenset("\x18\x1a")


class _State(Enum):
    TEXT = auto()
    ESCAPE = auto()
    """Behind an ESC: the next character tells what it opens."""
    SEQUENCE = auto()
    """In a control sequence, up to its final letter."""
    STRING = auto()
    """In an operating system command or the like, up to its terminator."""


class SafeText:
    """Lets text through piece by piece and drops everything that a terminal would act on.

    Of one stream, feed every piece to the same object: `feed(a) + feed(b) == feed(a + b)`. A
    sequence that never ends swallows its line at most.
    """

    def __init__(self) -> None:
        self._state = _State.TEXT

    def feed(self, piece: str) -> str:
        """Return what of `piece` may be shown."""
        if self._state is _State.TEXT and not _SUSPECT.search(piece):
            return piece
        return "".join(map(self._step, piece))

    def _step(self, char: str) -> str:
        if char == "\n":
            self._state = _State.TEXT
            return char
        if self._state is _State.TEXT or self._breaks_off(char):
            return self._text(char)
        if self._state is _State.ESCAPE:
            self._state = _behind_escape(char)
        elif (self._state is _State.SEQUENCE and "@" <= char <= "~") or (
            self._state is _State.STRING and char in "\x07\x9c"
        ):
            self._state = _State.TEXT
        return ""

    def _breaks_off(self, char: str) -> bool:
        """Tell whether `char` ends an unfinished sequence and is to be read as text."""
        if char == "\x1b" or char in _CANCEL:
            return True
        return self._state is not _State.STRING and char > "\x7e"

    def _text(self, char: str) -> str:
        self._state = _opened_by(char)
        if not _SUSPECT.match(char):
            return char
        return "\ufffd" if "\ud800" <= char <= "\udfff" else ""


def _opened_by(char: str) -> _State:
    if char == "\x1b":
        return _State.ESCAPE
    if char == "\x9b":
        return _State.SEQUENCE
    return _State.STRING if char in _STRING_OPENERS_C1 else _State.TEXT


def _behind_escape(char: str) -> _State:
    if char == "[":
        return _State.SEQUENCE
    if char in _STRING_OPENERS:
        return _State.STRING
    # Intermediate characters, as in `ESC ( B`: the sequence goes on.
    return _State.ESCAPE if " " <= char <= "/" else _State.TEXT


def safe_text(text: str) -> str:
    """Return what of a whole text may be shown."""
    return SafeText().feed(text)


def safe_line(text: str) -> str:
    """Return `text` as one line that may be shown: breaks and tabs become spaces."""
    return " ".join(safe_text(text).split())
