"""The load client, in a process of its own: `python -m bench_lib.load`, told what to do on stdin.

It opens chats over raw sockets, each on a connection made beforehand, spreads their starts over
`ramp_s`, and finds in what it receives the tokens of the fake model, which say when they were sent.
It prints a line of JSON when the window in which everything counts opens, one when it closes, and
one with the results.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from bench_lib.faces import append_request, chat_request, follow_request, model_request
from bench_lib.tally import Chat, results

if TYPE_CHECKING:
    from collections.abc import Callable

Face = Literal["model", "chat", "session"]

_TOKEN = re.compile(rb"@(\d{15})")
_GROUP = re.compile(rb'"type":"data-worker","data":(\d+)')
_ENDS: dict[Face, bytes] = {
    "model": b"data: [DONE]",
    "chat": b"data: [DONE]",
    "session": b'"turn-complete"',
}
_LONGEST_MARK = 64


@dataclass(frozen=True, slots=True)
class Load:
    """What the client has to do."""

    url: str
    face: Face
    path: str
    """Of the request; with the session protocol, the task's name."""
    token: str
    model: str
    keys: tuple[str, ...]
    """The chats' ids, one for each chat."""
    tokens_each: int
    ramp_s: float = 0.0
    window_s: float = 0.0
    """How long everything counts, once all chats have had their first token; 0: all the time."""
    patience_s: float = 0.0
    """How long behind the ramp the window waits for these first tokens."""
    limit_s: float = 60.0

    def to_json(self) -> str:
        """Return it as a line."""
        return json.dumps(asdict(self))


def now_us() -> int:
    """Return the monotonic clock, in microseconds."""
    return time.monotonic_ns() // 1000


class Connection(asyncio.Protocol):
    """One connection, whose one reply is handed on."""

    def __init__(self, on_body: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self._on_body = on_body
        self._on_end = on_end
        self._head: bytes | None = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio calls this."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Check the head, hand on the body; asyncio calls this."""
        if self._head is not None:
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._head = None
            if b" 200 " not in head.partition(b"\r\n")[0]:
                self._on_end((head.partition(b"\r\n")[0] + b": " + data[:200]).decode())
                return
        self._on_body(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell so; asyncio calls this."""
        self._on_end(f"the connection was closed: {exc}")

    def send(self, data: bytes) -> None:
        """Send the request."""
        if self.transport is not None:
            self.transport.write(data)


class Client:
    """All chats of one load."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.chats = [Chat(key) for key in load.keys]
        self.over = asyncio.Event()
        self._left = len(self.chats)
        self._silent = len(self.chats)
        self._begun = asyncio.Event()
        self._end = _ENDS[load.face]
        self._starts: list[Callable[[], None]] = []
        self._connections: list[Connection] = []

    async def run(self) -> dict[str, Any]:
        """Run all chats to their end and return what was measured."""
        await self._connect()
        gc.freeze()
        gc.disable()  # a collection would age the tokens of every chat
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, start in enumerate(self._starts):
            loop.call_at(began + self.load.ramp_s * number / len(self._starts), start)
        opened_us, closed_us = await self._window(began)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.load.limit_s):
                await self.over.wait()
        for connection in self._connections:
            if connection.transport is not None:
                connection.transport.abort()
        return results(self.chats, self.load.tokens_each, opened_us, closed_us)

    async def _window(self, began: float) -> tuple[int, int]:
        """Wait for the window to open and close; return when it did."""
        if not self.load.window_s:
            return 0, sys.maxsize
        latest = began + self.load.ramp_s + self.load.patience_s
        with suppress(TimeoutError):
            async with asyncio.timeout_at(latest):
                await self._begun.wait()
        opened_us = self._mark("open")
        await asyncio.sleep(self.load.window_s)
        return opened_us, self._mark("close")

    def _mark(self, name: str) -> int:
        at_us = now_us()
        tokens = sum(chat.tokens for chat in self.chats)
        print(json.dumps({"mark": name, "tokens": tokens, "at_us": at_us}), flush=True)
        return at_us

    # --- one chat ---------------------------------------------------------------------------

    async def _connect(self) -> None:
        for chat in self.chats:
            if self.load.face == "session":
                self._starts.append(await self._session_start(chat))
            else:
                self._starts.append(await self._plain_start(chat))

    async def _plain_start(self, chat: Chat) -> Callable[[], None]:
        connection = await self._open(self._reader(chat), self._ender(chat))
        make = model_request if self.load.face == "model" else chat_request
        load = self.load
        request = make(load.path, model=load.model, key=chat.key, token=load.token)

        def start() -> None:
            chat.asked_us = now_us()
            connection.send(request)

        return start

    async def _session_start(self, chat: Chat) -> Callable[[], None]:
        """As the published transport does: append, then follow from the cursor."""
        load = self.load
        following = await self._open(self._reader(chat), self._ender(chat))
        request = follow_request(chat.key, token=load.token)
        requests = [request]
        appending = await self._open(
            lambda _body: following.send(requests.pop()) if requests else None, self._ender(chat)
        )
        record = append_request(chat.key, text=load.model, token=load.token)

        def start() -> None:
            chat.asked_us = now_us()
            appending.send(record)

        return start

    async def _open(
        self, on_body: Callable[[bytes], None], on_end: Callable[[str], None]
    ) -> Connection:
        place = urlsplit(self.load.url)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(on_body, on_end), place.hostname or "", place.port or 80
        )
        self._connections.append(connection)
        return connection

    def _reader(self, chat: Chat) -> Callable[[bytes], None]:
        """Return what takes in a chat's bytes; it is called for every piece that arrives."""
        rest, end, done = b"", self._end, self._done

        def read(data: bytes) -> None:
            nonlocal rest
            at_us = now_us()
            # Counted by themselves: the frames of a chunked body may cut a token's digits in two.
            chat.tokens += data.count(b"@")
            data = rest + data
            seen = 0
            for found in _TOKEN.finditer(data):
                chat.ages.append((at_us, at_us - int(found[1])))
                seen = found.end()
            if not chat.first_us and (group := _GROUP.search(data)):
                chat.group = group[1].decode()
            if seen:
                chat.last_us = at_us
                if not chat.first_us:
                    chat.first_us = at_us
                    self._first_token()
            if end in data:
                done(chat, "")
            rest = data[max(seen, len(data) - _LONGEST_MARK) :]

        return read

    def _first_token(self) -> None:
        self._silent -= 1
        if not self._silent:
            self._begun.set()

    def _ender(self, chat: Chat) -> Callable[[str], None]:
        return lambda error: self._done(chat, error)

    def _done(self, chat: Chat, error: str) -> None:
        if chat.is_over:
            return
        chat.is_over, chat.error = True, error
        self._left -= 1
        if not self._left:
            self.over.set()


async def main() -> None:
    """Do what one line of JSON on standard input says."""
    told = json.loads(sys.stdin.read())
    load = Load(**{**told, "keys": tuple(told["keys"])})
    print(json.dumps(await Client(load).run()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
