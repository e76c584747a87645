"""What the server says of itself, and the tokens it mints for others."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import chatrun
from chatrun.errors import InvalidInput, ScopeMissing
from chatrun.server.routes import json_response
from chatrun.wire.json import parse_json_object
from chatrun.wire.tokens import SUBJECT, mint, parse_ttl

if TYPE_CHECKING:
    from aiohttp import web

    from chatrun.server.routes import Call
    from chatrun.wire.tokens import Grant

_DEFAULT_TTL_S: Final = 15 * 60.0
_MAX_TTL_S: Final = 30 * 86400.0


async def health(_call: Call) -> web.StreamResponse:
    """Say that the server answers."""
    return json_response({"status": "ok", "version": chatrun.__version__})


async def tasks(call: Call) -> web.StreamResponse:
    """Return the tasks that are served, those of them that the token is for.

    Where they stand, and which files are broken, is for who develops them.
    """
    live = call.site.live
    infos = [info for info in live.tasks().values() if _may_see(call.grant, info.id)]
    if call.grant.is_admin:
        broken = [asdict(file) for file in live.broken]
        return json_response({"tasks": [info.to_json() for info in infos], "broken": broken})
    if not infos and not _may_see(call.grant, ""):
        raise ScopeMissing("the token is for no task that is served")
    shown = [{"id": info.id, "description": info.description} for info in infos]
    return json_response({"tasks": shown})


def _may_see(grant: Grant, task_id: str) -> bool:
    return task_id in grant.task_ids or any(
        grant.allows(action, "tasks", task_id) for action in ("read", "write")
    )


async def claims(_call: Call) -> web.StreamResponse:
    """Return what a client that signs tokens itself is to put into them."""
    return json_response({"sub": SUBJECT, "pub": True})


async def public_token(call: Call) -> web.StreamResponse:
    """Mint a token with the scopes that are asked for."""
    form = parse_json_object(call.body, what="the request body")
    token = mint(
        call.site.secret,
        _scopes(form.get("scopes")),
        ttl_s=_ttl_s(form.get("expirationTime"), now_s=call.site.clock()),
        one_time=form.get("oneTimeUse") is True,
        realtime=form.get("realtime"),
        clock=call.site.clock,
    )
    return json_response({"token": token})


def _scopes(value: object) -> list[str]:
    if isinstance(value, list) and value and all(isinstance(s, str) and s for s in value):
        return value
    raise InvalidInput("scopes must be a list of at least one scope")


def _ttl_s(value: object, *, now_s: float) -> float:
    """Return how long a token is good; a number is the time at which it is to expire."""
    match value:
        case None:
            return _DEFAULT_TTL_S
        case str():
            ttl_s = parse_ttl(value)
        case int() | float() if not isinstance(value, bool):
            ttl_s = value - now_s
        case _:
            raise InvalidInput("expirationTime must be a span of time or a Unix time in seconds")
    if ttl_s <= 0:
        raise InvalidInput("expirationTime has passed: a number is a Unix time in seconds")
    return min(ttl_s, _MAX_TTL_S)
