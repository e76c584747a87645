"""Sessions as commands see them: those of a running server, else those in the project's store."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol, cast

from chatrun.cli.servers import find_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from chatrun.client.transport import Transport
    from chatrun.client.wire_types import SessionJson
    from chatrun.messages.types import UIMessage
    from chatrun.store.base import Session, Store


class Ledger(Protocol):
    """Where sessions can be looked at and closed; a session is named by either of its ids.

    Methods that name one raise `SessionNotFound`.
    """

    async def sessions(self, *, task: str | None, limit: int) -> Sequence[SessionJson]:
        """Return the newest sessions, newest first."""
        ...

    async def session(self, ref: str) -> SessionJson:
        """Return one."""
        ...

    async def transcript(self, ref: str) -> Sequence[UIMessage]:
        """Return what was said in one, oldest first."""
        ...

    async def close(self, ref: str, *, reason: str | None) -> SessionJson:
        """Close one for good."""
        ...


@asynccontextmanager
async def open_ledger(folder: Path, *, url: str | None, token: str | None) -> AsyncIterator[Ledger]:
    """Yield the sessions of the server that runs, else of the store that the settings name.

    Raises:
        StoreLocked: A server that does not answer has the store.
    """
    server = await find_server(folder, url=url, token=token)
    if server is not None:
        async with server.transport() as transport:
            yield _Served(transport)
        return
    from chatrun.config import load_settings
    from chatrun.dev.compose import open_store

    async with open_store(load_settings(folder)) as store:
        yield _Stored(store)


class _Served:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def sessions(self, *, task: str | None, limit: int) -> Sequence[SessionJson]:
        return await self._transport.sessions(task=task, limit=limit)

    async def session(self, ref: str) -> SessionJson:
        return await self._transport.session(ref)

    async def transcript(self, ref: str) -> Sequence[UIMessage]:
        return (await self._transport.transcript(ref))["messages"]

    async def close(self, ref: str, *, reason: str | None) -> SessionJson:
        return await self._transport.close_session(ref, reason=reason)


class _Stored:
    """Nothing runs while these are looked at: the store is this process's alone."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def sessions(self, *, task: str | None, limit: int) -> Sequence[SessionJson]:
        from chatrun.store.base import SessionQuery

        query = SessionQuery(limit=limit, task_ids=(task,) if task else ())
        return [_json(session) for session in (await self._store.list_sessions(query)).sessions]

    async def session(self, ref: str) -> SessionJson:
        return _json(await self._store.session(ref))

    async def transcript(self, ref: str) -> Sequence[UIMessage]:
        session = await self._store.session(ref)
        page = await self._store.read_transcript(session.id)
        return [json.loads(message) for message in page.messages]

    async def close(self, ref: str, *, reason: str | None) -> SessionJson:
        session = await self._store.session(ref)
        return _json(await self._store.close_session(session.id, reason=reason))


def _json(session: Session) -> SessionJson:
    from chatrun.server.sessions import session_json

    return cast("SessionJson", session_json(session))
