"""Routes and what goes with each: who may call it, how large a body it takes, who answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from chatrun.server.auth import NOBODY, Entry, authenticate, everybody
from chatrun.server.bodies import read_body
from chatrun.server.site import SITE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

    from chatrun.server.auth import Policy
    from chatrun.server.site import ServerSettings, Site
    from chatrun.store.base import Session
    from chatrun.wire.tokens import Grant


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has passed the door."""

    request: web.Request
    site: Site
    grant: Grant
    body: bytes
    found_session: Session | None
    """The session that the path names, None where it names none."""

    @property
    def session(self) -> Session:
        """The session that the path names, of a route whose policy finds it."""
        assert self.found_session is not None
        return self.found_session

    def path(self, name: str) -> str:
        """Return a part of the path, decoded."""
        return self.request.match_info[name]


BodyLimit = Callable[["ServerSettings"], int]


def no_body(_settings: ServerSettings) -> int:
    """Take a small body that nobody looks at: some clients send an empty object."""
    return 64 * 1024


def request_body(settings: ServerSettings) -> int:
    """Take a body of any request but an append."""
    return settings.max_request_bytes


def append_body(settings: ServerSettings) -> int:
    """Take a record."""
    return settings.max_append_bytes


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    answer: Callable[[Call], Coroutine[Any, Any, web.StreamResponse]]
    policy: Policy
    body: BodyLimit = no_body
    to_its_end: bool = False
    """Whether it is answered to its end also when the client leaves meanwhile, which cancels the
    handler: what changes something must not be left half done."""

    def handler(self) -> Handler:
        """Return the aiohttp handler, which does what comes before the answer, in this order.

        Who asks (401), the body (408, 413, 415), the session and the scope (403, 404).
        """

        async def handle(request: web.Request) -> web.StreamResponse:
            site = request.app[SITE]
            grant = NOBODY if self.policy is everybody else authenticate(request, site)
            limit = self.body(site.settings)
            body = await read_body(request, limit_bytes=limit, settings=site.settings)
            ref = request.match_info.get("session", "")
            session = await self.policy(Entry(site, grant, ref))
            answering = self.answer(Call(request, site, grant, body, session))
            if self.to_its_end:
                return await asyncio.shield(site.spawn(answering))
            return await answering

        return handle


def json_response(value: Mapping[str, object], *, status: int = 200) -> web.Response:
    """Return `value` as an answer."""
    return json_bytes(orjson.dumps(dict(value)), status=status)


def json_bytes(body: bytes, *, status: int = 200) -> web.Response:
    """Return ready JSON as an answer."""
    return web.Response(status=status, body=body, content_type="application/json")
