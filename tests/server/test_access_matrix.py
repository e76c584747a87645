"""Every route, with every kind of bearer, from every kind of place."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from chatrun import Turn, chat
from chatrun.server.app import routes
from chatrun.server.auth import everybody
from chatrun.server.page import Page
from chatrun.wire.tokens import mint
from tests.support.http import (
    SECRET,
    Http,
    bearer,
    chat_token,
    message_record,
    scoped,
    served,
    task_token,
    user_message,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STOP = {"kind": "stop"}
UI_POST = {"id": "c", "messages": [user_message("hi")], "trigger": "submit-message"}
NEW = {
    "type": "chat.agent",
    "taskIdentifier": "my-chat",
    "externalId": "c",
    "triggerConfig": {"basePayload": {"chatId": "c", "trigger": "preload"}},
}

# Each route as it is called, and which bearers it lets pass besides the secret and `admin`.
READERS = "writer reader task"
WRITERS = "writer task"
CALLS: dict[tuple[str, str], tuple[str, Any, str]] = {
    ("POST", "/api/v1/sessions"): ("", NEW, "task tasks-writer sessions-writer"),
    ("GET", "/api/v1/sessions"): ("", None, "sessions-reader"),
    ("GET", "/api/v1/sessions/{session}"): ("", None, "writer reader sessions-reader"),
    ("PATCH", "/api/v1/sessions/{session}"): ("", {"tags": ["t"]}, "session-admin"),
    ("POST", "/api/v1/sessions/{session}/close"): ("?d", {}, "session-admin"),
    ("GET", "/api/v1/sessions/{session}/transcript"): ("", None, ""),
    ("POST", "/api/v1/auth/jwt/claims"): ("", {}, ""),
    ("POST", "/api/v1/auth/public-tokens"): ("", {"scopes": ["read:sessions:c"]}, ""),
    ("POST", "/realtime/v1/sessions/{session}/in/append"): (
        "",
        STOP,
        f"{WRITERS} sessions-writer",
    ),
    ("GET", "/realtime/v1/sessions/{session}/in"): ("", None, f"{READERS} sessions-reader"),
    ("GET", "/realtime/v1/sessions/{session}/in/records"): (
        "",
        None,
        f"{READERS} sessions-reader",
    ),
    ("GET", "/realtime/v1/sessions/{session}/out"): ("", None, f"{READERS} sessions-reader"),
    ("GET", "/realtime/v1/sessions/{session}/out/records"): (
        "",
        None,
        f"{READERS} sessions-reader",
    ),
    ("PUT", "/realtime/v1/sessions/{session}/out"): ("", None, ""),
    ("POST", "/realtime/v1/sessions/{session}/out/append"): ("", {"type": "data-x"}, ""),
    ("POST", "/api/chat/{task}"): ("", UI_POST, f"{WRITERS} tasks-writer sessions-writer"),
    ("GET", "/api/chat/{task}/{chat_id}/stream"): (
        "",
        None,
        f"{READERS} tasks-writer sessions-reader",
    ),
    ("POST", "/api/chat/{task}/{chat_id}/stop"): (
        "",
        {},
        f"{WRITERS} tasks-writer sessions-writer",
    ),
    ("POST", "/api/text/{task}"): ("", UI_POST, f"{WRITERS} tasks-writer sessions-writer"),
    ("GET", "/api/text/{task}/{chat_id}/stream"): (
        "",
        None,
        f"{READERS} tasks-writer sessions-reader",
    ),
    ("POST", "/api/text/{task}/{chat_id}/stop"): (
        "",
        {},
        f"{WRITERS} tasks-writer sessions-writer",
    ),
    ("GET", "/api/v1/tasks"): ("", None, "task tasks-writer another-task"),
}

OPEN = {("GET", "/healthz"), ("HEAD", "/healthz"), ("GET", "/"), ("HEAD", "/")}
OPEN |= {("GET", "/console/{file}")}

NOT_FOR_TOKENS = {"/api/v1/auth/jwt/claims", "/api/v1/auth/public-tokens"}


def bearers() -> dict[str, str | None]:
    return {
        "nobody": None,
        "garbage": "garbage",
        "somebody else's": mint("another secret", ["admin"], ttl_s=60),
        "expired": mint(SECRET, ["admin"], ttl_s=60, clock=lambda: time.time() - 3600),
        "secret": SECRET,
        "admin": scoped("admin"),
        "writer": chat_token("c"),
        "reader": chat_token("c", read_only=True),
        "stranger": chat_token("another"),
        "session-admin": scoped("admin:sessions:c"),
        "sessions-reader": scoped("read:sessions"),
        "sessions-writer": scoped("write:sessions"),
        "task": task_token("my-chat"),
        "tasks-writer": scoped("write:tasks:my-chat"),
        "another-task": task_token("other"),
        "scopeless": scoped(),
    }


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        return "fine"

    @chat.task("other")
    async def other(turn: Turn[None]) -> str:
        return "fine"

    async with served(my_chat, other, task_tokens_open_sessions=True) as http:
        await http.create()
        yield http


def path_of(template: str) -> str:
    filled = template.replace("{session}", "c").replace("{task}", "my-chat")
    return filled.replace("{chat_id}", "c").replace("{file}", "index.html")


async def status(http: Http, call: tuple[str, str], headers: dict[str, str]) -> int:
    """Return the status of the answer; whatever follows the headers is not waited for."""
    method, template = call
    body = CALLS[call][1] if call in CALLS else None
    path = path_of(template)
    async with http.open(method, path, token=None, headers=headers, json=body) as stream:
        return stream.status


def test_the_matrix_is_of_every_route_and_none_is_open_by_accident() -> None:
    table = routes(Page.load())

    declared = {(route.method, route.path) for route in table}
    assert declared == set(CALLS) | OPEN
    assert {(route.method, route.path) for route in table if route.policy is everybody} == OPEN


async def test_the_application_has_the_routes_of_the_table_and_no_others(http: Http) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"):
        for template in {path for _, path in set(CALLS) | OPEN}:
            if (method, template) in set(CALLS) | OPEN:
                continue
            answer = await http.call(method, path_of(template))
            assert answer.status == 405, (method, template)


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
async def test_a_route_lets_pass_whom_it_is_for_and_nobody_else(
    http: Http, call: tuple[str, str]
) -> None:
    passing = {"secret", "admin", *CALLS[call][2].split()}
    unknown = {"nobody", "garbage", "somebody else's", "expired"}
    if call[1] in NOT_FOR_TOKENS:
        passing.remove("admin")

    found = {name: await status(http, call, bearer(token)) for name, token in bearers().items()}

    refused = 401 if call[1] in NOT_FOR_TOKENS else 403
    assert {name for name, code in found.items() if code < 300} == passing
    assert {name for name, code in found.items() if code == 401} >= unknown
    assert {code for name, code in found.items() if name not in passing | unknown} == {refused}


@pytest.mark.parametrize("call", sorted(OPEN), ids=" ".join)
async def test_an_open_route_takes_no_token_and_looks_at_none(
    http: Http, call: tuple[str, str]
) -> None:
    for token in bearers().values():
        assert await status(http, call, bearer(token)) == 200


@pytest.mark.parametrize("call", [*CALLS, *sorted(OPEN)], ids=" ".join)
async def test_other_places_are_refused_on_every_route_before_any_work(
    http: Http, call: tuple[str, str]
) -> None:
    good = f"localhost:{http.port}"
    hosts = ["evil.test", f"evil.test:{http.port}", "localhost.evil.test", "localhost.", "0.0.0.0"]
    origins = ["null", "http://evil.test", "http://localhost.evil.test", "https://[::1"]

    for host in hosts:
        assert await status(http, call, {**bearer(SECRET), "Host": host}) == 421
    for origin in origins:
        headers = {**bearer(SECRET), "Host": good, "Origin": origin}
        assert await status(http, call, headers) == 403
        assert await status(http, ("OPTIONS", call[1]), headers) == 403
    session = await http.live.store.session("c")
    assert (session.in_tail, session.closed_at_ms, session.tags) == (0, None, ())

    for origin in ("http://localhost:3000", f"http://{good}"):
        headers = {**bearer(SECRET), "Host": good, "Origin": origin}
        assert await status(http, call, headers) < 300


async def test_nothing_is_done_for_who_may_not(http: Http) -> None:
    for call in CALLS:
        for name in ("nobody", "stranger", "another-task", "scopeless"):
            await status(http, call, bearer(bearers()[name]))

    session = await http.live.store.session("c")
    assert (session.in_tail, session.closed_at_ms, session.tags) == (0, None, ())


async def test_a_refusal_does_not_tell_what_exists(http: Http) -> None:
    async def answer(chat: str, token: str) -> tuple[int, bytes]:
        path = f"/realtime/v1/sessions/{chat}/in/append"
        got = await http.call("POST", path, token=token, json=STOP)
        return got.status, got.body

    stranger = chat_token("another")
    assert await answer("c", stranger) == await answer("missing", stranger)
    assert (await answer("missing", SECRET))[0] == 404
    assert (await answer("missing", chat_token("missing")))[0] == 404


async def test_both_ids_of_a_session_open_both_forms_of_its_url(http: Http) -> None:
    session_id = (await http.live.store.session("c")).id

    for token in (chat_token("c"), chat_token(session_id)):
        for ref in ("c", session_id):
            got = await http.call("GET", f"/api/v1/sessions/{ref}", token=token)
            assert (got.status, got.json["id"]) == (200, session_id)


async def test_where_task_tokens_do_not_open_sessions_they_only_start_new_ones() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        return "fine"

    async with served(my_chat) as http:
        token = task_token()
        await http.create(chat="theirs")
        mine = await http.call("POST", "/api/v1/sessions", token=token, json=NEW)
        assert mine.status == 201

        refused = [
            ("POST", "/api/v1/sessions", NEW),
            ("POST", "/realtime/v1/sessions/theirs/in/append", STOP),
            ("POST", "/realtime/v1/sessions/missing/in/append", STOP),
            ("GET", "/realtime/v1/sessions/theirs/out", None),
            ("GET", "/realtime/v1/sessions/theirs/out/records", None),
            ("GET", "/api/chat/my-chat/theirs/stream", None),
            ("POST", "/api/chat/my-chat/theirs/stop", {}),
            ("POST", "/api/chat/my-chat", {**UI_POST, "id": "theirs"}),
        ]
        for method, path, body in refused:
            got = await http.call(method, path, token=token, json=body)
            assert got.status == 403, path

        post = {**UI_POST, "id": "new"}
        assert (await http.call("POST", "/api/chat/my-chat", token=token, json=post)).status == 200


async def test_a_task_token_creates_the_session_with_its_first_append(http: Http) -> None:
    path, record = "/realtime/v1/sessions/new/in/append", message_record("hi", chat="new")

    refused = await http.call("POST", path, token=task_token("missing"), json=record)
    several = scoped("trigger:tasks:my-chat", "trigger:tasks:other")
    unclear = await http.call("POST", path, token=several, json=record)
    ours = "/realtime/v1/sessions/session_1/in/append"
    reserved = await http.call("POST", ours, token=task_token(), json=record)
    before = await http.call("GET", "/realtime/v1/sessions/new/out", token=task_token())
    said = await http.call("POST", path, token=task_token(), json=record)

    statuses = [refused.status, unclear.status, reserved.status, before.status, said.status]
    assert statuses == [403, 403, 404, 404, 200]
    assert said.json == {"ok": True, "seq": 0}
    session = await http.live.store.session("new")
    assert (session.task_id, session.type, session.external_id) == ("my-chat", "chat.agent", "new")
    assert session.trigger_config == {"basePayload": {"chatId": "new", "trigger": "preload"}}
    again = await http.call("POST", path, token=task_token("other"), json=record)
    assert again.status == 403


async def test_clients_that_append_at_once_to_a_new_chat_get_one_session(http: Http) -> None:
    path = "/realtime/v1/sessions/new/in/append"

    answers = await asyncio.gather(
        *(http.call("POST", path, token=task_token(), json=STOP) for _ in range(8))
    )

    assert sorted(answer.json["seq"] for answer in answers) == list(range(8))


async def test_a_creator_with_one_task_does_not_get_at_sessions_of_another(http: Http) -> None:
    form = {**NEW, "taskIdentifier": "other"}

    for token in (task_token("other"), scoped("write:tasks:other")):
        got = await http.call("POST", "/api/v1/sessions", token=token, json=form)
        assert got.status == 403

    session = await http.live.store.session("c")
    assert session.trigger_config == NEW["triggerConfig"]


MALFORMED = {
    "no host": b"GET /healthz HTTP/1.0\r\n\r\n",
    "no host in 1.1": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "an open bracket": b"GET /healthz HTTP/1.1\r\nHost: [::1\r\nConnection: close\r\n\r\n",
    "a wrong port": b"GET /healthz HTTP/1.1\r\nHost: localhost:x\r\nConnection: close\r\n\r\n",
    "no ascii": b"GET /healthz HTTP/1.1\r\nHost: l\xf6calhost\r\nConnection: close\r\n\r\n",
    "a whole url": b"GET http://evil.test/healthz HTTP/1.1\r\nHost: localhost\r\n"
    b"Connection: close\r\n\r\n",
    "a whole url of ours": b"GET http://localhost/healthz HTTP/1.1\r\nHost: evil.test\r\n"
    b"Connection: close\r\n\r\n",
    "two origins": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
    b"Origin: http://evil.test\r\nConnection: close\r\n\r\n",
    "an odd origin": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: \xff\xfe://[\r\n"
    b"Connection: close\r\n\r\n",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_place_is_refused_and_breaks_nothing(http: Http, request_: bytes) -> None:
    answer = await http.raw(request_)

    assert answer.split(b" ", 2)[1] in {b"400", b"403", b"421"}, answer
    assert (await http.call("GET", "/healthz")).status == 200


async def test_a_request_for_a_whole_url_of_ours_is_served(http: Http) -> None:
    answer = await http.raw(
        b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        SECRET,
        f"Basic {SECRET}",
        f"Bearer {SECRET}x",
        f"Bearer {SECRET},Bearer {SECRET}",
        "Bearer \u00e9\u00e9",
    ],
)
async def test_a_bearer_of_another_form_is_nobody(http: Http, authorization: str) -> None:
    headers = {"Authorization": authorization}

    got = await http.call("GET", "/api/v1/sessions", token=None, headers=headers)

    assert (got.status, set(got.json)) == (401, {"error"})


async def test_two_bearers_are_nobody_and_the_scheme_has_no_case(http: Http) -> None:
    head = f"GET /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\nAuthorization: bearer {SECRET}\r\n"

    one = await http.raw(f"{head}Connection: close\r\n\r\n".encode())
    two = await http.raw(
        f"{head}Authorization: Bearer {SECRET}\r\nConnection: close\r\n\r\n".encode()
    )

    assert one.startswith(b"HTTP/1.1 200 ")
    assert two.split(b" ", 2)[1] in {b"400", b"401"}


async def test_a_token_is_nothing_in_a_query_or_a_cookie(http: Http) -> None:
    for path in (f"/api/v1/tasks?token={SECRET}", f"/api/v1/tasks?access_token={SECRET}"):
        assert (await http.call("GET", path, token=None)).status == 401
    cookie = {"Cookie": f"token={SECRET}; Authorization=Bearer {SECRET}"}
    assert (await http.call("GET", "/api/v1/tasks", token=None, headers=cookie)).status == 401


async def test_a_preflight_allows_whatever_headers_it_asks_for(http: Http) -> None:
    asked = "authorization, content-type, last-event-id, x-of-the-app"
    headers = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }

    for path in ("/realtime/v1/sessions/c/in/append", "/api/v1/sessions", "/nowhere"):
        got = await http.call("OPTIONS", path, token=None, headers=headers)
        assert (got.status, got.body) == (204, b"")
        assert got.headers["Access-Control-Allow-Origin"] == "*"
        assert got.headers["Access-Control-Allow-Headers"] == asked
        assert got.headers["Access-Control-Expose-Headers"] == "*"
        assert set(got.headers["Access-Control-Allow-Methods"].split(", ")) == {
            "GET",
            "HEAD",
            "POST",
            "PUT",
            "PATCH",
            "DELETE",
        }


async def test_a_page_of_the_internet_that_is_allowed_may_reach_this_machine() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        return "fine"

    async with served(my_chat, allowed_origins=("https://app.example.com",)) as http:
        headers = {
            "Origin": "https://app.example.com",
            "Access-Control-Request-Private-Network": "true",
        }
        got = await http.call("OPTIONS", "/api/v1/tasks", token=None, headers=headers)

    assert (got.status, got.headers["Access-Control-Allow-Private-Network"]) == (204, "true")
