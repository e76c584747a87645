"""A response that events are written to as they come, to one reader who may be slow or gone."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from chatrun.server.site import Site


class EventStream:
    """An open response."""

    def __init__(self, response: web.StreamResponse, transport: asyncio.Transport) -> None:
        self.response = response
        self._transport = transport

    async def write(self, data: bytes) -> None:
        """Send `data`; a reader that takes nothing for too long is disconnected.

        Raises:
            ConnectionError: The reader is gone.
        """
        await self.response.write(data)

    def abort(self) -> None:
        """Cut the connection, so that the reader cannot take the answer for complete."""
        self._transport.abort()


@asynccontextmanager
async def open_stream(
    site: Site, request: web.Request, headers: Mapping[str, str]
) -> AsyncIterator[EventStream]:
    """Send the headers and yield the stream.

    The handler is cancelled when the reader goes away or the server shuts down; anything that
    it raises cuts the connection.

    Raises:
        ConnectionError: The reader is gone.
    """
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the reader has gone")
    response = web.StreamResponse(headers=headers)
    task = asyncio.current_task()
    assert task is not None
    site.streams.add(task)
    try:
        await response.prepare(request)
        yield EventStream(response, transport)
    except BaseException:
        transport.abort()
        raise
    finally:
        site.streams.discard(task)
