"""Live tails: what was just committed to a session's `out` stream, for readers that wait.

A reader is a cursor and no queue, so one that never reads costs nothing: what it needs is taken
from a short ring of recent batches, or from the store when it has fallen behind the ring.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from chatrun.wire.ids import Cursor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatrun.store.base import Store
    from chatrun.wire.records import OutBatch

RING_BYTES = 64 * 1024
"""How much a session's ring holds; older batches are read from the store."""


class Tail:
    """The end of one session's `out` stream."""

    def __init__(self) -> None:
        self._ring: deque[OutBatch] = deque()
        self._size = 0
        self._waiters: list[asyncio.Future[None]] = []
        self.last = -1
        """The number of the last record that was pushed, -1 before the first."""

    def push(self, batch: OutBatch) -> None:
        """Add what was committed, in order, and wake every reader that waits."""
        if not batch.lines:
            return
        self._ring.append(batch)
        self._size += sum(map(len, batch.lines))
        while self._size > RING_BYTES and len(self._ring) > 1:
            self._size -= sum(map(len, self._ring.popleft().lines))
        self.last = batch.last
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def after(self, cursor: int) -> list[OutBatch] | None:
        """Return what follows `cursor`; None when the ring does not reach back that far."""
        if not self._ring or cursor + 1 < self._ring[0].first:
            return None
        found: list[OutBatch] = []
        for batch in reversed(self._ring):
            rest = batch.after(cursor)
            if rest is None:
                break
            found.append(rest)
        found.reverse()
        return found

    async def wait(self, *, beyond: int, wait_s: float) -> bool:
        """Wait until a record behind `beyond` is pushed; False after `wait_s` seconds."""
        if self.last > beyond:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        timer = asyncio.get_running_loop().call_later(wait_s, waiter.cancel)
        try:
            await waiter
        except asyncio.CancelledError:
            # The timer cancels only the future; a caller being cancelled is told by its task.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return False
        finally:
            timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return True


class Reader:
    """One reader of one session's `out` stream."""

    def __init__(self, store: Store, session_id: str, tail: Tail, *, after: Cursor) -> None:
        self._store = store
        self._session_id = session_id
        self._tail = tail
        self.cursor = after
        """The last record that was read."""

    async def read(self, *, wait_s: float) -> Sequence[OutBatch]:
        """Return what follows the cursor, and move it behind that.

        An empty answer is held back until a record arrives or `wait_s` seconds have passed; it
        is still empty then.
        """
        batches = await self._next()
        if not batches and wait_s > 0 and await self._tail.wait(beyond=self.cursor, wait_s=wait_s):
            batches = await self._next()
        if batches:
            self.cursor = Cursor(batches[-1].last)
        return batches

    async def _next(self) -> Sequence[OutBatch]:
        recent = self._tail.after(self.cursor)
        if recent is not None:
            return recent
        return await self._store.read_out(self._session_id, after=self.cursor)
