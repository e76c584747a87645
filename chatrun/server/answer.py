"""The one turn on `out` that answers a record of `in`, found among all the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chatrun.wire.records import (
    IN_EVENT_ID,
    SESSION_CLOSED,
    TURN_COMPLETE,
    TURN_START,
    is_control,
    parse_control,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.server.tails import Reader
    from chatrun.wire.records import Control, Line

ANY_TURN: Final = -1
"""Instead of a record's number: the first turn that begins behind the cursor."""


class Answer:
    """Reads `out` and keeps what belongs to the turn that answers record `seq` of `in`."""

    def __init__(self, reader: Reader, seq: int) -> None:
        self._reader = reader
        self._seq = seq
        self.has_begun = False
        """Whether the turn has started."""
        self.is_over = False
        """Whether the turn is complete, or will never come: the record was merged into another
        turn, or the session was closed."""

    async def read(self, *, wait_s: float) -> list[Line]:
        """Return the chunks that came next, as lines; none after `wait_s` seconds without any.

        None either when what came belongs to other turns, or when the turn `is_over`.
        """
        lines = [
            line
            for batch in await self._reader.read(wait_s=wait_s)
            for line in batch.lines
            if self._take(line)
        ]
        return lines

    def _take(self, line: Line) -> bool:
        """Take note of one record; tell whether it is a chunk of the turn."""
        if not is_control(line):
            return self.has_begun and not self.is_over
        control = parse_control(line)
        if control.subtype == TURN_START:
            self.has_begun = self.has_begun or self._is_ours(control.headers)
        elif control.subtype == SESSION_CLOSED:
            self.is_over = True
        elif control.subtype == TURN_COMPLETE:
            self.is_over = self.is_over or self._is_answered(control)
        return False

    def _is_ours(self, headers: Mapping[str, str]) -> bool:
        return self._seq == ANY_TURN or _number(headers) == self._seq

    def _is_answered(self, control: Control) -> bool:
        return self.has_begun or (self._seq != ANY_TURN and _number(control.headers) >= self._seq)


def _number(headers: Mapping[str, str]) -> int:
    text = headers.get(IN_EVENT_ID, "")
    return int(text) if text.isdecimal() else -1
