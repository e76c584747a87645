"""The HTTP server on a real port, over tasks that run on the same loop."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

from chatrun.server.app import make_app
from chatrun.server.listening import listen
from chatrun.server.site import SITE, ServerSettings
from chatrun.testing import serve_tasks
from chatrun.wire import tokens
from chatrun.wire.sse_reader import EventReader, read_batch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from aiohttp import web

    from chatrun.engine.task import ChatTask
    from chatrun.server.listening import Listening
    from chatrun.store.base import Store
    from chatrun.wire.sse_reader import Event, ServedRecord

SECRET = "the secret of the tests"
WAIT_S = 10.0


def user_message(text: str, message_id: str = "u1") -> dict[str, Any]:
    """Return what a person says, as a UI message."""
    return {"id": message_id, "role": "user", "parts": [{"type": "text", "text": text}]}


class Answer:
    """An answer that was read to its end."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Http:
    """A client of a served application."""

    def __init__(
        self, place: Listening, app: web.Application, session: aiohttp.ClientSession
    ) -> None:
        self.port = place.port
        self.url = f"http://127.0.0.1:{place.port}"
        self.site = app[SITE]
        self.live = self.site.live
        self.session = session

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = SECRET,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        """Make a request and return the answer to it."""
        sent = {**bearer(token), **(headers or {})}
        async with self.session.request(method, self.url + path, headers=sent, **options) as got:
            return Answer(got.status, got.headers, await got.read())

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        token: str | None = SECRET,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> AsyncIterator[Stream]:
        """Make a request and yield its stream of events; leaving closes the connection."""
        sent = {**bearer(token), **(headers or {})}
        async with self.session.request(method, self.url + path, headers=sent, **options) as got:
            try:
                yield Stream(got)
            finally:
                got.close()

    async def raw(self, data: bytes) -> bytes:
        """Send bytes on a connection of their own and return all that comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(WAIT_S):
                return await reader.read()
        finally:
            writer.close()

    async def create(self, task: str = "my-chat", chat: str = "c", **form: Any) -> Answer:
        """Create a session, or find it."""
        body = {
            "type": "chat.agent",
            "taskIdentifier": task,
            "externalId": chat,
            "triggerConfig": {"basePayload": {"chatId": chat, "trigger": "preload"}},
            **form,
        }
        return await self.call("POST", "/api/v1/sessions", json=body)

    async def say(self, text: str, *, chat: str = "c", message_id: str = "u1") -> int:
        """Append a message and return its number."""
        record = message_record(text, chat=chat, message_id=message_id)
        answer = await self.call("POST", f"/realtime/v1/sessions/{chat}/in/append", json=record)
        assert answer.status == 200, answer.body
        seq: int = answer.json["seq"]
        return seq


class Stream:
    """A stream of events as it comes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._reader = EventReader()
        self._events: list[Event] = []

    async def event(self) -> Event | None:
        """Wait for the next event; None at the end of the stream."""
        async with asyncio.timeout(WAIT_S):
            while not self._events:
                data = await self._response.content.readany()
                if not data:
                    return None
                self._events += self._reader.feed(data)
        return self._events.pop(0)

    async def events(self) -> list[Event]:
        """Wait for the end of the stream and return the rest of it."""
        found = []
        while (event := await self.event()) is not None:
            found.append(event)
        return found

    async def records(self, until: Callable[[ServedRecord], bool]) -> list[ServedRecord]:
        """Return the records up to the first for which `until` holds, with it."""
        found: list[ServedRecord] = []
        while not found or not until(found[-1]):
            event = await self.event()
            assert event is not None, f"the stream ended behind {found}"
            if event.event == "batch":
                found += read_batch(event.data)
        return found

    async def chunks(self) -> list[Any]:
        """Return the chunks of an AI SDK's stream up to its end, which must be orderly."""
        *events, done = await self.events()
        assert done.data == "[DONE]"
        return [json.loads(event.data) for event in events]


def bearer(token: str | None) -> dict[str, str]:
    """Return the header that presents `token`."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def task_token(task: str = "my-chat") -> str:
    """Return a token of a task."""
    return tokens.mint_task(SECRET, task)


def chat_token(chat: str = "c", *, read_only: bool = False) -> str:
    """Return a token of a session."""
    return tokens.mint_session(SECRET, chat, read_only=read_only)


def scoped(*scopes: str) -> str:
    """Return a token with these scopes."""
    return tokens.mint(SECRET, scopes, ttl_s=60)


def message_record(text: str, *, chat: str = "c", message_id: str = "u1") -> dict[str, Any]:
    """Return the `in` record of a message."""
    payload = {
        "message": user_message(text, message_id),
        "chatId": chat,
        "trigger": "submit-message",
    }
    return {"kind": "message", "payload": payload}


def ends_turn(record: ServedRecord) -> bool:
    """Tell whether a record completes a turn."""
    return record.control is not None and record.control.subtype == "turn-complete"


@asynccontextmanager
async def served(
    *tasks: ChatTask[Any], store: Store | None = None, **settings: Any
) -> AsyncIterator[Http]:
    """Serve `tasks` on a free port and yield a client."""
    async with serve_tasks(*tasks, store=store) as live:
        app = make_app(live, secret=SECRET, settings=ServerSettings(**settings))
        async with listen(app) as place, aiohttp.ClientSession() as session:
            yield Http(place, app, session)
