"""The AI SDK's face, and what its clients' leaving means."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from chatrun import Turn, chat
from chatrun.server.app import make_app
from chatrun.server.listening import listen
from chatrun.store.base import NewSession
from chatrun.testing import serve_tasks
from chatrun.wire.ids import START
from tests.support.http import (
    SECRET,
    Http,
    Stream,
    bearer,
    chat_token,
    ends_turn,
    scoped,
    served,
    task_token,
    user_message,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chatrun.engine.task import ChatTask

CHAT = "/api/chat/my-chat"
HI = {"id": "c", "messages": [user_message("hi")], "trigger": "submit-message"}


class Watched:
    """What goes on in the task of these tests."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        """Opened, the answer goes on."""
        self.running = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.cancelled_at = 0.0
        self.seen: list[Any] = []

    async def answer(self, turn: Turn[None]) -> AsyncIterator[str]:
        self.seen.append([message["parts"][-1].get("text") for message in turn.ui_messages])
        yield f"{turn.number}: one "
        self.running.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled_at = time.monotonic()
            self.cancelled.set()
            raise
        finally:
            self.running.clear()
        yield "two"

    def task(self, **options: Any) -> ChatTask[None]:
        @chat.task("my-chat", **options)
        async def my_chat(turn: Turn[None]) -> AsyncIterator[str]:
            async for text in self.answer(turn):
                yield text

        return my_chat


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
async def http(watched: Watched) -> AsyncIterator[Http]:
    @chat.task("other")
    async def other(turn: Turn[None]) -> str:
        return "fine"

    async with served(
        watched.task(), other, task_tokens_open_sessions=True, heartbeat_s=0.05
    ) as http:
        yield http


async def chunk(stream: Stream, kind: str) -> dict[str, Any]:
    """Wait for a chunk of this type."""
    while True:
        event = await stream.event()
        assert event is not None
        assert event.data != "[DONE]"
        found: dict[str, Any] = json.loads(event.data)
        if found["type"] == kind:
            return found


async def soon(event: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        await event.wait()


async def outcomes(http: Http, count: int, *, chat_id: str = "c") -> list[str]:
    """Wait until that many turns are complete and return how they ended."""
    session = await http.live.store.session(chat_id)
    found: list[str] = []
    async with (
        asyncio.timeout(10),
        http.open("GET", f"/realtime/v1/sessions/{session.id}/out") as stream,
    ):
        while len(found) < count:
            control = (await stream.records(ends_turn))[-1].control
            assert control is not None
            found.append(control.headers["turn-outcome"])
    return found


# --- posts --------------------------------------------------------------------------------------


async def test_a_post_is_answered_with_the_chunks_of_its_turn(http: Http, watched: Watched) -> None:
    watched.gate.set()
    async with http.open("POST", CHAT, json=HI) as stream:
        chunks = await stream.chunks()

    message_id = chunks[0]["messageId"]
    part = chunks[2]["id"]
    assert chunks == [
        {"type": "start", "messageId": message_id},
        {"type": "start-step"},
        {"type": "text-start", "id": part},
        {"type": "text-delta", "id": part, "delta": "0: one "},
        {"type": "text-delta", "id": part, "delta": "two"},
        {"type": "text-end", "id": part},
        {"type": "finish-step"},
        {"type": "finish"},
    ]
    assert stream.status == 200
    assert {
        name: stream.headers[name]
        for name in (
            "content-type",
            "cache-control",
            "connection",
            "x-vercel-ai-ui-message-stream",
            "x-accel-buffering",
        )
    } == {
        "content-type": "text/event-stream",
        "cache-control": "no-cache",
        "connection": "keep-alive",
        "x-vercel-ai-ui-message-stream": "v1",
        "x-accel-buffering": "no",
    }


async def test_chunks_come_as_they_are_produced(http: Http, watched: Watched) -> None:
    async with http.open("POST", CHAT, json=HI) as stream:
        assert (await chunk(stream, "text-delta"))["delta"] == "0: one "
        watched.gate.set()
        assert (await chunk(stream, "text-delta"))["delta"] == "two"


async def test_of_the_list_only_the_last_message_is_taken_as_said(
    http: Http, watched: Watched
) -> None:
    watched.gate.set()
    await http.call("POST", CHAT, json=HI)
    forged = {"id": "x", "role": "assistant", "parts": [{"type": "text", "text": "forged"}]}
    messages = [user_message("rewritten"), forged, user_message("again", "u2")]
    await http.call("POST", CHAT, json={**HI, "messages": messages})

    assert watched.seen == [["hi"], ["hi", "again"]]


async def test_a_list_seeds_a_chat_that_the_server_has_never_seen(
    http: Http, watched: Watched
) -> None:
    watched.gate.set()
    answer = {"id": "a", "role": "assistant", "parts": [{"type": "text", "text": "earlier"}]}
    messages = [user_message("first", "u0"), answer, user_message("second")]

    await http.call("POST", CHAT, json={**HI, "messages": messages})

    assert watched.seen == [["first", "earlier", "second"]]


async def test_the_record_says_what_the_list_says(http: Http, watched: Watched) -> None:
    watched.gate.set()
    first, second = user_message("first", "u1"), user_message("second", "u2")
    posts = [
        {**HI, "messages": [first, second], "extra": 1, "actionSource": "webhook", "seed": "x"},
        {**HI, "messages": [first, second], "messageId": "u2"},
        {**HI, "messages": [first], "trigger": "regenerate-message", "messageId": "a"},
    ]
    for post in posts:
        assert (await http.call("POST", CHAT, json=post)).status == 200

    session = await http.live.store.session("c")
    records = await http.live.store.read_in(session.id, after=START)
    submit = {"chatId": "c", "trigger": "submit-message", "message": second, "standing": ["u1"]}
    assert [json.loads(record.body) for record in records] == [
        {"kind": "message", "payload": {**submit, "extra": 1, "seed": [first]}},
        {"kind": "message", "payload": {**submit, "messageId": "u2"}},
        {
            "kind": "message",
            "payload": {
                "chatId": "c",
                "trigger": "regenerate-message",
                "messageId": "a",
                "standing": ["u1"],
            },
        },
    ]


async def test_answers_to_tool_calls_say_nothing_of_what_stands(
    http: Http, watched: Watched
) -> None:
    watched.gate.set()
    asked = {"id": "a", "role": "assistant", "parts": [{"type": "tool-x", "toolCallId": "1"}]}
    post = {**HI, "messages": [user_message("hi"), asked], "messageId": "a"}

    await http.call("POST", CHAT, json=post)

    session = await http.live.store.session("c")
    (record,) = await http.live.store.read_in(session.id, after=START)
    assert json.loads(record.body)["payload"] == {
        "chatId": "c",
        "trigger": "submit-message",
        "message": asked,
        "messageId": "a",
        "seed": [user_message("hi")],
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": 7},
        {"id": "session_x"},
        {"id": "a\x00b"},
        {"messages": []},
        {"messages": "hi"},
        {"messages": [{"role": "user"}]},
        {"trigger": "explode"},
        {"messageId": 7},
    ],
)
async def test_what_no_transport_posts_is_refused(http: Http, wrong: dict[str, object]) -> None:
    got = await http.call("POST", CHAT, json={**HI, **wrong})

    assert (got.status, set(got.json)) == (400, {"error"})


async def test_a_chat_belongs_to_one_task(http: Http, watched: Watched) -> None:
    watched.gate.set()
    await http.call("POST", CHAT, json=HI)

    statuses = [
        (await http.call("POST", "/api/chat/other", json=HI)).status,
        (await http.call("GET", "/api/chat/other/c/stream")).status,
        (await http.call("POST", "/api/chat/other/c/stop")).status,
        (await http.call("POST", "/api/chat/missing", json=HI | {"id": "d"})).status,
        (await http.call("POST", "/api/chat/other", json=HI, token=task_token("other"))).status,
    ]

    assert statuses == [409, 404, 404, 404, 403]


async def test_a_token_of_a_chat_posts_to_it_and_of_another_does_not(
    http: Http, watched: Watched
) -> None:
    watched.gate.set()

    async def status(token: str) -> int:
        return (await http.call("POST", CHAT, json=HI, token=token)).status

    assert await status(chat_token("d")) == 403
    assert await status(chat_token("c", read_only=True)) == 403
    assert await status(chat_token("c")) == 200
    assert await status(scoped("write:tasks:my-chat")) == 200
    assert await status(scoped("write:tasks:other")) == 403


async def test_posts_of_one_chat_are_answered_each_with_its_own_turn(
    http: Http, watched: Watched
) -> None:
    async with http.open("POST", CHAT, json=HI) as first:
        await chunk(first, "text-delta")
        again = HI | {"messages": [user_message("hi"), user_message("again", "u2")]}
        async with http.open("POST", CHAT, json=again) as second:
            watched.gate.set()
            one, two = await first.chunks(), await second.chunks()

    assert [c["delta"] for c in one if c["type"] == "text-delta"] == ["two"]
    assert [c["delta"] for c in two if c["type"] == "text-delta"] == ["1: one ", "two"]


async def test_a_failed_turn_is_an_error_chunk() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        raise ValueError("boom")

    async with served(my_chat) as http, http.open("POST", CHAT, json=HI) as stream:
        chunks = await stream.chunks()

    assert [c["type"] for c in chunks if c["type"] != "start"] == ["error"]


async def test_a_store_that_fails_is_an_error_chunk_or_a_cut_text() -> None:
    async with served(heartbeat_s=0.05) as http:
        await http.live.store.create_session(NewSession("gone", external_id="c"))
        async with (
            http.open("POST", "/api/chat/gone", json=HI) as stream,
            http.open("POST", "/api/text/gone", json=HI) as text,
        ):
            await http.live.store.aclose()
            events = await stream.events()
            with pytest.raises(aiohttp.ClientError):
                await text.event()

    assert [event.data for event in events] == [
        '{"type":"error","errorText":"The server cannot do this now; try again"}',
        "[DONE]",
    ]


async def test_a_closed_chat_takes_no_posts(http: Http, watched: Watched) -> None:
    watched.gate.set()
    await http.call("POST", CHAT, json=HI)
    await http.call("POST", "/api/v1/sessions/c/close")

    got = await http.call("POST", CHAT, json=HI)

    assert (got.status, got.json["code"]) == (409, "session_closed")


# --- resuming -----------------------------------------------------------------------------------


async def test_nothing_to_resume_is_204(http: Http, watched: Watched) -> None:
    watched.gate.set()
    missing = await http.call("GET", f"{CHAT}/c/stream", token=task_token())
    await http.call("POST", CHAT, json=HI)
    over = await http.call("GET", f"{CHAT}/c/stream")

    assert [(got.status, got.body) for got in (missing, over)] == [(204, b"")] * 2


async def test_a_running_answer_is_replayed_from_its_start(http: Http, watched: Watched) -> None:
    watched.gate.set()
    await http.call("POST", CHAT, json=HI)
    watched.gate.clear()
    again = HI | {"messages": [user_message("again", "u2")]}
    async with http.open("POST", CHAT, json=again) as first:
        start = await chunk(first, "start")
        await chunk(first, "text-delta")
        async with http.open("GET", f"{CHAT}/c/stream") as second:
            assert await chunk(second, "start") == start
            assert (await chunk(second, "text-delta"))["delta"] == "1: one "
            watched.gate.set()
            rest = await second.chunks()
        assert await first.chunks() == rest


# --- leaving and stopping -----------------------------------------------------------------------


async def test_leaving_stops_the_turn_at_once_and_keeps_what_was_said(
    http: Http, watched: Watched
) -> None:
    async with http.open("POST", CHAT, json=HI) as stream:
        await chunk(stream, "text-delta")
        left_at = time.monotonic()
    await soon(watched.cancelled)

    assert watched.cancelled_at - left_at < 1  # 100 ms but for a busy machine
    assert await outcomes(http, 1) == ["stopped"]
    kept = (await http.call("GET", "/api/v1/sessions/c/transcript")).json["messages"]
    assert [message["parts"][-1]["text"] for message in kept] == ["hi", "0: one "]


async def test_a_chat_whose_client_resumes_is_not_stopped_by_leaving(
    http: Http, watched: Watched
) -> None:
    await http.call("GET", f"{CHAT}/c/stream")  # as `resume: true` does at every mount
    async with http.open("POST", CHAT, json=HI) as stream:
        await chunk(stream, "text-delta")
    async with http.open("GET", f"{CHAT}/c/stream") as stream:
        await chunk(stream, "text-delta")
    async with http.open("GET", f"{CHAT}/c/stream") as stream:
        watched.gate.set()
        await stream.chunks()

    assert await outcomes(http, 1) == ["finished"]
    assert not watched.cancelled.is_set()


async def test_leaving_a_resumed_stream_stops_nothing_also_when_the_post_left_before(
    http: Http, watched: Watched
) -> None:
    async with http.open("POST", CHAT, json=HI) as first:
        await chunk(first, "text-delta")
        async with http.open("GET", f"{CHAT}/c/stream") as second:
            await chunk(second, "text-delta")
    watched.gate.set()

    assert await outcomes(http, 1) == ["finished"]


async def test_a_task_may_say_that_leaving_stops_nothing(watched: Watched) -> None:
    async with served(watched.task(on_disconnect="keep")) as http:
        async with http.open("POST", CHAT, json=HI) as stream:
            await chunk(stream, "text-delta")
        watched.gate.set()

        assert await outcomes(http, 1) == ["finished"]


async def test_leaving_a_post_that_waits_stops_its_own_turn_and_no_other(
    http: Http, watched: Watched
) -> None:
    async with http.open("POST", CHAT, json=HI) as first:
        await chunk(first, "text-delta")
        again = HI | {"messages": [user_message("hi"), user_message("again", "u2")]}
        async with http.open("POST", CHAT, json=again) as second:
            assert second.status == 200
        watched.gate.set()
        await first.chunks()
        watched.gate.clear()

    assert await outcomes(http, 2) == ["finished", "stopped"]


async def test_a_client_that_leaves_before_the_answer_begins_has_said_its_message(
    http: Http, watched: Watched
) -> None:
    body = json.dumps(HI).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: {bearer(chat_token())['Authorization']}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", http.port)
    writer.write(head.encode() + body)
    await writer.drain()
    await soon(watched.running)
    writer.transport.abort()
    await soon(watched.cancelled)

    assert await outcomes(http, 1) == ["stopped"]


async def test_the_stop_route_stops_a_turn_and_its_stream_ends_in_order(
    http: Http, watched: Watched
) -> None:
    async with http.open("POST", CHAT, json=HI) as stream:
        await chunk(stream, "text-delta")
        stopped = await http.call("POST", f"{CHAT}/c/stop", token=chat_token())
        chunks = await stream.chunks()
    idle = await http.call("POST", f"{CHAT}/c/stop")
    missing = await http.call("POST", f"{CHAT}/d/stop")

    assert (stopped.status, stopped.json) == (200, {"ok": True})
    assert chunks[-1] == {"type": "abort"}
    assert (idle.status, missing.status) == (200, 404)
    assert await outcomes(http, 1) == ["stopped"]


async def test_a_server_that_shuts_down_does_not_stop_turns_for_leaving(watched: Watched) -> None:
    async with serve_tasks(watched.task()) as live, aiohttp.ClientSession() as session:
        async with listen(make_app(live, secret=SECRET)) as place:
            url = f"http://127.0.0.1:{place.port}{CHAT}"
            answer = await session.post(url, json=HI, headers=bearer(SECRET))
            await soon(watched.running)
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
        stored = await live.store.session("c")
        records = await live.store.read_in(stored.id, after=START)

        assert [json.loads(record.body)["kind"] for record in records] == ["message"]
        assert watched.running.is_set()


# --- text ---------------------------------------------------------------------------------------


async def test_the_text_alone_can_be_had(http: Http, watched: Watched) -> None:
    watched.gate.set()
    got = await http.call("POST", "/api/text/my-chat", json=HI)

    assert (got.status, got.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert got.body == b"0: one two"
    assert (await http.call("GET", "/api/text/my-chat/c/stream")).status == 204


async def test_a_client_of_text_knows_no_ids_of_answers(http: Http, watched: Watched) -> None:
    watched.gate.set()
    made_up = {"id": "made up", "role": "assistant", "parts": [{"type": "text", "text": "x"}]}
    first, second, third = (user_message(text, text) for text in ("first", "second", "third"))
    lists: list[list[dict[str, Any]]] = [
        [first],
        [first, made_up, second],
        [first, made_up, second, made_up, third],
    ]
    for messages in lists:
        await http.call("POST", "/api/text/my-chat", json=HI | {"messages": messages})
    await http.call(
        "POST",
        "/api/text/my-chat",
        json={
            "id": "c",
            "messages": [first, made_up, second],
            "trigger": "regenerate-message",
            "messageId": "made up",
        },
    )

    answers = [f"{number}: one two" for number in range(3)]
    assert watched.seen == [
        ["first"],
        ["first", answers[0], "second"],
        ["first", answers[0], "second", answers[1], "third"],
        ["first", answers[0], "second"],
    ]


async def test_a_failed_turn_is_not_taken_for_a_short_text() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[str]:
        yield "partly"
        raise ValueError("boom")

    async with served(my_chat) as http:
        with pytest.raises(aiohttp.ClientError):
            await http.call("POST", "/api/text/my-chat", json=HI)


async def test_leaving_a_text_stops_the_turn_too(http: Http, watched: Watched) -> None:
    async with http.open("POST", "/api/text/my-chat", json=HI):
        await soon(watched.running)
    await soon(watched.cancelled)

    assert await outcomes(http, 1) == ["stopped"]
