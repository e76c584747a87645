"""Markdown that streams in, cut into blocks that can be shown for good."""

from __future__ import annotations

import re
from typing import Final

_FENCE: Final = re.compile(r" {0,12}(`{3,}|~{3,})")
_LIST: Final = re.compile(r"\s{0,3}(?:[-*+]|\d{1,9}[.)])\s")


class MarkdownBlocks:
    """Takes text piece by piece; gives out each block once nothing can change it any more.

    A block ends at an empty line, unless that stands in fenced code, or in a list that goes on
    indented behind it.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        """The whole lines of the block that is not over."""
        self._begun = ""
        """The line that is not over."""
        self._fence = ""
        """What closes the code that is open, empty where none is."""

    @property
    def rest(self) -> str:
        """The block that is not over."""
        return "\n".join([*self._lines, self._begun]).strip("\n")

    def tail(self, lines: int) -> str:
        """Return the end of `rest`, of at least so many lines; code keeps its opening fence."""
        held = [*self._lines, self._begun]
        if len(held) <= lines:
            return self.rest
        opening = [line for line in held[:-lines] if self._fence and _FENCE.match(line)][-1:]
        return "\n".join([*opening, *held[-lines:]])

    def feed(self, piece: str) -> list[str]:
        """Take more text and return the blocks that are over now."""
        *lines, self._begun = (self._begun + piece).split("\n")
        done = [block for line in lines if (block := self._take(line))]
        if self._begun and self._is_over(self._begun):
            done.append(self._cut())
        return done

    def finish(self) -> str:
        """Return what is left; nothing follows."""
        rest = self.rest
        self._lines, self._begun, self._fence = [], "", ""
        return rest

    def _take(self, line: str) -> str:
        """Take a whole line; return the block that it shows to be over, if any."""
        over = self._cut() if self._is_over(line) else ""
        self._lines.append(line)
        self._note_fence(line)
        return over

    def _is_over(self, line: str) -> bool:
        """Tell whether the held block is over, now that `line` follows it."""
        held = self._lines
        if self._fence or not line.strip() or not held or held[-1].strip():
            return False
        first = next((item for item in held if item.strip()), "")
        goes_on = line.startswith(("  ", "\t")) and _LIST.match(first)
        return bool(first) and not goes_on

    def _cut(self) -> str:
        block, self._lines = "\n".join(self._lines).strip("\n"), []
        return block

    def _note_fence(self, line: str) -> None:
        match = _FENCE.match(line)
        if match is None:
            return
        if not self._fence:
            self._fence = match[1]
        elif match[1].startswith(self._fence) and not line.strip().strip(self._fence[0]):
            self._fence = ""
