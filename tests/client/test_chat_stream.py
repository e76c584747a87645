"""An answer as it is read, against a server that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from chatrun.client.agent_chat import AgentChat
from chatrun.client.timing import Timing
from chatrun.errors import (
    InvalidInput,
    LinkBroken,
    SecretMissing,
    SessionBusy,
    SessionClosed,
    TaskFailed,
)
from chatrun.messages.types import user_message
from chatrun.wire.secret import load_secret
from tests.client.scripted import Connection, ScriptedServer, chunk, control, text_turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

QUICK = Timing(first_wait_s=0.001, longest_wait_s=0.002, away_s=0.1, stall_s=5)


@asynccontextmanager
async def chatting(server: ScriptedServer, **options: Any) -> AsyncIterator[AgentChat]:
    options = {"secret": "s", "id": "c", "timing": QUICK, **options}
    async with AgentChat("my-task", url=server.url, **options) as chat:
        yield chat


def sent(server: ScriptedServer) -> list[Any]:
    """Return what was appended: payloads of messages, and other records as they are."""
    return [record.get("payload", record) for _, record in server.appended]


async def test_a_message_is_sent_once_and_its_answer_read(server: ScriptedServer) -> None:
    server.connections.append(Connection(text_turn(0, "Hi!", answers=0), stays=True))

    async with chatting(server, client_data={"user": 1}) as chat:
        assert await chat.send("Hello").text() == "Hi!"

    payload = sent(server)[0]
    message = {**payload.pop("message")}
    assert message.pop("id").startswith("msg_")
    assert message == {"role": "user", "parts": [{"type": "text", "text": "Hello"}]}
    assert payload == {"chatId": "c", "trigger": "submit-message", "metadata": {"user": 1}}
    assert server.started[0]["taskIdentifier"] == "my-task"
    assert server.started[0]["triggerConfig"]["basePayload"] == {
        "trigger": "preload",
        "chatId": "c",
        "metadata": {"user": 1},
    }
    assert [message["role"] for message in chat.messages] == ["user", "assistant"]


async def test_the_next_answer_is_read_behind_the_last_one(server: ScriptedServer) -> None:
    server.connections.append(
        Connection(text_turn(0, "A", answers=0) + text_turn(7, "B", answers=1), stays=True)
    )

    async with chatting(server) as chat:
        assert await chat.send("a").text() == "A"
        assert await chat.send("b").text() == "B"

    assert [connection.get("last-event-id") for connection in server.opened] == [None, "6"]
    assert len(server.started) == 1


async def test_an_earlier_answer_that_nobody_read_is_passed_over_but_kept(
    server: ScriptedServer,
) -> None:
    server.connections.append(
        Connection(text_turn(0, "A", answers=0) + text_turn(7, "B", answers=1), stays=True)
    )

    async with chatting(server) as chat:
        unread = await chat.send("a")
        assert await chat.send("b").text() == "B"

    assert unread.answer.text == ""

    texts = [message["parts"][0].get("text") for message in chat.messages]
    assert texts == ["a", "A", "b", "B"]


async def test_a_result_has_tools_outcome_and_message(server: ScriptedServer) -> None:
    call = {"toolCallId": "t1", "toolName": "add"}
    server.connections.append(
        Connection(
            [
                chunk(0, "start", messageId="m"),
                chunk(1, "tool-input-available", **call, input={"a": 1}),
                chunk(2, "tool-output-available", toolCallId="t1", output=0, preliminary=True),
                chunk(3, "tool-output-available", toolCallId="t1", output=2),
                chunk(4, "tool-input-available", **{**call, "toolCallId": "t2"}, input={}),
                chunk(5, "tool-output-error", toolCallId="t2", errorText="no"),
                control(6, "turn-complete", session_in_event_id="0", turn_outcome="stopped"),
            ],
            stays=True,
        )
    )

    async with chatting(server) as chat:
        result = await chat.send("x").result()

    assert result.text == ""
    assert result.tool_calls == (
        {**call, "input": {"a": 1}},
        {**call, "toolCallId": "t2", "input": {}},
    )
    assert result.tool_results == (
        {"toolCallId": "t1", "output": 2},
        {"toolCallId": "t2", "errorText": "no"},
    )
    assert (result.outcome, result.error) == ("stopped", None)
    assert result.message == chat.messages[-1]
    assert result.message["id"] == "m"


async def test_a_failed_turn_raises_for_text_and_tells_in_a_result(server: ScriptedServer) -> None:
    records = [
        chunk(0, "error", errorText="It broke."),
        control(1, "turn-complete", session_in_event_id="0"),
        chunk(2, "error", errorText="It broke."),
        control(3, "turn-complete", session_in_event_id="1"),
    ]
    server.connections.append(Connection(records, stays=True))

    async with chatting(server) as chat:
        with pytest.raises(TaskFailed, match=r"It broke\."):
            await chat.send("x").text()
        assert (await chat.send("y").result()).error == "It broke."


async def test_chunks_come_one_by_one(server: ScriptedServer) -> None:
    server.connections.append(Connection(text_turn(0, "Hi", answers=0), stays=True))

    async with chatting(server) as chat:
        kinds = [found["type"] async for found in chat.send("x")]

    assert kinds == ["start", "text-start", "text-delta", "text-end", "finish"]


async def test_the_message_can_be_watched_growing(server: ScriptedServer) -> None:
    server.connections.append(Connection(text_turn(0, "Hi", answers=0), stays=True))

    async with chatting(server) as chat:
        texts = [message["parts"][0].get("text") async for message in chat.send("x").messages()]

    assert texts == ["", "Hi", "Hi", "Hi"]


async def test_an_answer_is_read_in_one_way_only(server: ScriptedServer) -> None:
    server.connections.append(Connection(text_turn(0, "Hi", answers=0), stays=True))

    async with chatting(server) as chat:
        stream = chat.send("x")
        await stream.text()
        with pytest.raises(InvalidInput, match="already read, as its text"):
            await stream.result()


async def test_two_answers_cannot_be_read_at_once(server: ScriptedServer) -> None:
    server.connections.append(Connection([chunk(0, "start", messageId="m")], stays=True))

    async with chatting(server) as chat, chat.send("x") as first:
        await anext(aiter(first))
        with pytest.raises(SessionBusy, match="aclose"):
            await chat.send("y").text()


async def test_an_answer_that_was_dropped_does_not_block_the_next(server: ScriptedServer) -> None:
    server.connections += [
        Connection(text_turn(0, "A", answers=0)[:3], stays=True),
        Connection(text_turn(0, "A", answers=0) + text_turn(7, "B", answers=1), stays=True),
    ]

    async with chatting(server) as chat:
        async for _ in chat.send("a"):
            break
        gc.collect()
        assert await chat.send("b").text() == "B"


async def test_a_send_that_is_cancelled_stops_its_turn(server: ScriptedServer) -> None:
    server.connections.append(Connection([chunk(0, "start", messageId="m")], stays=True))

    async with chatting(server) as chat:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await chat.send("x").text()

    assert sent(server)[1:] == [{"kind": "stop", "turn": 0}]


async def test_leaving_an_answer_early_stops_its_turn(server: ScriptedServer) -> None:
    server.connections.append(Connection([chunk(0, "start", messageId="m")], stays=True))

    async with chatting(server) as chat:
        async with chat.send("x") as stream:
            await anext(aiter(stream))

    assert sent(server)[1:] == [{"kind": "stop", "turn": 0}]


async def test_leaving_a_chat_stops_nothing(server: ScriptedServer) -> None:
    server.connections.append(Connection([chunk(0, "start", messageId="m")], stays=True))

    async with chatting(server) as chat:
        stream = chat.send("x")
        await anext(aiter(stream))

    assert len(server.appended) == 1


async def test_leaving_a_resumed_answer_does_not_stop_it(server: ScriptedServer) -> None:
    server.connections.append(Connection([chunk(0, "start", messageId="m")], stays=True))

    async with chatting(server) as chat:
        stream = await chat.resume()
        assert stream is not None
        async with stream:
            await anext(aiter(stream))

    assert server.appended == []
    assert server.opened[0]["x-peek-settled"] == "1"


async def test_nothing_is_resumed_where_nothing_runs(server: ScriptedServer) -> None:
    server.connections.append(Connection([control(0, "turn-complete")], settled=True))

    async with chatting(server) as chat:
        assert await chat.resume() is None
        assert chat.state == {"id": "c", "task": "my-task", "lastEventId": 0}


async def test_an_answer_that_ended_meanwhile_is_still_read(server: ScriptedServer) -> None:
    server.connections.append(Connection(text_turn(3, "Hi", answers=0), settled=True))
    state = {"id": "c", "task": "my-task", "lastEventId": 2}

    async with chatting(server, session_state=state) as chat:
        stream = await chat.resume()
        assert stream is not None
        assert await stream.text() == "Hi"

    assert server.opened[0]["last-event-id"] == "2"


async def test_the_state_in_mid_turn_is_the_one_before_it(server: ScriptedServer) -> None:
    turns = text_turn(0, "A", answers=0) + text_turn(7, "B", answers=1)[:4]
    server.connections.append(Connection(turns, stays=True))

    async with chatting(server) as chat:
        await chat.send("a").text()
        stream = chat.send("b")
        chunks = aiter(stream)
        for _ in range(3):
            await anext(chunks)
        assert chat.state == {"id": "c", "task": "my-task", "lastEventId": 6}


async def test_a_history_is_where_the_chat_goes_on(server: ScriptedServer) -> None:
    message = user_message("a", message_id="u")
    server.transcript = {"messages": [message], "cursors": {"lastOutEventId": "6"}}
    server.connections.append(
        Connection(text_turn(0, "A", answers=0) + text_turn(7, "B", answers=0), stays=True)
    )

    async with chatting(server) as chat:
        assert await chat.history() == [message]
        assert await chat.send("b").text() == "B"

    assert server.opened[0]["last-event-id"] == "6"


async def test_a_session_that_is_gone_is_started_again(server: ScriptedServer) -> None:
    server.append_statuses.append(404)
    server.connections.append(Connection(text_turn(0, "Hi", answers=0), stays=True))
    state = {"id": "c", "task": "my-task", "lastEventId": 99}

    async with chatting(server, session_state=state) as chat:
        assert await chat.send("x").text() == "Hi"

    assert len(server.started) == 1
    part_ids = [part_id for part_id, _ in server.tries]
    assert part_ids[0] == part_ids[1]
    assert "last-event-id" not in server.opened[0]


async def test_a_token_that_may_not_start_sessions_just_sends(server: ScriptedServer) -> None:
    server.start_status = 403
    server.connections.append(Connection(text_turn(0, "Hi", answers=0), stays=True))

    async with chatting(server, secret=None, token="t") as chat:
        assert await chat.send("x").text() == "Hi"


async def test_a_token_of_a_turns_end_is_used_and_kept(server: ScriptedServer) -> None:
    records = [
        control(0, "turn-complete", session_in_event_id="0", public_access_token="next"),
        control(1, "turn-complete", session_in_event_id="1"),
    ]
    server.connections.append(Connection(records, stays=True))

    async with chatting(server, secret=None, token="mine") as chat:
        await chat.send("a").text()
        assert chat.state["token"] == "next"
        await chat.send("b").text()

    assert [bearer for _, bearer in server.tries] == ["fresh", "next"]


async def test_a_session_that_is_closed_says_so(server: ScriptedServer) -> None:
    closed = control(0, "session-closed", session_closed_reason="done")
    server.connections.append(Connection([closed], stays=True))

    async with chatting(server) as chat:
        with pytest.raises(SessionClosed) as caught:
            await chat.send("x").text()
        server.append_statuses.append(409)
        with pytest.raises(SessionClosed):
            assert not await chat.send("y")

    assert caught.value.reason == "done"
    assert [message["role"] for message in chat.messages] == ["user"], "y never arrived"


async def test_an_answer_can_be_resumed_after_its_stream_was_lost(server: ScriptedServer) -> None:
    whole = text_turn(0, "Hi", answers=0)
    server.connections += [Connection(whole[:3]), *[Connection([])] * 6]
    server.connections.append(Connection(whole, stays=True))

    async with chatting(server, timing=Timing(first_wait_s=0.001, max_ends=3)) as chat:
        with pytest.raises(LinkBroken, match="broke off"):
            await chat.send("x").text()
        server.connections.clear()
        server.connections.append(Connection(whole, stays=True))
        stream = await chat.resume()
        assert stream is not None
        assert await stream.text() == "Hi"

    assert chat.messages[-1]["parts"] == [{"type": "text", "text": "Hi", "state": "done"}]


async def test_a_stop_before_anything_was_said_does_nothing(server: ScriptedServer) -> None:
    async with chatting(server) as chat:
        await chat.stop()

    assert server.appended == []


async def test_a_steered_message_waits_for_its_turn(server: ScriptedServer) -> None:
    server.connections.append(Connection(text_turn(0, "A", answers=0), stays=True))

    async with chatting(server) as chat:
        asked = await chat.send("a")
        await chat.steer("b")
        stream = await chat.resume()
        assert stream is not None
        assert await stream.text() == "A"

    assert asked.answer.outcome is None, "it was resumed by another"
    assert [record["message"]["parts"][0]["text"] for record in sent(server)] == ["a", "b"]
    assert [message["parts"][0].get("text") for message in chat.messages] == ["a", "A", "b"]


async def test_other_things_are_asked_for_by_their_triggers(server: ScriptedServer) -> None:
    ends = [control(seq, "turn-complete", session_in_event_id=str(seq)) for seq in range(4)]
    server.connections.append(Connection(ends, stays=True))

    async with chatting(server) as chat:
        await chat.regenerate().text()
        await chat.regenerate("m").text()
        await chat.action({"type": "undo"}).text()
        await chat.edit("u", "new").text()
        await chat.close()

    assert sent(server) == [
        {"chatId": "c", "trigger": "regenerate-message"},
        {"chatId": "c", "trigger": "regenerate-message", "messageId": "m"},
        {"chatId": "c", "trigger": "action", "action": {"type": "undo"}},
        {
            "chatId": "c",
            "trigger": "submit-message",
            "message": {"id": "u", "role": "user", "parts": [{"type": "text", "text": "new"}]},
            "messageId": "u",
        },
        {"chatId": "c", "trigger": "close"},
    ]


async def test_tools_that_wait_are_answered(server: ScriptedServer) -> None:
    call = {"toolCallId": "t1", "toolName": "rm"}
    records = [
        chunk(0, "start", messageId="m"),
        chunk(1, "tool-input-available", **call, input={}),
        chunk(2, "tool-approval-request", approvalId="p", toolCallId="t1"),
        control(3, "turn-complete", session_in_event_id="0"),
        chunk(4, "start", messageId="m"),
        chunk(5, "tool-output-available", toolCallId="t1", output="gone"),
        control(6, "turn-complete", session_in_event_id="1"),
    ]
    server.connections.append(Connection(records, stays=True))

    async with chatting(server) as chat:
        await chat.send("x").text()
        assert [part["toolCallId"] for part in chat.waiting_tools] == ["t1"]
        with pytest.raises(InvalidInput, match="t2"):
            assert not chat.approve({"t2": True})
        result = await chat.approve({"t1": True}, reason="fine").result()

    approval = {"id": "p", "approved": True, "reason": "fine"}
    assert sent(server)[1]["message"] == {
        "id": "m",
        "role": "assistant",
        "parts": [
            {
                "type": "tool-rm",
                "toolCallId": "t1",
                "state": "approval-responded",
                "approval": approval,
            }
        ],
    }
    assert result.tool_results == ({"toolCallId": "t1", "output": "gone"},)
    assert len(chat.messages) == 2
    assert chat.waiting_tools == []


def test_a_stream_that_nobody_used_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = AgentChat("my-task", secret="s")

    stream = chat.send("x")

    with pytest.warns(RuntimeWarning, match="nothing was sent"):
        del stream
        gc.collect()


def test_a_chat_needs_something_that_opens_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CHATRUN_SECRET_KEY", raising=False)
    monkeypatch.delenv("CHATRUN_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SecretMissing, match="CHATRUN_SECRET_KEY"):
        AgentChat("my-task")
    load_secret(tmp_path)
    assert AgentChat("my-task").transport.url == "http://localhost:2428"

    monkeypatch.setenv("CHATRUN_SECRET_KEY", "s")
    monkeypatch.setenv("CHATRUN_URL", "http://chat.test")
    chat = AgentChat("my-task")

    assert chat.transport.url == "http://chat.test"
    assert chat.id.startswith("chat-")
