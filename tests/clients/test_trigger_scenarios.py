"""What an app does with Trigger.dev's clients over a chat's life, beside sending and stopping."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.support.node import text_of

if TYPE_CHECKING:
    from tests.support.node import Chat, Node
    from tests.support.server import DevServer

pytestmark = pytest.mark.npm


async def open_chat(node: Node, task: str = "my-chat", **options: Any) -> Chat:
    """Open a chat with a session of its own."""
    return await node.chat(task=task, access="session", **options)


# --- actions --------------------------------------------------------------------------------


async def test_an_action_through_use_chat_ends_and_adds_no_message(node: Node) -> None:
    chat = await open_chat(node)

    for text in ("first", "second"):
        await chat.send(text)
    undone = await chat.send_action({"type": "undo"})
    said = await chat.send("recall")

    assert (undone.status, len(undone.messages)) == ("ready", 4)
    assert said.answer == "first | You said: first "


async def test_rule_20_an_undo_does_not_end_the_answer_that_is_sent_right_behind_it(
    node: Node,
) -> None:
    chat = await open_chat(node)
    for text in ("first", "second"):
        await chat.send(text)

    _, said = await asyncio.gather(chat.act({"type": "undo"}), chat.send("count to 9"))
    recalled = await chat.send("recall")

    assert said.answer == "".join(f"{number} " for number in range(1, 10))
    assert recalled.answer.endswith(f"count to 9 | {said.answer}")
    assert "second" not in recalled.answer


# --- steering -------------------------------------------------------------------------------


async def test_a_message_sent_between_steps_is_steered_into_the_answer(node: Node) -> None:
    chat = await open_chat(node, "steered-chat")
    aside = {"id": uuid4().hex, "role": "user", "parts": [{"type": "text", "text": "hurry"}]}

    async with asyncio.TaskGroup() as group:
        answering = group.create_task(chat.send("look"))
        await chat.sees("Looking.")
        assert await chat.steer(aside)
        assert await chat.steer(aside)  # a page that is not sure sends it again
    answer = answering.result()
    transcript = await node.call("sdk.loadTranscript", chatId=answer.id, limit=50)

    marks = [p for p in answer.messages[-1]["parts"] if p["type"].startswith("data-pending")]
    assert [mark["data"]["messageIds"] for mark in marks] == [[aside["id"]]]
    assert "You said: hurry." in answer.answer
    said = [text_of(message) for message in transcript["messages"]]
    assert said == ["look", "hurry", answer.answer]


# --- edits ----------------------------------------------------------------------------------


async def test_an_answer_regenerated_by_its_id_drops_it_and_what_followed(node: Node) -> None:
    chat = await open_chat(node)

    first = await chat.send("hello")
    await chat.send("and more")
    again = await chat.regenerate(first.messages[1]["id"])
    said = await chat.send("recall")

    assert again.dialogue == [("user", "hello"), ("assistant", "You said: hello ")]
    assert again.messages[0]["id"] == first.messages[0]["id"]
    assert said.answer == "hello | You said: hello "


async def test_a_transcript_is_paged_from_its_end(node: Node) -> None:
    chat = await open_chat(node)
    for text in ("one", "two"):
        await chat.send(text)
    said = await chat.send("three")

    pages: list[Any] = []
    before: str | None = None
    while not pages or before is not None:
        older = {} if before is None else {"before": before}
        page = await node.call("sdk.loadTranscript", chatId=said.id, limit=4, **older)
        pages.insert(0, page["messages"])
        before = page.get("nextCursor")

    assert [len(page) for page in pages] == [2, 4]
    assert [message for page in pages for message in page] == said.messages


# --- approvals and tools over a restart -----------------------------------------------------


async def restart(server: DevServer) -> None:
    await server.kill9()
    await server.start_again()


async def test_an_approval_is_answered_after_the_server_was_restarted(
    node: Node, server: DevServer
) -> None:
    if node.major == 5:
        pytest.skip("the AI SDK has approvals since version 6")
    chat = await open_chat(node, continueAfterTools=True)
    asked = await chat.send("call paint")

    await restart(server)
    await chat.answer_approval("a-1", approved=True)
    await chat.sees("It is painted.")
    said = await chat.becomes("ready")

    assert [message["id"] for message in said.messages] == [m["id"] for m in asked.messages]
    assert said.messages[-1]["parts"][0]["state"] == "output-available"


async def test_rule_04_a_tool_is_answered_after_a_restart_by_a_page_that_lost_the_messages_id(
    node: Node, server: DevServer
) -> None:
    chat = await open_chat(node)
    asked = await chat.send("call colour")

    await restart(server)
    renamed = [asked.messages[0], {**asked.messages[1], "id": "another"}]
    reloaded = await open_chat(
        node,
        id=asked.id,
        messages=renamed,
        sessions={asked.id: asked.session},
        continueAfterTools=True,
    )
    await reloaded.answer_tool("colour", "call-1", "blue")
    await reloaded.sees("So it is")
    await reloaded.becomes("ready")
    kept = await node.call("sdk.loadTranscript", chatId=asked.id, limit=50)

    assert [m["id"] for m in kept["messages"]] == [m["id"] for m in asked.messages]
    assert text_of(kept["messages"][-1]) == "So it is blue."


# --- the end of a session -------------------------------------------------------------------


async def test_a_page_that_is_open_is_told_when_its_session_is_closed(node: Node) -> None:
    chat = await open_chat(node)

    async with asyncio.TaskGroup() as group:
        answering = group.create_task(chat.send("wait"))
        waits = await chat.sees("I wait")
        await node.sdk("sessions.close", waits.id, {"reason": "office hours"})
        told = await chat.told("session-closed")
    refused = await chat.send("still there?")

    assert (told["chatId"], told["reason"]) == (waits.id, "office hours")
    assert answering.result().answer == "I wait"
    assert refused.session is not None
    assert (refused.status, refused.session["closedReason"]) == ("error", "office hours")


async def test_a_watching_page_is_told_when_the_session_is_closed(node: Node) -> None:
    page = await open_chat(node)
    first = await page.send("hello")
    token = await node.sdk("chat.createWatchToken", first.id)
    session = {"publicAccessToken": token, "lastEventId": first.session["lastEventId"]}  # type: ignore[index]
    watcher = await node.chat(
        id=first.id, task="my-chat", access=token, watch=True, sessions={first.id: session}
    )

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(watcher.resume())
        await page.send("again")
        await watcher.sees("You said: again ")
        await node.sdk("sessions.close", first.id, {"reason": "done"})
        told = await watcher.told("session-closed")

    assert told["reason"] == "done"


async def test_an_expired_session_refuses_messages_at_once(node: Node) -> None:
    session_id = f"chat-{uuid4().hex}"
    expires_at = datetime.now(UTC) + timedelta(seconds=1)
    await node.sdk(
        "sessions.start",
        {
            "type": "chat.agent",
            "externalId": session_id,
            "taskIdentifier": "my-chat",
            "triggerConfig": {"basePayload": {"chatId": session_id, "trigger": "preload"}},
            "expiresAt": expires_at.isoformat().replace("+00:00", "Z"),
        },
    )
    scopes = {"read": {"sessions": session_id}, "write": {"sessions": session_id}}
    token = await node.sdk("auth.createPublicToken", {"scopes": scopes})
    chat = await node.chat(id=session_id, task="my-chat", access=token)
    said = await chat.send("hello")
    await asyncio.sleep(max(0, (expires_at - datetime.now(UTC)).total_seconds()))
    async with asyncio.timeout(5):
        refused = await chat.send("still there?")

    assert said.answer == "You said: hello "
    assert refused.error is not None
    assert (refused.status, refused.error["status"]) == ("error", 400)


# --- client data ----------------------------------------------------------------------------


async def test_client_data_reaches_the_task_with_every_message(node: Node) -> None:
    chat = await open_chat(node, "plan-chat", clientData={"name": "Ada", "seats": 3})

    answers = [(await chat.send(text)).answer for text in ("one", "two")]
    own = await chat.send("three", options={"metadata": {"seats": 4}})

    assert answers == ["Ada has 3"] * 2
    assert own.answer == "Ada has 4"


async def test_client_data_that_does_not_fit_is_an_error_and_the_chat_goes_on(node: Node) -> None:
    chat = await open_chat(node, "plan-chat", clientData={"name": "Ada", "seats": "many"})

    failed = await chat.send("one")
    said = await chat.send("two", options={"metadata": {"seats": 2}})

    assert failed.error is not None
    assert failed.error["message"].startswith(
        "The client data of this message is not valid: seats:"
    )
    assert (said.status, said.answer) == ("ready", "Ada has 2")


# --- streams that end too early -------------------------------------------------------------


async def test_rule_24_a_window_that_ends_in_mid_answer_is_opened_again(node: Node) -> None:
    chat = await open_chat(node, streamTimeoutSeconds=1)

    said = await chat.send("pause 1.3")

    assert (said.status, said.answer) == ("ready", "Before and after.")


async def test_rule_25_a_page_that_leaves_a_resumed_answer_does_not_stop_it(node: Node) -> None:
    page = await open_chat(node)

    async with asyncio.TaskGroup() as group:
        answering = group.create_task(page.send("count to 40"))
        before = await page.sees("3 ")
        reloaded = await open_chat(
            node, id=before.id, messages=before.messages[:1], sessions={before.id: before.session}
        )
        seen = await reloaded.resume_and_leave("6 ")

    assert seen.startswith("1 2 3 4 5 6 ")
    assert answering.result().answer == "".join(f"{number} " for number in range(1, 41))
