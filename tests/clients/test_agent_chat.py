"""`AgentChat`, with which another program's server talks to a task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.node import Node

pytestmark = pytest.mark.npm


async def test_turns_follow_each_other_and_the_task_remembers(node: Node) -> None:
    agent = await node.agent("my-chat")

    first = await agent.send("hello")
    second = await agent.send("recall")

    assert first["text"] == "You said: hello "
    assert second["text"] == "hello | You said: hello "
    assert len(second["triggered"]) == 1
    assert [event["lastEventId"] for event in second["completed"]] == [
        first["session"]["lastEventId"],
        second["session"]["lastEventId"],
    ]


async def test_a_stopped_answer_ends_and_the_next_one_follows(node: Node) -> None:
    agent = await node.agent("my-chat")

    async with asyncio.TaskGroup() as group:
        answer = group.create_task(agent.send("wait"))
        await agent.sees("I wait")
        await agent.call("stop")
    recalled = await agent.send("recall")

    assert answer.result()["text"] == "I wait"
    assert recalled["text"] == "wait | I wait"


async def test_a_restored_chat_goes_on_where_the_other_ended(node: Node) -> None:
    agent = await node.agent("my-chat")
    before = await agent.send("hello")

    restored = await node.agent("my-chat", id=before["id"], session=before["session"])
    recalled = await restored.send("recall")

    assert recalled["text"] == "hello | You said: hello "
    assert recalled["triggered"] == []


async def test_reconnecting_to_a_chat_at_rest_ends_at_once(node: Node) -> None:
    agent = await node.agent("my-chat")
    await agent.send("hello")

    async with asyncio.timeout(5):
        resumed = await agent.call("reconnect")

    assert resumed["chunks"] == []


async def test_an_action_is_carried_out(node: Node) -> None:
    agent = await node.agent("my-chat")
    for text in ("first", "second"):
        await agent.send(text)

    undone = await agent.call("act", action={"type": "undo"})
    recalled = await agent.send("recall")

    assert undone["text"] == ""
    assert recalled["text"] == "first | You said: first "


async def test_a_closed_run_is_followed_by_another_that_remembers(node: Node) -> None:
    agent = await node.agent("my-chat")
    await agent.send("hello")

    assert await agent.call("close")
    recalled = await agent.send("recall")

    assert recalled["text"] == "hello | You said: hello "


async def test_a_preloaded_chat_answers_the_first_message(node: Node) -> None:
    agent = await node.agent("my-chat")

    await agent.call("preload")
    said = await agent.send("hello")

    assert said["text"] == "You said: hello "
