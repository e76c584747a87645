"""A server of the session protocol that misbehaves exactly as a test says."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STREAM_HEADERS = {"content-type": "text/event-stream", "x-stream-version": "v2"}


def chunk(seq: int, kind: str = "text-delta", **fields: Any) -> dict[str, Any]:
    """Return a data record as it is served."""
    body = {"data": {"type": kind, **fields}, "id": f"r{seq}"}
    return {"seq_num": seq, "timestamp": 0, "body": json.dumps(body), "headers": []}


def control(seq: int, subtype: str, **headers: str) -> dict[str, Any]:
    """Return a control record as it is served; `_` in names of headers stands for `-`."""
    pairs = [["trigger-control", subtype]]
    pairs += [[name.replace("_", "-"), value] for name, value in headers.items()]
    return {"seq_num": seq, "timestamp": 0, "body": "", "headers": pairs}


def text_turn(first: int, text: str, *, answers: int) -> list[dict[str, Any]]:
    """Return a whole turn that says `text` and answers the `in` record of this number."""
    records = [
        control(first, "turn-start", session_in_event_id=str(answers)),
        chunk(first + 1, "start", messageId=f"m{first}"),
        chunk(first + 2, "text-start", id="t"),
        chunk(first + 3, "text-delta", id="t", delta=text),
        chunk(first + 4, "text-end", id="t"),
        chunk(first + 5, "finish"),
        control(first + 6, "turn-complete", session_in_event_id=str(answers)),
    ]
    return records


@dataclass
class Connection:
    """What one connection to `out` gets."""

    records: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    settled: bool = False
    stays: bool = False
    """Whether it is held open, silent, after its records."""
    breaks: bool = False
    """Whether it is cut off in the middle of an event."""


class ScriptedServer:
    """What it answers is set by its lists; what it was asked is in its logs."""

    def __init__(self) -> None:
        self.url = ""
        self.connections: deque[Connection] = deque()
        """One for each connection to `out`; the last one is for all that follow."""
        self.append_statuses: deque[int] = deque()
        """One for each append; 200 when there is none left."""
        self.start_status = 200
        self.appended: list[tuple[str, dict[str, Any]]] = []
        """Part id and record of every append that was answered with 200."""
        self.tries: list[tuple[str, str]] = []
        """Part id and bearer of every append."""
        self.opened: list[dict[str, str]] = []
        """The headers of every connection to `out`."""
        self.started: list[dict[str, Any]] = []
        self.transcript: dict[str, Any] = {"messages": []}
        self.release = asyncio.Event()
        """Ends connections that stay."""

    async def start_session(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.started.append(body)
        if self.start_status != 200:
            return web.json_response({"error": "no"}, status=self.start_status)
        return web.json_response({"id": "session_1", "publicAccessToken": "fresh"})

    async def append(self, request: web.Request) -> web.Response:
        part_id = request.headers["x-part-id"]
        self.tries.append((part_id, request.headers["authorization"].removeprefix("Bearer ")))
        status = self.append_statuses.popleft() if self.append_statuses else 200
        if status != 200:
            body = (
                {"error": "closed", "code": "session_closed"} if status == 409 else {"error": "x"}
            )
            return web.json_response(body, status=status)
        known = [known for known, _ in self.appended]
        if part_id not in known:
            self.appended.append((part_id, json.loads(await request.text())))
            known.append(part_id)
        return web.json_response({"ok": True, "seq": known.index(part_id)})

    async def out(self, request: web.Request) -> web.StreamResponse:
        self.opened.append({name.lower(): value for name, value in request.headers.items()})
        script = self.connections[0]
        if len(self.connections) > 1:
            self.connections.popleft()
        if script.status != 200:
            return web.json_response({"error": "x"}, status=script.status)
        settled = {"x-session-settled": "true"} if script.settled else {}
        response = web.StreamResponse(headers={**STREAM_HEADERS, **settled})
        await response.prepare(request)
        after = int(request.headers.get("last-event-id", "-1"))
        for record in script.records:
            if record["seq_num"] > after:
                await response.write(_batch([record]))
        if script.breaks:
            await response.write(b'event: batch\ndata: {"rec')
            assert request.transport is not None
            request.transport.abort()
        if script.stays:
            await self.release.wait()
        return response

    async def read_records(self, request: web.Request) -> web.Response:
        seen = self.appended if request.match_info["channel"] == "in" else self.connections
        return web.json_response({"records": [{} for _ in seen]})

    async def read_transcript(self, _request: web.Request) -> web.Response:
        return web.json_response(self.transcript)


def _batch(records: list[dict[str, Any]]) -> bytes:
    return f"event: batch\ndata: {json.dumps({'records': records})}\n\n".encode()


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    """Run one on a free port."""
    server = ScriptedServer()
    app = web.Application()
    app.router.add_post("/api/v1/sessions", server.start_session)
    app.router.add_get("/api/v1/sessions/{ref}/transcript", server.read_transcript)
    app.router.add_post("/realtime/v1/sessions/{ref}/in/append", server.append)
    app.router.add_get("/realtime/v1/sessions/{ref}/out", server.out)
    app.router.add_get("/realtime/v1/sessions/{ref}/{channel}/records", server.read_records)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        server.release.set()
        await runner.cleanup()
