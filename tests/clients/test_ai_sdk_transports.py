"""`useChat` over the AI SDK's own transports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.node import Node

pytestmark = pytest.mark.npm

COUNTED = "".join(f"{number} " for number in range(1, 31))


async def test_turns_follow_each_other_and_the_task_remembers(node: Node) -> None:
    chat = await node.chat("default", task="my-chat", access="task")

    first = await chat.send("hello")
    said = await chat.send("recall")

    assert first.dialogue == [("user", "hello"), ("assistant", "You said: hello ")]
    assert (said.status, said.answer) == ("ready", "hello | You said: hello ")


async def test_a_stopped_answer_is_kept_and_the_next_turn_is_answered(node: Node) -> None:
    chat = await node.chat("default", task="my-chat", access="task")

    async with asyncio.TaskGroup() as group:
        group.create_task(chat.send("wait"))
        await chat.sees("I wait")
        await chat.stop()
    said = await chat.send("recall")

    assert said.answer == "wait | I wait"


async def test_regenerating_replaces_the_last_answer(node: Node) -> None:
    chat = await node.chat("default", task="my-chat", access="task")

    first = await chat.send("hello")
    again = await chat.regenerate()
    said = await chat.send("recall")

    assert again.dialogue == first.dialogue
    assert again.messages[1]["id"] != first.messages[1]["id"]
    assert said.answer == "hello | You said: hello "


async def test_resuming_a_chat_at_rest_shows_nothing_new(node: Node) -> None:
    chat = await node.chat("default", task="my-chat", access="task")
    before = await chat.send("hello")

    page = await node.chat(
        "default", id=before.id, task="my-chat", access="task", messages=before.messages
    )
    resumed = await page.resume()

    assert (resumed.dialogue, resumed.status, resumed.chunks) == (before.dialogue, "ready", [])


async def test_a_page_that_resumes_sees_the_whole_answer_under_way(node: Node) -> None:
    chat = await node.chat("default", task="my-chat", access="task")

    async with asyncio.TaskGroup() as group:
        group.create_task(chat.send("count to 30"))
        before = await chat.sees("10 ")
        page = await node.chat(
            "default", id=before.id, task="my-chat", access="task", messages=before.messages
        )
        resumed = await page.resume()

    assert resumed.dialogue == [("user", "count to 30"), ("assistant", COUNTED)]


async def test_an_answer_goes_on_without_its_reader_when_the_chat_resumes(node: Node) -> None:
    chat = await node.chat("default", task="my-chat", access="task")
    await chat.resume()

    async with asyncio.TaskGroup() as group:
        group.create_task(chat.send("count to 30"))
        before = await chat.sees("10 ")
        await chat.stop()
    page = await node.chat(
        "default", id=before.id, task="my-chat", access="task", messages=before.messages
    )
    resumed = await page.resume()

    assert resumed.dialogue == [("user", "count to 30"), ("assistant", COUNTED)]


async def test_an_answer_that_goes_on_without_its_reader_stops_through_its_route(
    node: Node,
) -> None:
    chat = await node.chat("default", task="my-chat", access="task")
    await chat.resume()

    async with asyncio.TaskGroup() as group:
        group.create_task(chat.send("wait"))
        await chat.sees("I wait")
        assert await chat.call("stopOnServer") < 300
    said = await chat.send("recall")

    assert said.answer == "wait | I wait"


async def test_a_task_that_fails_is_an_error_and_the_chat_goes_on(node: Node) -> None:
    chat = await node.chat("default", task="my-chat", access="task")

    failed = await chat.send("fail")
    said = await chat.send("hello")

    assert failed.status == "error"
    assert (said.status, said.answer) == ("ready", "You said: hello ")


async def test_the_answer_of_a_tool_in_the_client_continues_the_same_message(node: Node) -> None:
    chat = await node.chat("default", task="my-chat", access="task", continueAfterTools=True)

    asked = await chat.send("call colour")
    await chat.answer_tool("colour", "call-1", "blue")
    await chat.sees("So it is")
    said = await chat.becomes("ready")

    assert [message["id"] for message in said.messages] == [m["id"] for m in asked.messages]
    assert said.answer == "So it is blue."


async def test_without_a_token_nothing_is_answered(node: Node) -> None:
    chat = await node.chat("default", task="my-chat", access="nonsense")

    refused = await chat.send("hello")

    assert (refused.status, len(refused.messages)) == ("error", 1)


async def test_a_plain_text_stream_is_one_text(node: Node) -> None:
    chat = await node.chat("text", task="my-chat", access="task")

    first = await chat.send("hello")
    said = await chat.send("recall")

    assert first.dialogue == [("user", "hello"), ("assistant", "You said: hello ")]
    assert said.answer == "hello | You said: hello "
