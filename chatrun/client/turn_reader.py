"""Which records of a session answer what was sent (features.md, rule 20).

A session is one stream for all its turns. Whoever appended record S reads from where it stood
before, meets the end of earlier turns, and must end on its own turn's end and no other. Pure
bookkeeping: no I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatrun.wire.records import (
    CLOSED,
    CLOSED_REASON,
    IN_EVENT_ID,
    OUTCOME,
    SESSION_CLOSED,
    TURN_COMPLETE,
    TURN_START,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.wire.records import Control
    from chatrun.wire.sse_reader import ServedRecord

_INJECTED = "data-pending-message-injected"
_STEERED = "steering-message"
"""Chunks that say that a running turn has taken up messages; the second one names one (v7)."""


class TurnReader:
    """Follows the records of one answer."""

    def __init__(
        self, *, seq: int | None = None, message_id: str | None = None, inside: bool = False
    ) -> None:
        """Wait for the turn of the `in` record `seq`, or for any turn when that is not known.

        `message_id` is the message in that record: a running turn may take it up. `inside` says
        that the first record to come belongs to a turn that was being read before.
        """
        self.seq = seq
        """The number of the record that is answered, as far as it is known."""
        self._message_id = message_id
        self._is_mine = not inside
        self.is_over = False
        """Whether the answer is complete, or none will come any more."""
        self.outcome: str | None = None
        """How the turn ended, as the server says: finished, stopped, timed-out or failed."""
        self.is_closed = False
        """Whether the session was closed."""
        self.closed_reason: str | None = None

    def take(self, record: ServedRecord) -> bool:
        """Take the next record; tell whether it is a chunk of the answer."""
        if record.chunk is not None:
            self._is_mine = self._is_mine or self._injects(record.chunk)
            return self._is_mine
        if record.control is not None:
            self._take_control(record.control)
        return False

    def _take_control(self, control: Control) -> None:
        if control.subtype == TURN_START:
            self._is_mine = self._reaches(control)
        elif control.subtype == TURN_COMPLETE:
            self._end_turn(control)
        elif control.subtype == SESSION_CLOSED:
            self._close(control)

    def _end_turn(self, control: Control) -> None:
        if control.headers.get(CLOSED) == "true":
            self._close(control)
        if self._reaches(control):
            self.is_over = True
            self.outcome = control.headers.get(OUTCOME)
        # What follows an earlier turn is ours unless a turn-start says that it is not.
        self._is_mine = True

    def _close(self, control: Control) -> None:
        self.is_over = self.is_closed = True
        self.closed_reason = control.headers.get(CLOSED_REASON)

    def _reaches(self, control: Control) -> bool:
        """Tell whether a turn-start or turn-complete is that of our record, or of a later one."""
        number = control.headers.get(IN_EVENT_ID, "")
        return self.seq is None or not number.isdecimal() or int(number) >= self.seq

    def _injects(self, chunk: Mapping[str, object]) -> bool:
        return self._message_id is not None and self._message_id in taken_up(chunk)


def taken_up(chunk: Mapping[str, object]) -> list[str]:
    """Return the ids of the messages that, as `chunk` says, the running turn has taken up."""
    kind = chunk.get("type")
    if kind == _STEERED:
        return [str(chunk.get("id"))]
    data = chunk.get("data") if kind == _INJECTED else None
    ids = data.get("messageIds") if isinstance(data, dict) else None
    return [str(item) for item in ids] if isinstance(ids, list) else []
