"""Reading request bodies: bounded in size and time, and of one form only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from chatrun.errors import InvalidInput, TooLarge
from chatrun.server.errors import HttpRefused

if TYPE_CHECKING:
    from chatrun.server.site import ServerSettings


async def read_body(request: web.Request, *, limit_bytes: int, settings: ServerSettings) -> bytes:
    """Return the body, empty where there is none.

    Raises:
        TooLarge: It has more than `limit_bytes`.
        HttpRefused: It is compressed or not declared as JSON (415), or takes too long (408).
        InvalidInput: The client sent it in a broken form.
    """
    size = request.content_length
    if size is not None and size > limit_bytes:
        raise _too_large(limit_bytes, size)
    if not request.can_read_body:
        return b""
    _check_form(request)
    try:
        async with asyncio.timeout(settings.body_limit_s):
            return await _collect(request, limit_bytes)
    except TimeoutError:
        raise HttpRefused(408, "the request body took too long") from None
    except web.RequestPayloadError:
        raise InvalidInput("the request body is broken") from None


def _check_form(request: web.Request) -> None:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        # A small compressed body can hold a huge one, which would stall every other request.
        raise HttpRefused(415, "send the request body without compression")
    # A page of somebody else's may send other types without asking for leave first.
    if request.content_type != "application/json":
        raise HttpRefused(415, "send the request body with content-type: application/json")


async def _collect(request: web.Request, limit_bytes: int) -> bytes:
    found = bytearray()
    async for piece in request.content.iter_any():
        found += piece
        if len(found) > limit_bytes:
            raise _too_large(limit_bytes, len(found))
    return bytes(found)


def _too_large(limit_bytes: int, size_bytes: int) -> TooLarge:
    return TooLarge(
        f"the request body has more than {limit_bytes} bytes",
        limit_bytes=limit_bytes,
        size_bytes=size_bytes,
    )
