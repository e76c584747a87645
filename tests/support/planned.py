"""A model that calls the tools which the user has named, and the task that it answers for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.provider_scenarios import last_text
from tests.support.provider_wires import Call

if TYPE_CHECKING:
    from tests.support.provider import Exchange

MODEL = "planned"

# The tools are one of each kind: run at once, run when the user allows it, run by the client.
TASK = """
import os
from chatrun import OpenAI, chat, stream_text, tool

MODEL = OpenAI("planned", base_url=os.environ["PROVIDER_URL"], api_key="k")

@tool
async def look(number: int) -> str:
    return f"seen {number}"

@tool(needs_approval=True)
async def delete(number: int) -> str:
    return f"deleted {number}"

@tool(client=True)
def ask(number: int) -> None: ...

@chat.task("my-chat", tools=[look, delete, ask])
async def my_chat(turn):
    return stream_text(MODEL, messages=turn.messages)
"""


async def planned(exchange: Exchange) -> None:
    """Call tools as the user says, `look delete; ask` in two steps; then tell their results.

    The calls are named after the tool, and after their place among all of the user's turn.
    """
    messages = exchange.seen.messages
    last = max(n for n, message in enumerate(messages) if message["role"] == "user")
    steps = last_text(messages[last]["content"]).split("; ")
    behind = messages[last + 1 :]
    done = sum(message["role"] == "assistant" for message in behind)
    wire = exchange.wire
    if done < len(steps):
        calls = _calls(steps, done)
        await exchange.send(wire.open() + b"".join(wire.call(call) for call in calls))
        await exchange.send(wire.close("tool-calls"))
        return
    results = [message for message in behind if message["role"] == "tool"]
    results.sort(key=lambda result: int(result["tool_call_id"].rpartition("-")[2]))
    told = [last_text(result["content"]) for result in results]
    text = wire.begin_text() + wire.text(f"Told: {', '.join(told)}") + wire.end_text()
    await exchange.send(wire.open() + text + wire.close())


def _calls(steps: list[str], done: int) -> list[Call]:
    before = sum(len(step.split()) for step in steps[:done])
    return [
        Call(f"{name}-{number}", name, (json.dumps({"number": number}),))
        for number, name in enumerate(steps[done].split(), start=before)
    ]


def calls_of(message: dict[str, Any]) -> dict[str, str]:
    """Return the tool calls of a UI message: the state of each."""
    return {part["toolCallId"]: part["state"] for part in message["parts"] if "toolCallId" in part}
