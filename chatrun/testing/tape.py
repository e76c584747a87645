"""A tape of one session's `out` stream: what was trimmed from the stream is still on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatrun.testing.waiting import WAIT_S, Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatrun.server.tails import Reader
    from chatrun.wire.ids import Cursor
    from chatrun.wire.records import Line


class Tape:
    """The records of a session's `out` stream since the tape began, which is behind `after`.

    `signal` tells of each that comes.
    """

    def __init__(self, signal: Signal, *, after: Cursor) -> None:
        self.cursor = after
        """The last record that is on it."""
        self._signal = signal
        self._lines: list[Line] = []

    @property
    def lines(self) -> Sequence[Line]:
        """What is on it, oldest first."""
        return self._lines

    async def record(self, reader: Reader) -> None:
        """Put on it whatever `reader`, which begins where the tape ends, gets; without end."""
        while True:
            for batch in await reader.read(wait_s=WAIT_S):
                self._lines += batch.lines
            self.cursor = reader.cursor
            self._signal.tell()

    async def line(self, place: int) -> Line:
        """Wait for the line at `place`, from 0, and return it.

        Raises:
            TimeoutError: It has not come within 20 seconds.
        """
        what = "another record on the out stream"
        await self._signal.until(lambda: place < len(self._lines), what=what)
        return self._lines[place]

    async def reach(self, cursor: int) -> None:
        """Wait until the record `cursor` is on it.

        Raises:
            TimeoutError: It has not come within 20 seconds.
        """
        await self._signal.until(lambda: self.cursor >= cursor, what=f"record {cursor}")
