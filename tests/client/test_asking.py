"""Requests: what is tried again, which token goes with it, and what a refusal means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from chatrun.client.failures import refusal, unreachable
from chatrun.client.timing import Timing
from chatrun.client.transport import Transport
from chatrun.errors import (
    ChatrunError,
    InvalidInput,
    LinkBroken,
    OriginRefused,
    ScopeMissing,
    SessionBusy,
    SessionClosed,
    SessionNotFound,
    StoreUnavailable,
    TaskNotFound,
    TokenExpired,
    TokenInvalid,
    TooLarge,
)

if TYPE_CHECKING:
    from tests.client.scripted import ScriptedServer

QUICK = Timing(first_wait_s=0.001, longest_wait_s=0.002, away_s=0.2)


async def test_an_append_is_tried_again_under_the_same_part_id(server: ScriptedServer) -> None:
    server.append_statuses.extend([503, 500])

    async with Transport(server.url, secret="s", timing=QUICK) as transport:
        seq = await transport.append("c", {"kind": "stop"}, part_id="p")

    assert seq == 0
    assert server.tries == [("p", "s")] * 3
    assert server.appended == [("p", {"kind": "stop"})]


async def test_a_server_that_stays_overloaded_is_given_up(server: ScriptedServer) -> None:
    server.append_statuses.extend([503] * 100)

    async with Transport(server.url, secret="s", timing=QUICK) as transport:
        with pytest.raises(StoreUnavailable):
            await transport.append("c", {}, part_id="p")

    assert len(server.tries) == 6


async def test_a_refused_token_is_renewed_once(server: ScriptedServer) -> None:
    server.append_statuses.append(401)
    tokens = iter(["old", "new"])

    async with Transport(server.url, token=lambda: next(tokens), timing=QUICK) as transport:
        await transport.append("c", {}, part_id="p")

    assert server.tries == [("p", "old"), ("p", "new")]


async def test_a_token_may_come_from_an_async_function(server: ScriptedServer) -> None:
    async def token() -> str:
        return "t"

    async with Transport(server.url, token=token, timing=QUICK) as transport:
        await transport.append("c", {}, part_id="p")

    assert server.tries == [("p", "t")]


async def test_a_fresh_token_of_the_server_goes_before_ones_own(server: ScriptedServer) -> None:
    async with Transport(server.url, token="mine", timing=QUICK) as transport:
        await transport.start_session("t", "c", base_payload={})
        await transport.append("c", {}, part_id="p")
        await transport.append("other", {}, part_id="q")

    assert server.tries == [("p", "fresh"), ("q", "mine")]


async def test_a_fresh_token_that_is_refused_gives_way_to_ones_own(server: ScriptedServer) -> None:
    server.append_statuses.append(403)

    async with Transport(server.url, token="mine", timing=QUICK) as transport:
        await transport.start_session("t", "c", base_payload={})
        await transport.append("c", {}, part_id="p")

    assert server.tries == [("p", "fresh"), ("p", "mine")]


async def test_the_secret_is_never_replaced(server: ScriptedServer) -> None:
    async with Transport(server.url, secret="s", timing=QUICK) as transport:
        await transport.start_session("t", "c", base_payload={})
        await transport.append("c", {}, part_id="p")

    assert server.tries == [("p", "s")]


async def test_a_token_that_is_refused_twice_is_an_error(server: ScriptedServer) -> None:
    server.append_statuses.extend([401, 401])

    async with Transport(server.url, token=iter("abc").__next__, timing=QUICK) as transport:
        with pytest.raises(TokenInvalid):
            await transport.append("c", {}, part_id="p")

    assert server.tries == [("p", "a"), ("p", "b")]


async def test_a_server_that_never_answered_is_an_error_at_once() -> None:
    async with Transport("http://127.0.0.1:9", secret="s") as transport:
        with pytest.raises(LinkBroken) as caught:
            await transport.append("c", {}, part_id="p")

    assert str(caught.value) == (
        "no chatrun server answers at http://127.0.0.1:9: start one with `chatrun dev`, "
        "or name another with --url or CHATRUN_URL"
    )


@pytest.mark.parametrize("url", ["localhost:2428", "ftp://a", "http://", "", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="is no server's address"):
        Transport(url, secret="s")


async def test_ids_are_encoded_into_the_path(server: ScriptedServer) -> None:
    async with Transport(server.url, secret="s", timing=QUICK) as transport:
        assert await transport.append("a/b?c#d e", {}, part_id="p") == 0


def test_a_client_that_is_not_open_says_so(anyio_backend: str) -> None:
    import asyncio

    with pytest.raises(InvalidInput, match="use it inside `async with`"):
        asyncio.run(Transport("http://localhost", secret="s").session("c"))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": "bad"}, InvalidInput),
        (401, {"error": "who?"}, TokenInvalid),
        (401, {"error": "old", "code": "token_expired"}, TokenExpired),
        (403, {"error": "Unauthorized", "code": "unauthorized"}, ScopeMissing),
        (403, {"error": "no", "code": "origin_refused"}, OriginRefused),
        (404, {"error": "Session not found"}, SessionNotFound),
        (409, {"error": "busy"}, SessionBusy),
        (409, {"error": "closed", "code": "session_closed"}, SessionClosed),
        (409, {"error": "Session is closed; use a different externalId"}, SessionClosed),
        (413, {"error": "Request body too large"}, TooLarge),
        (421, {"error": "host"}, OriginRefused),
        (422, {"error": "this server has no task"}, TaskNotFound),
        (429, {"error": "slow down"}, StoreUnavailable),
        (500, {"error": "Internal server error"}, StoreUnavailable),
        (418, {"error": "teapot"}, InvalidInput),
    ],
)
def test_a_refusal_is_the_error_it_stands_for(
    status: int, body: dict[str, str], error: type[ChatrunError]
) -> None:
    found = refusal(status, json.dumps(body).encode(), what="send")

    assert type(found) is error
    assert str(found) == f"cannot send: {body['error']}"


def test_a_refusal_without_words_tells_the_status() -> None:
    assert str(refusal(502, b"", what="send")) == "cannot send: the server answered 502"
    assert str(refusal(502, b"<html>Bad Gateway", what="send")) == "cannot send: <html>Bad Gateway"


def test_the_reason_of_a_close_is_kept() -> None:
    body = {"error": "closed", "code": "session_closed", "closedReason": "done"}

    found = refusal(409, json.dumps(body).encode(), what="send")

    assert isinstance(found, SessionClosed)
    assert found.reason == "done"


def test_what_kept_a_server_from_answering_is_said() -> None:
    assert "(it does not answer)" in str(unreachable("http://a", "it does not answer"))
