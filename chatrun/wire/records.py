r"""Records of the `out` stream as they are kept: one line of JSON each.

A *data* record is a chunk, a JSON object: `{"type":"text-delta",...}`. A *control* record is a
JSON array of its subtype and its headers: `["turn-complete",{"session-in-event-id":"3"}]`. The
first byte tells which. A line never holds a raw line break, so a batch is its lines joined by
`\n`, and nothing is parsed on the way from the store to a reader. How a record looks to the
clients is `chatrun.wire.sse`'s matter (wire.md §5.2, §6.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

Line = bytes
"""One record as it is kept, without a line break."""

TURN_START: Final = "turn-start"
"""Ours: a turn begins. Clients skip subtypes they do not know. Holds `IN_EVENT_ID`."""
TURN_COMPLETE: Final = "turn-complete"
SESSION_CLOSED: Final = "session-closed"
KEEP_ALIVE: Final = "keep-alive"
"""Ours: shows that a silent turn is alive; no client shows it, each resets its timer."""

IN_EVENT_ID: Final = "session-in-event-id"
CLOSED: Final = "session-closed"
CLOSED_REASON: Final = "session-closed-reason"
OUTCOME: Final = "turn-outcome"
"""Ours, on turn-complete: finished, stopped, timed-out or failed."""


@dataclass(frozen=True, slots=True)
class Control:
    """A control record: what it says, and its headers."""

    subtype: str
    headers: Mapping[str, str]


def data_line(chunk: Mapping[str, object]) -> Line:
    """Return `chunk` as a line.

    Raises:
        TypeError: It holds what JSON cannot: lone surrogates, objects, numbers beyond 64 bits.
            NaN becomes null.
    """
    return orjson.dumps(chunk)


def control_line(subtype: str, headers: Mapping[str, str] | None = None) -> Line:
    """Return a control record as a line; header values are strings on the wire."""
    return orjson.dumps([subtype, dict(headers or {})])


def is_control(line: Line) -> bool:
    """Tell a control record from a data record."""
    return line.startswith(b"[")


def parse_control(line: Line) -> Control:
    """Return the control record that `line` holds; see `is_control`."""
    subtype, headers = orjson.loads(line)
    return Control(subtype, headers)


@dataclass(frozen=True, slots=True)
class OutBatch:
    """Records of one session's `out` stream that were committed together, in order."""

    first: int
    """The number of the first line."""
    at_ms: int
    """When they were committed, in Unix milliseconds."""
    lines: tuple[Line, ...]

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + len(self.lines) - 1

    def after(self, cursor: int) -> OutBatch | None:
        """Return what of it follows `cursor`, None when nothing does."""
        if cursor < self.first:
            return self
        skip = cursor + 1 - self.first
        if skip >= len(self.lines):
            return None
        return OutBatch(cursor + 1, self.at_ms, self.lines[skip:])


@dataclass(frozen=True, slots=True)
class InRecord:
    """One record of a session's `in` stream: the raw text that a client appended."""

    seq: int
    at_ms: int
    part_id: str
    body: str
