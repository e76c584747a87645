"""Trigger.dev's server-side SDK: sessions, tokens and who may do what with them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.support.node import CallFailed, delta_text

if TYPE_CHECKING:
    from tests.support.node import Node
    from tests.support.server import DevServer

pytestmark = pytest.mark.npm


def chat_id() -> str:
    """Return an id that no other test uses."""
    return f"chat-{uuid4().hex}"


async def start(node: Node, session_id: str, **options: Any) -> dict[str, Any]:
    """Call `sessions.start` for "my-chat"."""
    body = {
        "type": "chat.agent",
        "externalId": session_id,
        "taskIdentifier": "my-chat",
        "triggerConfig": {"basePayload": {"chatId": session_id, "trigger": "preload"}},
        **options,
    }
    session: dict[str, Any] = await node.sdk("sessions.start", body)
    return session


async def session_token(node: Node, session_id: str, **options: Any) -> str:
    """Call `auth.createPublicToken` as an app does for one chat."""
    scopes = {"read": {"sessions": session_id}, "write": {"sessions": session_id}}
    token: str = await node.sdk("auth.createPublicToken", {"scopes": scopes, **options})
    return token


async def test_starting_a_session_twice_gives_the_same_one(node: Node) -> None:
    session_id = chat_id()

    first, second = await asyncio.gather(start(node, session_id), start(node, session_id))

    assert first["id"] == second["id"]
    assert sorted([first["isCached"], second["isCached"]]) == [False, True]
    assert (first["externalId"], first["taskIdentifier"]) == (session_id, "my-chat")


async def test_a_session_answers_to_both_of_its_ids(node: Node) -> None:
    session_id = chat_id()
    started = await start(node, session_id, tags=["blue"], metadata={"user": 7})

    by_own, by_external = [
        await node.sdk("sessions.retrieve", name) for name in (started["id"], session_id)
    ]

    assert by_own == by_external
    assert (by_own["tags"], by_own["metadata"]) == (["blue"], {"user": 7})
    assert (by_own["closedAt"], by_own["expiresAt"]) == (None, None)


async def test_sessions_are_listed_newest_first_over_all_pages(node: Node) -> None:
    tag = chat_id()
    started = [(await start(node, chat_id(), tags=[tag]))["id"] for _ in range(5)]

    listed = await node.call("sdk.list", options={"tag": tag, "limit": 2})

    assert [session["id"] for session in listed] == started[::-1]


async def test_tags_and_metadata_of_a_session_can_be_changed(node: Node) -> None:
    session_id = chat_id()
    await start(node, session_id)

    await node.sdk("sessions.update", session_id, {"tags": ["new"], "metadata": {"n": 1}})
    session = await node.sdk("sessions.retrieve", session_id)

    assert (session["tags"], session["metadata"]) == (["new"], {"n": 1})


async def test_a_closed_session_refuses_messages_at_once_and_for_good(node: Node) -> None:
    chat = await node.chat(task="my-chat", access="session")
    said = await chat.send("hello")

    closed = await node.sdk("sessions.close", said.id, {"reason": "done"})
    again = await node.sdk("sessions.close", said.id, {"reason": "other"})
    before = time.monotonic()
    refused = await chat.send("still there?")
    with pytest.raises(CallFailed) as failed:
        await start(node, said.id)

    assert closed["closedReason"] == again["closedReason"] == "done"
    assert (refused.status, refused.session["closed"]) == ("error", True)  # type: ignore[index]
    assert failed.value.status == 409
    assert time.monotonic() - before < 2


async def test_a_session_of_an_unknown_task_is_refused_with_the_known_ones(node: Node) -> None:
    with pytest.raises(CallFailed, match="my-chat") as failed:
        await start(node, chat_id(), taskIdentifier="nobody")

    assert failed.value.status == 422


async def test_an_unknown_session_is_not_found(node: Node) -> None:
    with pytest.raises(CallFailed) as failed:
        await node.sdk("sessions.retrieve", chat_id())

    assert failed.value.status == 404


async def test_records_are_sent_and_read_through_an_open_session(node: Node) -> None:
    session_id = chat_id()
    await start(node, session_id)
    message = {"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "hello"}]}
    payload = {"message": message, "chatId": session_id, "trigger": "submit-message"}

    value = {"kind": "message", "payload": payload}
    await node.call("sdk.send", session=session_id, value=value)
    read = await node.call("sdk.read", session=session_id, turns=1)

    assert delta_text(read["chunks"]) == "You said: hello "
    assert read["controls"][-1]["subtype"] == "turn-complete"


async def test_a_start_action_hands_out_a_token_for_its_session(node: Node) -> None:
    session_id = chat_id()

    started = await node.call(
        "sdk.startSession",
        task="my-chat",
        options={"tokenTTL": "5m"},
        params={"chatId": session_id},
    )
    chat = await node.chat(id=session_id, task="my-chat", access=started["publicAccessToken"])
    said = await chat.send("hello")

    assert said.answer == "You said: hello "


async def test_an_expired_token_is_replaced_without_anybody_noticing(node: Node) -> None:
    session_id = chat_id()
    await start(node, session_id)
    expired = await session_token(node, session_id, expirationTime=int(time.time()) - 60)

    sessions = {session_id: {"publicAccessToken": expired}}
    chat = await node.chat(id=session_id, task="my-chat", access="session", sessions=sessions)
    said = await chat.send("hello")

    assert said.answer == "You said: hello "
    assert said.session is not None
    assert said.session["publicAccessToken"] != expired


async def test_an_expired_token_that_is_not_replaced_is_refused(node: Node) -> None:
    session_id = chat_id()
    await start(node, session_id)
    expired = await session_token(node, session_id, expirationTime=int(time.time()) - 60)

    chat = await node.chat(id=session_id, task="my-chat", access=expired)
    refused = await chat.send("hello")

    assert refused.error is not None
    assert (refused.status, refused.error["status"]) == ("error", 401)


async def test_a_token_of_another_session_is_refused(node: Node) -> None:
    session_id = chat_id()
    await start(node, session_id)

    chat = await node.chat(
        id=session_id, task="my-chat", access=await session_token(node, chat_id())
    )
    refused = await chat.send("hello")

    assert refused.error is not None
    assert (refused.status, refused.error["status"]) == ("error", 403)


async def test_a_token_of_another_task_is_refused(node: Node) -> None:
    session_id = chat_id()
    await start(node, session_id)
    foreign = await node.sdk("chat.createAccessToken", "other-chat")

    chat = await node.chat(id=session_id, task="my-chat", access=foreign)
    refused = await chat.send("hello")

    assert refused.error is not None
    assert (refused.status, refused.error["status"]) == ("error", 403)


async def test_another_secret_opens_nothing(node: Node, server: DevServer) -> None:
    started = await start(node, chat_id())

    await node.connect(server.url, "another secret")
    try:
        with pytest.raises(CallFailed) as failed:
            await node.sdk("sessions.retrieve", started["id"])
    finally:
        await node.connect(server.url, server.secret)

    assert failed.value.status == 401
