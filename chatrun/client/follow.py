"""The records of a session's `out` stream, from a cursor on, across every break.

That a connection ends does not mean that a turn has ended (features.md, rules 23 and 24): the
stream is opened anew behind the last record seen, which gives every record exactly once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

import aiohttp

from chatrun.errors import LinkBroken, StoreUnavailable
from chatrun.wire.ids import START
from chatrun.wire.sse_reader import EventReader, ServedRecord, read_batch

if TYPE_CHECKING:
    from chatrun.client.timing import Timing


class Dial(Protocol):
    """Opens the stream behind a cursor and returns the answer, whose status is 200."""

    async def __call__(self, *, after: int, peek: bool) -> aiohttp.ClientResponse:
        """Open it.

        Raises:
            LinkBroken: The server cannot be reached. Trying again is safe.
            StoreUnavailable: It cannot serve now. Trying again is safe.
            ChatrunError: Anything else: trying again is of no use.
        """
        ...


class Follower:
    """An async iterator of records that reconnects by itself.

    It ends only when the server says that nothing can be coming (`peek`); otherwise it goes on
    until it is closed. Leaving it stops nothing on the server.

    Iterating and `open` raise:
        LinkBroken: The server was away for too long, or kept ending the stream without a record.
        ChatrunError: The server refuses the stream.
    """

    def __init__(
        self, dial: Dial, *, timing: Timing, after: int = START, peek: bool = False
    ) -> None:
        """With `peek`, the stream ends at once when no turn is running or waiting."""
        self._dial = dial
        self._timing = timing
        self._peek = peek
        self._response: aiohttp.ClientResponse | None = None
        self._events = EventReader()
        self._ready: deque[ServedRecord] = deque()
        self._ends = 0
        self._patience_ends = 0.0
        self.cursor = after
        """The last record that was handed out."""
        self.settled = False
        """Whether the server said that nothing can be coming behind what it sends now."""

    async def open(self) -> None:
        """Connect, unless it is connected; `settled` is known then."""
        if self._response is not None:
            return
        self._response = await self._connect()
        self._events = EventReader()
        self.settled = self._response.headers.get("x-session-settled") == "true"
        self._be_patient()

    def __aiter__(self) -> Follower:
        return self

    async def __anext__(self) -> ServedRecord:
        while not self._ready:
            if self._response is None and self.settled:
                raise StopAsyncIteration
            await self.open()
            await self._read_on()
        record = self._ready.popleft()
        self.cursor = record.seq
        # Time that the caller takes is not the server's silence.
        self._be_patient()
        return record

    def put_back(self, record: ServedRecord) -> None:
        """Have `record`, the last one handed out, come first again."""
        self._ready.appendleft(record)
        self.cursor = record.seq - 1

    def close(self) -> None:
        """Disconnect. Closing twice is fine."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def _be_patient(self) -> None:
        self._patience_ends = asyncio.get_running_loop().time() + self._timing.stall_s

    async def _read_on(self) -> None:
        """Read what is there into `_ready`, or notice that the stream has ended."""
        assert self._response is not None
        try:
            async with asyncio.timeout_at(self._patience_ends):
                data = await self._response.content.readany()
        except TimeoutError:
            await self._reopen_later(f"it was silent for {self._timing.stall_s:g} s")
        except (aiohttp.ClientError, RuntimeError) as exc:  # the latter: "Connection closed."
            await self._reopen_later(str(exc) or type(exc).__name__)
        else:
            if data:
                self._take(data)
            else:
                await self._reopen_later("it ended before the turn did")

    def _take(self, data: bytes) -> None:
        last = self._ready[-1].seq if self._ready else self.cursor
        for event in self._events.feed(data):
            for record in read_batch(event.data) if event.event == "batch" else ():
                if record.seq > last:  # a replay after a reconnect
                    last = record.seq
                    self._ready.append(record)
                    self._ends = 0

    async def _reopen_later(self, why: str) -> None:
        self.close()
        if self.settled:
            return
        self._ends += 1
        if self._ends > self._timing.max_ends:
            raise LinkBroken(
                f"the answer's stream broke off {self._ends} times in a row without a record; "
                f"the last time {why}"
            )
        await asyncio.sleep(self._timing.wait_s(self._ends))

    async def _connect(self) -> aiohttp.ClientResponse:
        """Connect, trying again while the server is away."""
        clock = asyncio.get_running_loop().time
        gives_up = clock() + self._timing.away_s
        tries = 0
        while True:
            try:
                return await self._dial(after=self.cursor, peek=self._peek)
            except (LinkBroken, StoreUnavailable):
                tries += 1
                wait_s = self._timing.wait_s(tries)
                if clock() + wait_s > gives_up:
                    raise
            await asyncio.sleep(wait_s)
