from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

import jwt
import pytest

import chatrun
from chatrun import Turn, chat
from chatrun.server.page import FOLDER
from chatrun.wire.tokens import Grant, verify
from chatrun.worker.protocol import BrokenFile
from tests.support.http import SECRET, Http, chat_token, scoped, served, task_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        """Answers everything."""
        return "fine"

    @chat.task("other")
    async def other(turn: Turn[None]) -> str:
        return "fine"

    async with served(my_chat, other) as http:
        yield http


async def test_the_health_of_the_server_is_told_to_everybody(http: Http) -> None:
    got = await http.call("GET", "/healthz", token=None)

    assert (got.status, got.json) == (200, {"status": "ok", "version": chatrun.__version__})
    assert (await http.call("HEAD", "/healthz", token=None)).status == 200


async def test_who_develops_sees_every_task_and_what_is_broken(http: Http) -> None:
    http.live.broken = (BrokenFile("bad.py", 3, "it does not end", code="def", trace="..."),)

    told = (await http.call("GET", "/api/v1/tasks", token=scoped("admin"))).json
    tasks = told["tasks"]

    assert told["broken"] == [
        {
            "file": "bad.py",
            "line": 3,
            "message": "it does not end",
            "code": "def",
            "trace": "...",
        }
    ]

    assert {task["id"] for task in tasks} == {"my-chat", "other"}
    for task in tasks:
        assert task.keys() >= {"id", "file", "line", "description", "on_disconnect"}


async def test_a_token_shows_the_tasks_that_it_is_for_and_no_paths(http: Http) -> None:
    async def seen(token: str) -> list[dict[str, str]]:
        tasks: list[dict[str, str]] = (await http.call("GET", "/api/v1/tasks", token=token)).json[
            "tasks"
        ]
        return tasks

    assert [task["id"] for task in await seen(task_token())] == ["my-chat"]
    assert {task["id"] for task in await seen(scoped("read:tasks"))} == {"my-chat", "other"}
    assert {key for task in await seen(scoped("read:tasks")) for key in task} == {
        "id",
        "description",
    }
    told = (await http.call("GET", "/api/v1/tasks", token=task_token())).json
    assert set(told) == {"tasks"}
    assert (await http.call("GET", "/api/v1/tasks", token=chat_token())).status == 403


async def test_who_signs_tokens_itself_is_told_what_to_put_into_them(http: Http) -> None:
    headers = {"Content-Type": "application/json"}
    got = await http.call("POST", "/api/v1/auth/jwt/claims", headers=headers)

    assert (got.status, got.json) == (200, {"sub": "env_chatrun", "pub": True})


async def minted(http: Http, **form: object) -> str:
    body = {"scopes": ["read:sessions:c"], **form}
    got = await http.call("POST", "/api/v1/auth/public-tokens", json=body)
    assert got.status == 200, got.body
    token: str = got.json["token"]
    return token


def ttl_of(token: str) -> float:
    claims = jwt.decode(token, options={"verify_signature": False})
    return float(claims["exp"] - claims["iat"])


async def test_a_token_is_minted_with_the_scopes_and_the_time_that_are_asked_for(
    http: Http,
) -> None:
    token = await minted(http, oneTimeUse=True, realtime={"skip": 1})

    assert verify(token, SECRET) == Grant(scopes=("read:sessions:c",))
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["otu"], claims["realtime"]) == (True, {"skip": 1})
    assert ttl_of(token) == 900
    assert ttl_of(await minted(http, expirationTime="1h")) == 3600
    assert ttl_of(await minted(http, expirationTime="90 days")) == 30 * 86400
    assert abs(ttl_of(await minted(http, expirationTime=int(time.time()) + 60)) - 60) <= 1


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"scopes": []},
        {"scopes": "admin"},
        {"scopes": [""]},
        {"scopes": ["a"], "expirationTime": 1_600_000_000},
        {"scopes": ["a"], "expirationTime": "then"},
        {"scopes": ["a"], "expirationTime": True},
        {"scopes": ["a"], "expirationTime": []},
        [],
    ],
)
async def test_a_token_that_cannot_be_is_refused(http: Http, form: object) -> None:
    got = await http.call("POST", "/api/v1/auth/public-tokens", json=form)

    assert (got.status, set(got.json)) == (400, {"error"})


async def test_the_page_is_served_with_all_that_it_refers_to(http: Http) -> None:
    page = await http.call("GET", "/", token=None)
    text = page.body.decode()
    files = set(re.findall(r'(?:src|href)="/([^"]+)"', text))

    answers = await asyncio.gather(
        *(http.call("GET", f"/{file}", token=None) for file in sorted(files))
    )
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert [answer.status for answer in answers] == [200] * len(files)
    assert "<script>" not in text  # its policy would forbid it
    for answer in (page, *answers):
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_no_other_file_is_served(http: Http) -> None:
    for path in (
        "/console/missing.js",
        "/console/..%2fapp.py",
        "/console/%2e%2e%2fapp.py",
        "/console//etc/passwd",
        f"/console/{FOLDER}/index.html",
        "/console/",
        "/index.html",
        "/console/index.html%00.js",
    ):
        assert (await http.call("GET", path, token=None)).status == 404, path


async def test_what_does_not_exist_is_said_as_json(http: Http) -> None:
    missing = await http.call("GET", "/api/v2/sessions")
    wrong = await http.call("DELETE", "/healthz")

    assert (missing.status, missing.json) == (404, {"error": "Not found"})
    assert (wrong.status, wrong.json) == (405, {"error": "Method Not Allowed"})
    assert set(wrong.headers["Allow"].split(",")) == {"GET", "HEAD"}
