"""Tool conversations that outlive a server killed between their steps, or in the middle of one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.node import node_client
from tests.support.npm import require_npm
from tests.support.planned import MODEL, TASK, calls_of, planned
from tests.support.provider import fake_provider
from tests.support.provider_scenarios import hang, last_text
from tests.support.server import dev_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.node import Chat, ChatState, Node, Transport
    from tests.support.provider import Exchange, FakeProvider
    from tests.support.server import DevServer

pytestmark = pytest.mark.npm

JSON = dict[str, Any]

# Ten steps; all but the last end their turn with something that is the client's or the user's to
# say. Others run a tool of the server's first, in the same turn.
STEPS = [
    "ask",
    "delete",
    "look delete",
    "ask ask",
    "delete",
    "look ask delete",
    "delete delete",
    "ask",
    "look look ask",
    "look",
]


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with fake_provider() as provider:
        provider.on(MODEL, planned_or_hanging)
        yield provider


@pytest.fixture(scope="module")
async def server(provider: FakeProvider) -> AsyncIterator[DevServer]:
    require_npm()
    env = {"PROVIDER_URL": provider.openai_url}
    async with dev_server({"tasks/chat.py": TASK}, env=env) as server:
        yield server


@pytest.fixture(scope="module")
async def node(server: DevServer) -> AsyncIterator[Node]:
    async with node_client(7) as node:
        await node.connect(server.url, server.secret)
        yield node


async def planned_or_hanging(exchange: Exchange) -> None:
    """Do as the user says, and fall silent behind the tools that come before `hang`."""
    said = exchange.seen.last_user_text()
    done = sum(message["role"] == "assistant" for message in exchange.seen.messages)
    if said.endswith("hang") and done == said.count(";"):
        await hang(exchange)
    else:
        await planned(exchange)


async def open_chat(node: Node, transport: Transport) -> Chat:
    return await node.chat(transport, task="my-chat", access="task", continueAfterTools=True)


async def go_on(chat: Chat, *, steps: int) -> ChatState:
    """Answer all that the last step asks for, that many times; return the chat as it is then."""
    state = await chat.state()
    for _ in range(steps):
        parts = state.messages[-1]["parts"]
        for part in parts:
            if part.get("state") == "approval-requested":
                approved = part["input"]["number"] % 3 != 0
                await chat.answer_approval(part["approval"]["id"], approved=approved)
            elif part.get("state") == "input-available":
                await chat.answer_tool("ask", part["toolCallId"], f"blue {part['input']['number']}")
        state = await chat.grows(parts=len(parts))
    return state


def without_ids(messages: list[JSON]) -> list[Any]:
    """Return messages without what differs from one chat to the next."""
    return [
        (
            message["role"],
            [
                {
                    key: {"approved": value.get("approved")} if key == "approval" else value
                    for key, value in part.items()
                    if key != "id"
                }
                for part in message["parts"]
            ],
        )
        for message in messages
    ]


@pytest.mark.parametrize("transport", ["trigger", "default"])
async def test_a_conversation_of_ten_steps_survives_a_kill_between_any_two_of_them(
    node: Node, server: DevServer, transport: Transport
) -> None:
    chats = [await open_chat(node, transport) for _ in STEPS]
    await asyncio.gather(*(chat.send("; ".join(STEPS)) for chat in chats))
    # The server is killed once, when each chat is at another step; the last one is over by then.
    await asyncio.gather(*(go_on(chat, steps=n) for n, chat in enumerate(chats)))
    whole = await chats[-1].state()

    await server.kill9()
    await server.start_again()
    left = [len(STEPS) - 1 - n for n in range(len(STEPS) - 1)]
    ended = await asyncio.gather(
        *(go_on(chat, steps=steps) for chat, steps in zip(chats[:-1], left, strict=True))
    )

    assert whole.answer.startswith("Told: blue 0, deleted 1, seen 2, ")
    for state in ended:
        assert without_ids(state.messages) == without_ids(whole.messages)
        kept = await node.call("sdk.loadTranscript", chatId=state.id, limit=50)
        assert kept["messages"] == state.messages


async def test_a_killed_step_loop_keeps_the_steps_that_were_over(
    node: Node, server: DevServer, provider: FakeProvider
) -> None:
    chat = await node.chat(task="my-chat", access="task")
    async with asyncio.TaskGroup() as group:
        broken = group.create_task(chat.send("look; look; hang"))
        await chat.sees("Hel")
        await server.kill9()
        await server.start_again()
    said = await chat.send("look")

    assert broken.result().status in {"ready", "error"}
    kept = await node.call("sdk.loadTranscript", chatId=said.id, limit=50)
    partial = kept["messages"][1]
    assert calls_of(partial) == {"look-0": "output-available", "look-1": "output-available"}
    assert partial["parts"][-1] == {"type": "text", "text": "Hel", "state": "done"}
    assert said.answer == "Told: seen 0"
    told = [last_text(m["content"]) for m in provider.requests[-1].messages if m["role"] == "tool"]
    assert told == ["seen 0", "seen 1", "seen 0"]
