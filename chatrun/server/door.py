"""What every request and every answer passes, whatever its route: Host, Origin, CORS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from chatrun.errors import OriginRefused
from chatrun.server.errors import HttpRefused

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from chatrun.server.origins import AllowedPlaces

_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_PREFLIGHT_AGE_S: Final = 600


def guard(places: AllowedPlaces) -> Middleware:
    """Return the middleware that refuses requests from other places and answers preflights."""

    @web.middleware
    async def check_place(request: web.Request, handler: Handler) -> web.StreamResponse:
        check_host(request, places)
        check_origin(request, places)
        if request.method == hdrs.METH_OPTIONS:
            return preflight(request)
        return await handler(request)

    return check_place


def check_host(request: web.Request, places: AllowedPlaces) -> None:
    """Refuse a request that does not name this server.

    Raises:
        HttpRefused: 421: the `Host`, or the target where that is a whole URL, is not allowed.
    """
    hosts = request.headers.getall(hdrs.HOST, [])
    # The target's own authority is only looked at when Host can be: aiohttp makes it of that.
    if (
        len(hosts) != 1
        or not places.allow_host(hosts[0])
        or not places.allow_host(request.url.raw_authority)
    ):
        raise HttpRefused(421, "this Host is not allowed: set allowed_hosts to allow it")


def check_origin(request: web.Request, places: AllowedPlaces) -> None:
    """Refuse a request that a page of somebody else's sends.

    Raises:
        OriginRefused: The `Origin` is not allowed; requests from outside browsers have none.
    """
    origins = request.headers.getall(hdrs.ORIGIN, [])
    if not origins:
        return
    host = request.headers[hdrs.HOST]
    if len(origins) != 1 or not places.allow_origin(origins[0], host=host):
        raise OriginRefused("this Origin is not allowed: set allowed_origins to allow it")


def preflight(request: web.Request) -> web.Response:
    """Answer what a browser asks before a request: whatever it wants to send, it may."""
    response = web.Response(status=204)
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = _METHODS
    response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(_PREFLIGHT_AGE_S)
    # Echoed: a `*` would not cover Authorization, a list not the headers that apps add.
    asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS)
    if asked:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = asked
        response.headers[hdrs.VARY] = hdrs.ACCESS_CONTROL_REQUEST_HEADERS
    if request.headers.get("Access-Control-Request-Private-Network") == "true":
        response.headers["Access-Control-Allow-Private-Network"] = "true"
    return response


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Add what belongs to every answer, errors too: without it a page cannot even read those."""
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"  # no cookies: nothing is implied
    response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = "*"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers[hdrs.SERVER] = "chatrun"
