"""A server that speaks the wires of Anthropic and OpenAI, faithfully, faults included.

    async with fake_provider() as provider:
        client = anthropic.AsyncAnthropic(api_key="k", base_url=provider.base_url)
        ...
        await provider.disconnected()

The model's name chooses the scenario (`provider_scenarios`): `ok`, `thinking`, `tools`, `hang`,
`tcp-cut`, `retry-429`, `paced-200x20ms` and so on. It also runs as a process of its own:
`python -m tests.support.provider --port 9999`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.provider_scenarios import (
    Scenario,
    error_body,
    last_text,
    scenario_for,
)
from tests.support.provider_wires import Wire, wire_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

WAIT_S = 30.0
"""How long tests wait: the first use of a provider's package imports it, which takes seconds."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation, under whichever name this wire sends it."""
        messages = self.body.get("messages", self.body.get("input", []))
        if isinstance(messages, str):
            return [{"role": "user", "content": messages}]
        return list(messages)

    def tools(self) -> list[str]:
        """Return the names of the tools that the request offers."""
        tools = self.body.get("tools") or []
        return [tool.get("name") or tool["function"]["name"] for tool in tools]

    def last_user_text(self) -> str:
        """Return what the user said last."""
        said = [m["content"] for m in self.messages if m.get("role") == "user"]
        return last_text(said[-1]) if said else ""

    def results(self) -> list[str]:
        """Return the tool results that follow the last thing the assistant or user said."""
        found: list[str] = []
        for message in reversed(self.messages):
            if message.get("role") == "tool":
                found.append(last_text(message["content"]))
            elif message.get("type") == "function_call_output":
                found.append(last_text(message["output"]))
            else:
                return _tool_results(message) if not found else found[::-1]
        return found[::-1]


def _tool_results(message: dict[str, Any]) -> list[str]:
    content = message.get("content")
    if not isinstance(content, list):
        return []
    blocks = [block for block in content if block.get("type") == "tool_result"]
    return [last_text(block.get("content", "")) for block in blocks]


@dataclass(slots=True)
class Exchange:
    """One answer in the making: what a scenario writes to."""

    seen: Seen
    wire: Wire
    attempt: int
    """How many requests this model has had, this one included."""
    writer: asyncio.StreamWriter
    rewrite: Callable[[bytes], list[bytes]] = lambda frame: [frame]
    """How bytes are cut up before they are sent."""
    begun: bool = False
    chunked: bool = False
    spoken: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once bytes of the body have been sent."""

    async def _begin(self, line: str, *headers: str) -> None:
        self.begun = True
        self.writer.write("\r\n".join([f"HTTP/1.1 {line}", *headers, "", ""]).encode())
        await self.writer.drain()

    async def send(self, data: bytes) -> None:
        """Send bytes of the body, behind the headers."""
        if not self.begun:
            self.chunked = True
            await self._begin(
                "200 OK",
                "content-type: text/event-stream; charset=utf-8",
                "transfer-encoding: chunked",
                "request-id: req_1",
            )
        for piece in self.rewrite(data) if data else []:
            self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await self.writer.drain()
        self.spoken.set()

    async def refuse(self, code: int, message: str | None = None) -> None:
        """Answer with an HTTP error instead; a retry may follow after 20 ms."""
        text = message or f"the fake provider says {code}"
        await self.reply(error_body(code, text, anthropic=self.wire.name == "anthropic"), code=code)

    async def reply(self, body: object, *, code: int = 200, kind: str = "application/json") -> None:
        """Answer with a whole body, JSON unless it is text."""
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        length = f"content-length: {len(data)}"
        await self._begin(f"{code} Status", f"content-type: {kind}", length, "retry-after-ms: 20")
        self.writer.write(data)

    async def gone(self) -> None:
        """Wait until the client has gone; the scenario is cancelled then."""
        await asyncio.Event().wait()

    def cut(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()


@dataclass(slots=True)
class FakeProvider:
    """The running server: where it is, what it was asked, what it noticed."""

    base_url: str = ""
    """The root, as the Anthropic client wants it."""
    requests: list[Seen] = field(default_factory=list)
    open_answers: int = 0
    """Answers that are being written at this moment."""
    connections: int = 0
    """How many connections there have been."""
    _scenarios: dict[str, Scenario] = field(default_factory=dict)
    _attempts: Counter[str] = field(default_factory=Counter)
    _arrived: asyncio.Queue[Seen] = field(default_factory=asyncio.Queue)
    _last_spoken: asyncio.Event = field(default_factory=asyncio.Event)
    _departed: asyncio.Queue[Seen] = field(default_factory=asyncio.Queue)
    _writers: dict[asyncio.StreamWriter, asyncio.Task[Any]] = field(default_factory=dict)

    @property
    def openai_url(self) -> str:
        """The base URL as the OpenAI client wants it."""
        return f"{self.base_url}/v1"

    def on(self, model: str, scenario: Scenario) -> None:
        """Answer requests for `model` with a scenario of the test's own."""
        self._scenarios[model] = scenario

    async def requested(self) -> Seen:
        """Return the next request that has not been asked for, waiting for it."""
        async with asyncio.timeout(WAIT_S):
            return await self._arrived.get()

    async def spoken(self) -> None:
        """Wait until the answer that was begun last has said something."""
        async with asyncio.timeout(WAIT_S):
            await self._last_spoken.wait()

    async def disconnected(self) -> Seen:
        """Return the next request whose client left before its answer was complete, waiting."""
        async with asyncio.timeout(WAIT_S):
            return await self._departed.get()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until either side closes it."""
        task = asyncio.current_task()
        assert task is not None
        self._writers[writer] = task
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                carried: bytes | None = b""
                while carried is not None:
                    carried = await self._answer(reader, writer, carried)
        finally:
            writer.close()
            del self._writers[writer]

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, carried: bytes
    ) -> bytes | None:
        """Answer one request; return the bytes read of the next one, None at the end."""
        seen = await _read_request(reader, carried)
        model = str(seen.body.get("model"))
        wire = wire_of(seen.path, model)
        scenario = self._scenarios.get(model) or scenario_for(model)
        self._attempts[model] += 1
        self.requests.append(seen)
        exchange = Exchange(seen, wire, self._attempts[model], writer)
        self._last_spoken = exchange.spoken
        self._arrived.put_nowait(seen)
        if scenario is None:
            await exchange.refuse(404, f"no such model: {model}")
            return b""
        return await self._play(scenario, exchange, reader)

    async def _play(
        self, scenario: Scenario, exchange: Exchange, reader: asyncio.StreamReader
    ) -> bytes | None:
        """Run the scenario, and end it the moment the client closes the connection."""
        self.open_answers += 1
        playing = asyncio.ensure_future(scenario(exchange))
        watching = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({playing, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done() and _left(watching):
                self._departed.put_nowait(exchange.seen)
                return None
            await playing
            if exchange.writer.transport.is_closing():
                return None
            return await self._finish(exchange, watching)
        except ConnectionError:
            self._departed.put_nowait(exchange.seen)
            return None
        finally:
            self.open_answers -= 1
            playing.cancel()
            watching.cancel()
            await asyncio.gather(playing, watching, return_exceptions=True)

    async def _finish(self, exchange: Exchange, watching: asyncio.Future[bytes]) -> bytes | None:
        if exchange.chunked:
            exchange.writer.write(b"0\r\n\r\n")
        await exchange.writer.drain()
        return await watching or None

    async def close(self) -> None:
        """Close every connection and wait until its handler has ended."""
        tasks = list(self._writers.values())
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)


def _left(watching: asyncio.Future[bytes]) -> bool:
    return watching.done() and (watching.exception() is not None or not watching.result())


async def _read_request(reader: asyncio.StreamReader, carried: bytes) -> Seen:
    """Return the next request of a connection; `carried` was read of it already."""
    head = (carried + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (s.partition(":") for s in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(first.split(" ")[1], headers, json.loads(body or b"{}"))


@asynccontextmanager
async def fake_provider(*, port: int = 0) -> AsyncIterator[FakeProvider]:
    """Serve on loopback for as long as the context is open."""
    provider = FakeProvider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", port, backlog=1024)
    provider.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        server.close()
        await provider.close()


async def _main(port: int) -> None:
    async with fake_provider(port=port) as provider:
        sys.stdout.write(f"{provider.base_url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the fake provider; prints its URL.")
    parser.add_argument("--port", type=int, default=0)
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(parser.parse_args().port))
