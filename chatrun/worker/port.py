"""A run's port to its session over the link: it batches writes and bounds the backlog."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chatrun.store.base import OutWrite
from chatrun.worker.protocol import Write

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatrun.errors import StoreError
    from chatrun.wire.records import Line

MAX_BACKLOG_BYTES = 256 * 1024
"""How much of a run may be on its way to the disk before its writer has to wait."""


class LinkPort:
    """The `RunPort` of a run in a worker.

    Lines written within one pass of the loop travel as one message. The server acknowledges what
    is durable now and then, and every commit.
    """

    def __init__(self, run: int, send: Callable[[Write], None]) -> None:
        self._run = run
        self._send = send
        self._lines: list[Line] = []
        self._scheduled = False
        self._backlog = 0
        self._room = asyncio.Event()
        self._room.set()
        self._waiting: asyncio.Future[int] | None = None
        self._lost: StoreError | None = None

    # --- the run's side ---------------------------------------------------------------------

    def append(self, line: Line) -> None:
        """Hand over one record; see `RunPort`."""
        if self._lost is not None:
            raise self._lost
        self._backlog += len(line)
        if self._backlog > MAX_BACKLOG_BYTES:
            self._room.clear()
        self._lines.append(line)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def write(self, write: OutWrite) -> None:
        """Hand over `write`; see `RunPort`."""
        self._check()
        self._flush()
        self._backlog += sum(map(len, write.lines))
        self._send(Write(self._run, write))

    async def ready(self) -> None:
        """Wait for room; see `RunPort`."""
        if self._lost is not None or not self._room.is_set():
            self._check()
            await self._room.wait()
            self._check()

    async def commit(self, write: OutWrite) -> int:
        """Write and wait; see `RunPort`."""
        self._check()
        lines, self._lines = self._lines, []
        whole = OutWrite(
            lines=(*lines, *write.lines),
            changes=write.changes,
            in_cursor=write.in_cursor,
            state=write.state,
            ends_turn=write.ends_turn,
        )
        self._waiting = asyncio.get_running_loop().create_future()
        self._send(Write(self._run, whole, waits=True))
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def _check(self) -> None:
        if self._lost is not None:
            raise self._lost

    def _flush(self) -> None:
        self._scheduled = False
        if self._lines and self._lost is None:
            lines, self._lines = self._lines, []
            self._send(Write(self._run, OutWrite(lines=tuple(lines))))

    # --- the server's side ------------------------------------------------------------------

    def acknowledged(self, size: int) -> None:
        """Take note that `size` bytes more are durable."""
        self._backlog -= size
        if self._backlog <= MAX_BACKLOG_BYTES:
            self._room.set()

    def committed(self, last: int) -> None:
        """Take note that all that was written is durable, up to record `last`."""
        self._backlog = 0
        self._room.set()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(last)

    def lost(self, error: StoreError) -> None:
        """Take note that the run has lost its session: every call raises `error` from now on."""
        self._lost = error
        self._room.set()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
