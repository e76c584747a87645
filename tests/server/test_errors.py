from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import aiohttp
import orjson
import pytest
from aiohttp import web

import chatrun.errors
from chatrun.errors import (
    ChatrunError,
    InvalidInput,
    OriginRefused,
    ProviderError,
    ScopeMissing,
    SessionClosed,
    SessionExpired,
    SessionNotFound,
    StoreFull,
    StoreUnavailable,
    TaskNotFound,
    TokenExpired,
    TokenInvalid,
    TooLarge,
)
from chatrun.server.door import add_headers
from chatrun.server.errors import STATUSES, HttpRefused, answer_errors, error_response, status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def tree(kind: type[ChatrunError]) -> Iterator[type[ChatrunError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def test_every_error_of_the_tree_has_a_status_of_its_own() -> None:
    declared = {kind for kind in tree(ChatrunError) if kind.__module__ == chatrun.errors.__name__}

    assert set(STATUSES) == declared
    assert set(STATUSES.values()) <= set(range(400, 600))


def test_an_error_that_somebody_derives_has_the_status_of_its_parent() -> None:
    class Mine(ProviderError):
        pass

    assert status_of(Mine("x", model="m")) == STATUSES[ProviderError]


ANSWERS = [
    (TokenInvalid("no"), 401, {"error": "no"}),
    (TokenExpired("late"), 401, {"error": "late"}),
    (
        ScopeMissing("whatever"),
        403,
        {
            "error": "Unauthorized",
            "code": "unauthorized",
            "param": "access_token",
            "type": "authorization",
        },
    ),
    (OriginRefused("not you"), 403, {"error": "not you"}),
    (SessionNotFound("session 7"), 404, {"error": "Session not found"}),
    (HttpRefused(404, "Not found"), 404, {"error": "Not found"}),
    (InvalidInput("bad"), 400, {"error": "bad"}),
    (SessionExpired("expired"), 400, {"error": "expired"}),
    (
        SessionClosed("closed", reason="done"),
        409,
        {
            "ok": False,
            "error": "Cannot append to a closed session",
            "code": "session_closed",
            "closedReason": "done",
        },
    ),
    (
        SessionClosed("closed"),
        409,
        {
            "ok": False,
            "error": "Cannot append to a closed session",
            "code": "session_closed",
            "closedReason": None,
        },
    ),
    (TooLarge("big", limit_bytes=1), 413, {"ok": False, "error": "Request body too large"}),
    (TaskNotFound("no task"), 422, {"error": "no task"}),
    (
        StoreUnavailable("postgres://me:pw@host"),
        503,
        {"error": "The server cannot do this now; try again"},
    ),
    (StoreFull("/var/lib"), 507, {"error": "The server has no space left"}),
    (ChatrunError("inside"), 500, {"error": "Internal server error"}),
]


@pytest.mark.parametrize(("error", "status", "body"), ANSWERS)
def test_the_answer_is_the_one_that_the_clients_know(
    error: ChatrunError, status: int, body: dict[str, object]
) -> None:
    response = error_response(error)

    assert isinstance(response.body, bytes)
    assert (response.status, orjson.loads(response.body)) == (status, body)
    assert response.content_type == "application/json"


def test_headers_that_belong_to_a_status_are_there() -> None:
    assert error_response(SessionClosed("x")).headers["x-should-retry"] == "false"
    assert error_response(HttpRefused(409, "x")).headers["x-should-retry"] == "false"
    assert error_response(TokenInvalid("x")).headers["WWW-Authenticate"] == "Bearer"
    assert error_response(StoreUnavailable("x")).headers["Retry-After"] == "1"
    assert error_response(TooLarge("x", limit_bytes=1)).keep_alive is False


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The URL of an application with a handler that has a fault."""

    async def broken(request: web.Request) -> web.StreamResponse:
        raise KeyError(f"somebody said {request.match_info['name']}")

    async def refused(_request: web.Request) -> web.StreamResponse:
        raise SessionClosed("x", reason="over")

    app = web.Application(middlewares=[answer_errors])
    app.on_response_prepare.append(add_headers)
    app.router.add_get("/broken/{name}", broken)
    app.router.add_get("/refused", refused)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_fault_of_ours_is_logged_without_what_anybody_said(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "chatrun"):
        path = f"{url}/broken/canary"
        async with aiohttp.ClientSession() as session, session.get(path) as got:
            body = await got.read()

    assert (got.status, json.loads(body)) == (500, {"error": "Internal server error"})
    (record,) = [record for record in caplog.records if record.name == "chatrun.server"]
    logged = record.getMessage()
    assert "GET /broken/{name} failed with KeyError" in logged
    assert "in broken" in logged
    assert "canary" not in logged


async def test_every_error_can_be_read_by_a_page(url: str) -> None:
    statuses = {}
    async with aiohttp.ClientSession() as session:
        for method, path in (
            ("GET", "/broken/x"),
            ("GET", "/refused"),
            ("GET", "/missing"),
            ("DELETE", "/refused"),
        ):
            async with session.request(method, url + path) as got:
                statuses[method, path] = got.status
                assert got.headers["Access-Control-Allow-Origin"] == "*"
                assert got.headers["Access-Control-Expose-Headers"] == "*"
                assert set(await got.json()) >= {"error"}

    assert list(statuses.values()) == [500, 409, 404, 405]
