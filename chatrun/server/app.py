"""The server's routes, and the aiohttp application of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aiohttp import web

from chatrun.server import appends, meta, sessions, streams, ui_stream
from chatrun.server.auth import (
    admin_on_session,
    any_token,
    everybody,
    on_channel,
    on_session,
    secret_only,
)
from chatrun.server.door import add_headers, guard
from chatrun.server.errors import answer_errors
from chatrun.server.origins import AllowedPlaces
from chatrun.server.page import Page
from chatrun.server.routes import Route, append_body, request_body
from chatrun.server.site import SITE, ServerSettings, Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatrun.server.live import Live

_SESSION: Final = "/api/v1/sessions/{session}"
_CHANNELS: Final = "/realtime/v1/sessions/{session}"

# Trigger.dev's session protocol.
_SESSION_ROUTES: Final = (
    Route("POST", "/api/v1/sessions", sessions.create, any_token, request_body, to_its_end=True),
    Route("GET", "/api/v1/sessions", sessions.list_all, any_token),
    Route("GET", _SESSION, sessions.retrieve, on_session("read")),
    Route("PATCH", _SESSION, sessions.update, on_session("admin"), request_body, to_its_end=True),
    Route("POST", f"{_SESSION}/close", sessions.close, on_session("admin"), to_its_end=True),
    Route("GET", f"{_SESSION}/transcript", sessions.transcript, admin_on_session),
    Route("POST", "/api/v1/auth/jwt/claims", meta.claims, secret_only),
    Route("POST", "/api/v1/auth/public-tokens", meta.public_token, secret_only),
)

_CHANNEL_ROUTES: Final = (
    Route(
        "POST",
        f"{_CHANNELS}/in/append",
        appends.append_in,
        on_channel("write", opens=True),
        append_body,
        to_its_end=True,
    ),
    Route("GET", f"{_CHANNELS}/in", streams.follow_in, on_channel("read")),
    Route("GET", f"{_CHANNELS}/in/records", streams.in_records, on_channel("read")),
    Route("GET", f"{_CHANNELS}/out", streams.follow_out, on_channel("read")),
    Route("GET", f"{_CHANNELS}/out/records", streams.out_records, on_channel("read")),
    Route("PUT", f"{_CHANNELS}/out", appends.begin_out, admin_on_session),
    Route(
        "POST",
        f"{_CHANNELS}/out/append",
        appends.append_out,
        admin_on_session,
        append_body,
        to_its_end=True,
    ),
)

# The AI SDK's UI message stream. A post minds itself what happens when its client leaves.
_CHAT_ROUTES: Final = (
    Route("POST", "/api/chat/{task}", ui_stream.post_chunks, any_token, request_body),
    Route("GET", "/api/chat/{task}/{chat_id}/stream", ui_stream.resume_chunks, any_token),
    Route("POST", "/api/chat/{task}/{chat_id}/stop", ui_stream.stop, any_token, to_its_end=True),
    Route("POST", "/api/text/{task}", ui_stream.post_text, any_token, request_body),
    Route("GET", "/api/text/{task}/{chat_id}/stream", ui_stream.resume_text, any_token),
    Route("POST", "/api/text/{task}/{chat_id}/stop", ui_stream.stop, any_token, to_its_end=True),
)


def routes(page: Page) -> tuple[Route, ...]:
    """Return every route there is, each with who may call it."""
    own = (
        Route("GET", "/healthz", meta.health, everybody),
        Route("HEAD", "/healthz", meta.health, everybody),
        Route("GET", "/api/v1/tasks", meta.tasks, any_token),
        Route("GET", "/", page.index, everybody),
        Route("HEAD", "/", page.index, everybody),
        Route("GET", "/console/{file}", page.file, everybody),
    )
    return (*_SESSION_ROUTES, *_CHANNEL_ROUTES, *_CHAT_ROUTES, *own)


def make_app(
    live: Live,
    *,
    secret: str,
    settings: ServerSettings | None = None,
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """Return the application; `chatrun.server.listening.listen` serves it.

    Raises:
        SecretMissing: The secret is empty.
    """
    settings = settings if settings is not None else ServerSettings()
    places = AllowedPlaces.of(settings.allowed_hosts, settings.allowed_origins)
    app = web.Application(middlewares=[answer_errors, guard(places)])
    site = Site(live, secret=secret, settings=settings, clock=clock)
    app[SITE] = site
    for route in routes(Page.load()):
        app.router.add_route(route.method, route.path, route.handler())
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(_cut_streams)
    return app


async def _cut_streams(app: web.Application) -> None:
    # aiohttp would wait for them, twice as long as it is told to.
    app[SITE].cut_streams()
