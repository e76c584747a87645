"""`useChat` over Trigger.dev's own transport, as its quick start and its guides use it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.node import delta_text

if TYPE_CHECKING:
    from tests.support.node import Node

pytestmark = pytest.mark.npm


@pytest.mark.parametrize("access", ["task", "session"])
async def test_a_first_message_is_answered(node: Node, access: str) -> None:
    chat = await node.chat(task="my-chat", access=access)

    said = await chat.send("hello there")

    assert said.dialogue == [("user", "hello there"), ("assistant", "You said: hello there ")]
    assert (said.status, said.error) == ("ready", None)


async def test_an_answer_arrives_in_pieces_between_one_start_and_one_finish(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="task")

    said = await chat.send("one two")

    kinds = [chunk["type"] for chunk in said.chunks]
    deltas = [chunk["delta"] for chunk in said.chunks if chunk["type"] == "text-delta"]
    assert deltas == ["You ", "said: ", "one ", "two "]
    assert (kinds[0], kinds[-1]) == ("start", "finish")
    assert (kinds.count("start"), kinds.count("finish")) == (1, 1)
    assert said.chunks[0]["messageId"] == said.messages[-1]["id"]


async def test_turns_follow_each_other_and_the_task_remembers(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="task")

    for text in ("first", "second"):
        await chat.send(text)
    said = await chat.send("recall")

    assert said.answer == "first | You said: first  | second | You said: second "
    assert len(said.messages) == 6


async def test_a_stopped_answer_is_kept_and_the_next_turn_is_answered(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="task")

    async with asyncio.TaskGroup() as group:
        answer = group.create_task(chat.send("wait"))
        await chat.sees("I wait")
        await chat.stop()
    said = await chat.send("recall")

    assert answer.result().status == "ready"
    assert said.dialogue == [
        ("user", "wait"),
        ("assistant", "I wait"),
        ("user", "recall"),
        ("assistant", "wait | I wait"),
    ]


async def test_stopping_through_the_transport_ends_the_turn_too(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="session")

    async with asyncio.TaskGroup() as group:
        group.create_task(chat.send("wait"))
        await chat.sees("I wait")
        assert await chat.stop_generation()
    said = await chat.send("recall")

    assert said.answer == "wait | I wait"


async def test_two_chats_stream_at_once_without_mixing(node: Node) -> None:
    chats = [await node.chat(task="my-chat", access="task") for _ in range(2)]

    said = await asyncio.gather(chats[0].send("count to 20"), chats[1].send("I am another"))

    assert said[0].answer == "".join(f"{number} " for number in range(1, 21))
    assert said[1].answer == "You said: I am another "


async def test_regenerating_replaces_the_last_answer(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="task")

    first = await chat.send("hello")
    again = await chat.regenerate()
    said = await chat.send("recall")

    assert again.dialogue == first.dialogue
    assert again.messages[1]["id"] != first.messages[1]["id"]
    assert said.answer == "hello | You said: hello "


async def test_an_edited_message_drops_what_followed_it(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="task")

    first = await chat.send("hello")
    await chat.send("and more")
    edited = {"text": "goodbye", "messageId": first.messages[0]["id"]}
    await chat.send(message=edited)
    said = await chat.send("recall")

    assert said.answer == "goodbye | You said: goodbye "


async def test_a_task_that_fails_is_an_error_and_the_chat_goes_on(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="task")

    failed = await chat.send("fail")
    said = await chat.send("hello")

    assert failed.status == "error"
    assert (said.status, said.answer) == ("ready", "You said: hello ")


async def test_the_answer_of_a_tool_in_the_client_continues_the_same_message(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="task", continueAfterTools=True)

    asked = await chat.send("call colour")
    await chat.answer_tool("colour", "call-1", "blue")
    await chat.sees("So it is")
    said = await chat.becomes("ready")

    assert [message["id"] for message in said.messages] == [m["id"] for m in asked.messages]
    assert said.answer == "So it is blue."


@pytest.mark.parametrize(
    ("approved", "state", "text"),
    [(True, "output-available", "It is painted."), (False, "approval-responded", "Then not.")],
    ids=["approved", "refused"],
)
async def test_an_answered_approval_continues_the_same_message(
    node: Node, approved: bool, state: str, text: str
) -> None:
    if node.major == 5:
        pytest.skip("the AI SDK has approvals since version 6")
    chat = await node.chat(task="my-chat", access="task", continueAfterTools=True)

    asked = await chat.send("call paint")
    await chat.answer_approval("a-1", approved=approved)
    await chat.sees(text)
    said = await chat.becomes("ready")

    assert [message["id"] for message in said.messages] == [m["id"] for m in asked.messages]
    assert said.messages[-1]["parts"][0]["state"] == state
    assert said.answer == text


async def test_an_action_changes_the_history_without_an_answer(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="session")

    await chat.send("first")
    await chat.send("second")
    action = await chat.act({"type": "undo"})
    said = await chat.send("recall")

    assert delta_text(action["chunks"]) == ""
    assert action["settled"] is not None
    assert said.answer == "first | You said: first "


async def test_a_preloaded_session_answers_the_first_message(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="session")

    await chat.preload()
    said = await chat.send("hello")

    assert said.answer == "You said: hello "


async def test_a_message_sent_in_mid_answer_is_answered_next(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="session")
    steering = {"id": "m-2", "role": "user", "parts": [{"type": "text", "text": "hurry"}]}

    async with asyncio.TaskGroup() as group:
        group.create_task(chat.send("count to 20"))
        await chat.sees("3 ")
        assert await chat.steer(steering)
    said = await chat.send("recall")

    counted = "".join(f"{number} " for number in range(1, 21))
    assert said.answer.endswith(f"count to 20 | {counted} | hurry | You said: hurry ")


async def test_a_watching_page_sees_every_turn_and_writes_none(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="session")
    first = await chat.send("hello")
    token = await node.sdk("chat.createWatchToken", first.id)
    session = {"publicAccessToken": token, "lastEventId": first.session["lastEventId"]}  # type: ignore[index]
    watcher = await node.chat(
        id=first.id, task="my-chat", access=token, watch=True, sessions={first.id: session}
    )

    watching = asyncio.ensure_future(watcher.resume())
    await chat.send("again")
    seen = await watcher.sees("You said: again ")
    watching.cancel()
    intruder = await node.chat(id=first.id, task="my-chat", access=token)
    refused = await intruder.send("let me in")

    assert seen.answer == "You said: again "
    assert refused.error is not None
    assert refused.error["status"] == 403
