"""`AgentChat` and a real `chatrun dev`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from chatrun.client.agent_chat import AgentChat
from chatrun.client.transport import Transport
from chatrun.errors import ScopeMissing, SessionClosed, TaskFailed, TaskNotFound, TokenInvalid
from chatrun.wire.tokens import mint_session, mint_task
from tests.support.server import dev_server
from tests.support.talkative import TALKATIVE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.server import DevServer


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the module, in which its server lives."""
    return "asyncio"


@pytest.fixture(scope="module")
async def dev() -> AsyncIterator[DevServer]:
    """A `chatrun dev` with a talkative task."""
    async with dev_server({"tasks/talk.py": TALKATIVE}) as server:
        yield server


def chat_with(dev: DevServer, chat_id: str | None = None) -> AgentChat:
    return AgentChat("talk", url=dev.url, secret=dev.secret, id=chat_id)


async def test_a_chat_remembers(dev: DevServer) -> None:
    async with chat_with(dev) as chat:
        assert await chat.send("one").text() == "You said: one"
        assert await chat.send("recall").text() == "one | You said: one"
        assert await chat.history() == chat.messages
        assert len(chat.messages) == 4


async def test_a_stopped_answer_keeps_what_was_said(dev: DevServer) -> None:
    async with chat_with(dev) as chat:
        async with chat.send("wait") as stream:
            async for chunk in stream:
                if chunk["type"] == "text-delta":
                    await chat.stop()
        assert stream.answer.text == "I wait."
        assert stream.answer.outcome == "stopped"
        assert await chat.send("hello").text() == "You said: hello"
        assert await chat.history() == chat.messages


async def test_two_messages_at_once_are_answered_in_order(dev: DevServer) -> None:
    async with chat_with(dev) as chat:
        first, second = await chat.send("one"), await chat.send("two")

        assert await first.text() == "You said: one"
        assert await second.text() == "You said: two"
        assert await chat.history() == chat.messages


async def test_a_failed_turn_tells_why_and_the_chat_goes_on(dev: DevServer) -> None:
    async with chat_with(dev) as chat:
        with pytest.raises(TaskFailed, match="ValueError: it broke"):
            await chat.send("fail").text()
        assert await chat.send("again").text() == "You said: again"


async def test_an_edit_and_a_regenerate_change_what_was_said(dev: DevServer) -> None:
    async with chat_with(dev) as chat:
        await chat.send("one").text()
        await chat.send("two").text()
        first = chat.messages[0]["id"]

        assert await chat.regenerate().text() == "You said: two"
        assert len(chat.messages) == 4
        assert await chat.edit(first, "three").text() == "You said: three"
        assert len(chat.messages) == 2
        assert await chat.history() == chat.messages


async def test_a_tool_that_was_approved_goes_on(dev: DevServer) -> None:
    async with chat_with(dev) as chat:
        await chat.send("paint").result()
        result = await chat.approve({"c1": True}).result()

        assert result.text == "It is painted."
        assert result.tool_results == ({"toolCallId": "c1", "output": "blue"},)
        assert await chat.history() == chat.messages


async def test_another_client_resumes_an_answer_from_its_beginning(dev: DevServer) -> None:
    async with chat_with(dev) as chat, chat_with(dev, chat.id) as other:
        async with chat.send("wait") as stream:
            chunks = aiter(stream)
            while (await anext(chunks))["type"] != "text-delta":
                pass
            resumed = await other.resume()
            assert resumed is not None
            replayed = aiter(resumed)
            kinds = [(await anext(replayed))["type"] for _ in range(4)]
            await resumed.aclose()

    assert kinds == ["start", "start-step", "text-start", "text-delta"]


async def test_a_chat_goes_on_from_its_state(dev: DevServer) -> None:
    async with chat_with(dev) as chat:
        await chat.send("one").text()
        state = chat.state

    async with AgentChat("talk", url=dev.url, secret=dev.secret, session_state=state) as later:
        assert later.id == chat.id
        assert await later.resume() is None
        assert await later.send("recall").text() == "one | You said: one"


async def test_nothing_is_resumed_in_a_chat_in_which_nothing_was_said(dev: DevServer) -> None:
    async with chat_with(dev, "never-used") as chat:
        assert await chat.resume() is None, "it does not exist"
        await chat.preload()
        assert await chat.resume() is None, "it only exists"
        first = await chat.send("hello")
        stream = await chat.resume()
        assert stream is not None
        assert await stream.text() == "You said: hello"

    assert first.answer.text == "", "another stream read it"


async def test_a_token_of_the_task_is_enough(dev: DevServer) -> None:
    token = mint_task(dev.secret, "talk")

    async with AgentChat("talk", url=dev.url, token=token) as chat:
        assert await chat.send("hi").text() == "You said: hi"
        assert await chat.send("recall").text() == "hi | You said: hi"
        state = chat.state

    assert state["token"] != token, "the session's own token was adopted"
    async with AgentChat("talk", url=dev.url, session_state=state) as later:
        assert await later.send("there").text() == "You said: there"


async def test_a_token_of_one_session_opens_that_one_only(dev: DevServer) -> None:
    async with chat_with(dev, "mine") as chat:
        await chat.send("hi").text()
    token = mint_session(dev.secret, "mine")

    async with AgentChat("talk", url=dev.url, token=token, id="mine") as chat:
        assert await chat.send("hi").text() == "You said: hi"
    async with AgentChat("talk", url=dev.url, token=token, id="yours") as chat:
        with pytest.raises(ScopeMissing):
            await chat.send("hi").text()


async def test_wrong_keys_and_tasks_are_named(dev: DevServer) -> None:
    async with AgentChat("talk", url=dev.url, secret="wrong") as chat:
        with pytest.raises(TokenInvalid):
            await chat.send("hi").text()
    async with AgentChat("talkk", url=dev.url, secret=dev.secret) as chat:
        with pytest.raises(TaskNotFound, match="no task 'talkk': it serves talk"):
            await chat.send("hi").text()


async def test_sessions_are_listed_looked_at_and_closed(dev: DevServer) -> None:
    async with chat_with(dev, "to-close") as chat:
        await chat.send("hi").text()
    async with Transport(dev.url, secret=dev.secret) as transport:
        listed = await transport.sessions(task="talk", limit=100)
        closed = await transport.close_session("to-close", reason="enough")
        found = await transport.session(closed["id"])

    assert "to-close" in [session["externalId"] for session in listed]
    assert (found["externalId"], found["closedReason"]) == ("to-close", "enough")
    async with chat_with(dev, "to-close") as chat:
        with pytest.raises(SessionClosed):
            await chat.send("more").text()


async def test_a_cancelled_send_stops_the_turn_on_the_server(dev: DevServer) -> None:
    async with chat_with(dev) as chat:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await chat.send("wait").text()
        event = await dev.event("turn-ended", nth=_turns_ended(dev, chat.id, "stopped"))

    assert event["outcome"] == "stopped"


def _turns_ended(dev: DevServer, chat_id: str, outcome: str) -> int:
    """Return which of the events tells of this chat's turn, or the next one to come."""
    ended = [event for event in dev.events if event["event"] == "turn-ended"]
    found = [at for at, e in enumerate(ended) if (e["chat_id"], e["outcome"]) == (chat_id, outcome)]
    return found[0] if found else len(ended)


async def test_an_answer_outlives_the_server() -> None:
    async with dev_server({"tasks/talk.py": TALKATIVE}) as dev, chat_with(dev) as chat:
        assert await chat.send("one").text() == "You said: one"
        stream = await chat.send("count 500")
        async for chunk in stream:
            if chunk.get("delta") == "3 ":
                await dev.kill9()
                await dev.start_again()
            if chunk["type"] == "error":
                break
        assert "1 2 3" in stream.answer.text
        await stream.aclose()
        assert await chat.send("two").text() == "You said: two"
        assert await chat.history() == chat.messages
