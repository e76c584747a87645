from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from chatrun import Turn, chat
from chatrun.wire.tokens import Grant, verify
from tests.support.http import SECRET, Http, ends_turn, scoped, served, user_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        return f"answer {turn.number}"

    async with served(my_chat) as http:
        yield http


def checked_times(session: dict[str, Any]) -> dict[str, Any]:
    """Return the session without what differs each time, which must be of the right form."""
    assert re.fullmatch(r"session_[0-9a-z]{24}", session.pop("id"))
    for name in ("createdAt", "updatedAt"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", session.pop(name))
    return session


async def test_a_new_session_is_created_with_a_run_and_a_token(http: Http) -> None:
    config = {"basePayload": {"chatId": "c", "trigger": "preload"}, "tags": ["chat:c"]}
    got = await http.create(triggerConfig=config, tags=["t"], metadata={"a": 1})

    answer = got.json
    token, run_id = answer.pop("publicAccessToken"), answer.pop("runId")
    assert got.status == 201
    assert run_id.startswith("run_")
    assert verify(token, SECRET) == Grant(scopes=("read:sessions:c", "write:sessions:c"))
    assert checked_times(answer) == {
        "externalId": "c",
        "type": "chat.agent",
        "taskIdentifier": "my-chat",
        "triggerConfig": config,
        "currentRunId": run_id,
        "tags": ["t"],
        "metadata": {"a": 1},
        "closedAt": None,
        "closedReason": None,
        "expiresAt": None,
        "isCached": False,
    }


async def test_creating_it_again_returns_it_with_the_new_config(http: Http) -> None:
    first = (await http.create()).json
    config = {"basePayload": {"chatId": "c", "trigger": "preload", "more": True}}
    second = await http.create(triggerConfig=config)

    assert second.status == 200
    assert second.json["isCached"] is True
    assert second.json["id"] == first["id"]
    assert second.json["runId"] == first["runId"]
    assert second.json["triggerConfig"] == config


async def test_many_clients_that_create_it_at_once_get_one_session(http: Http) -> None:
    answers = await asyncio.gather(*(http.create() for _ in range(10)))

    assert len({answer.json["id"] for answer in answers}) == 1
    assert sorted(answer.status for answer in answers) == [200] * 9 + [201]
    assert len({answer.json["runId"] for answer in answers}) == 1


async def test_without_an_external_id_the_session_has_its_own(http: Http) -> None:
    form = {
        "type": "x",
        "taskIdentifier": "my-chat",
        "triggerConfig": {"basePayload": {"trigger": "preload"}},
    }
    got = (await http.call("POST", "/api/v1/sessions", json=form)).json

    assert got["externalId"] is None
    grant = verify(got["publicAccessToken"], SECRET)
    assert grant.scopes == (f"read:sessions:{got['id']}", f"write:sessions:{got['id']}")


async def test_an_unknown_task_is_refused_with_the_known_ones(http: Http) -> None:
    got = await http.create(task="my-chta")
    narrow = await http.call(
        "POST",
        "/api/v1/sessions",
        token=scoped("write:tasks:other"),
        json={"type": "x", "taskIdentifier": "other", "triggerConfig": {"basePayload": {}}},
    )

    assert (got.status, got.json) == (
        422,
        {"error": "this server has no task 'my-chta': it serves my-chat"},
    )
    assert (narrow.status, narrow.json) == (422, {"error": "this server has no task 'other'"})


async def test_a_closed_session_cannot_be_created_again(http: Http) -> None:
    await http.create()
    await http.call("POST", "/api/v1/sessions/c/close", json={"reason": "done"})

    got = await http.create()

    assert (got.status, got.headers["x-should-retry"]) == (409, "false")
    assert got.json["error"].startswith("Session is closed; use a different externalId")


async def test_an_expired_session_takes_nothing(http: Http) -> None:
    await http.create(expiresAt="2020-01-01T00:00:00Z")

    again = await http.create()
    path = "/realtime/v1/sessions/c/in/append"
    append = await http.call("POST", path, json={"kind": "stop"})

    assert (again.status, append.status) == (409, 400)
    assert (await http.call("GET", "/api/v1/sessions/c")).json["expiresAt"] == (
        "2020-01-01T00:00:00.000Z"
    )


async def test_what_is_no_session_is_refused_with_a_sentence(http: Http) -> None:
    for body, reason in (
        (b"", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"type":"x"}', "taskIdentifier is missing"),
        (b'{"type":"x","type":"y"}', "names a key twice"),
    ):
        got = await http.call(
            "POST", "/api/v1/sessions", data=body, headers={"Content-Type": "application/json"}
        )
        assert got.status == 400
        assert reason in got.json["error"] or not body


async def test_a_session_is_found_under_both_of_its_ids_also_odd_ones(http: Http) -> None:
    for chat_id in ("c", "a/b:c", "../x", "%2e", "\u00e9 \u2713", "session", "a?b#c"):
        created = (await http.create(chat=chat_id)).json
        for ref in (created["id"], chat_id):
            got = await http.call("GET", f"/api/v1/sessions/{quote(ref, safe='')}")
            assert (got.status, got.json["externalId"]) == (200, chat_id)


async def test_what_is_no_id_is_no_session(http: Http) -> None:
    for ref in ("missing", "%00", "a%0d%0ab", "%ff", "x" * 300, "..%2f..%2fetc%2fpasswd"):
        got = await http.call("GET", f"/api/v1/sessions/{ref}")
        assert (got.status, got.json) == (404, {"error": "Session not found"})


async def test_tags_and_metadata_can_be_changed_and_the_id_cannot(http: Http) -> None:
    await http.create(tags=["a"], metadata={"a": 1})

    kept = await http.call("PATCH", "/api/v1/sessions/c", json={"tags": ["b"]})
    cleared = await http.call("PATCH", "/api/v1/sessions/c", json={"metadata": None})
    same = await http.call("PATCH", "/api/v1/sessions/c", json={"externalId": "c"})
    moved = await http.call("PATCH", "/api/v1/sessions/c", json={"externalId": "d"})
    unnamed = await http.call("PATCH", "/api/v1/sessions/c", json={"externalId": None})

    assert (kept.json["tags"], kept.json["metadata"]) == (["b"], {"a": 1})
    assert (cleared.json["tags"], cleared.json["metadata"]) == (["b"], None)
    assert [same.status, moved.status, unnamed.status] == [200, 422, 422]


async def test_closing_is_final_and_the_first_reason_stays(http: Http) -> None:
    await http.create()

    first = await http.call("POST", "/api/v1/sessions/c/close", json={"reason": "done"})
    second = await http.call("POST", "/api/v1/sessions/c/close", data=b"")
    append = await http.call("POST", "/realtime/v1/sessions/c/in/append", json={"kind": "stop"})

    assert (first.status, first.json["closedReason"]) == (200, "done")
    assert second.json["closedReason"] == "done"
    assert second.json["closedAt"] == first.json["closedAt"]
    assert (append.status, append.headers["x-should-retry"]) == (409, "false")
    assert append.json == {
        "ok": False,
        "error": "Cannot append to a closed session",
        "code": "session_closed",
        "closedReason": "done",
    }


async def test_sessions_are_listed_newest_first_page_by_page(http: Http) -> None:
    for number in range(5):
        await http.create(chat=f"c{number}", tags=["even" if number % 2 == 0 else "odd"])

    async def page(query: str) -> tuple[list[str], dict[str, str]]:
        got = (await http.call("GET", f"/api/v1/sessions?{query}")).json
        return [session["externalId"] for session in got["data"]], got["pagination"]

    first, links = await page("page[size]=2")
    second, further = await page(f"page[size]=2&page[after]={links['next']}")
    last, end = await page(f"page[size]=2&page[after]={further['next']}")
    back, _ = await page(f"page[size]=2&page[before]={end['previous']}")
    even, _ = await page("filter[tags]=even&filter[status]=ACTIVE")

    assert (first, second, last, back) == (["c4", "c3"], ["c2", "c1"], ["c0"], ["c2", "c1"])
    assert [set(links), set(further), set(end)] == [{"next"}, {"next", "previous"}, {"previous"}]
    assert even == ["c4", "c2", "c0"]
    assert (await page("filter[externalId]=missing")) == ([], {})


async def test_a_token_of_a_task_lists_that_tasks_sessions_only(http: Http) -> None:
    token = scoped("read:tasks:my-chat")

    async def status(query: str) -> int:
        return (await http.call("GET", f"/api/v1/sessions?{query}", token=token)).status

    assert await status("filter[taskIdentifier]=my-chat") == 200
    assert await status("filter[taskIdentifier]=my-chat,other") == 403
    assert await status("") == 403


async def test_a_transcript_is_read_backwards_and_seeds_the_stream(http: Http) -> None:
    await http.create()
    empty = (await http.call("GET", "/api/v1/sessions/c/transcript")).json
    async with http.open("GET", "/realtime/v1/sessions/c/out") as stream:
        await http.say("question 0", message_id="u0")
        await stream.records(ends_turn)
        await http.say("question 1", message_id="u1")
        last = (await stream.records(ends_turn))[-1]

    whole = (await http.call("GET", "/api/v1/sessions/c/transcript")).json
    newest = (await http.call("GET", "/api/v1/sessions/c/transcript?limit=3")).json
    before = newest["nextCursor"]
    oldest = (await http.call("GET", f"/api/v1/sessions/c/transcript?before={before}")).json

    def told(page: dict[str, Any]) -> list[str]:
        return [message["parts"][-1]["text"] for message in page["messages"]]

    assert empty == {"messages": [], "cursors": {}}
    assert told(whole) == ["question 0", "answer 0", "question 1", "answer 1"]
    assert whole["messages"][0] == user_message("question 0", "u0")
    assert whole["cursors"] == {"lastOutEventId": str(last.seq), "lastInEventId": "1"}
    assert "nextCursor" not in whole
    assert told(newest) == ["answer 0", "question 1", "answer 1"]
    assert told(oldest) == ["question 0"]
    assert (await http.call("GET", "/api/v1/sessions/c/transcript?before=x")).status == 400


async def test_a_session_created_with_a_message_answers_it_once(http: Http) -> None:
    payload = {
        "chatId": "c",
        "trigger": "submit-message",
        "message": user_message("hello", message_id="m"),
    }
    for _ in range(2):
        await http.create(triggerConfig={"basePayload": payload})
    store = http.live.store
    session = await store.session("c")
    async with asyncio.timeout(10):
        while not await http.live.is_settled(session.id):
            await asyncio.sleep(0.005)
    page = await store.read_transcript(session.id)

    assert [b'"role":"user"' in body for body in page.messages] == [True, False]
    assert (await store.session("c")).in_tail == 1
