"""What a model is told of a step at once is what it is told in the next turn, from the history."""

from __future__ import annotations

from typing import Any

import pytest

from chatrun.ai.stream_text import stream_text
from chatrun.ai.tools import tool
from chatrun.messages.convert import convert_to_model_messages
from chatrun.messages.fold import MessageFold
from chatrun.models.base import ToolSpec
from chatrun.models.demo import Demo
from tests.support.models import HI, WIRES, model_on
from tests.support.scripted import Scripted, calls, done, says

METADATA = {"anthropic": {"signature": "S"}}


@tool
async def weather(city: str) -> dict[str, str]:
    return {"city": city}


@tool
async def fails() -> None:
    raise ValueError("no")


@tool(needs_approval=True)
async def delete() -> None: ...


@tool(client=True)
def ask() -> None: ...


RICH: list[Any] = [
    {"type": "reasoning-start", "id": "r"},
    {"type": "reasoning-delta", "id": "r", "delta": "hm"},
    {"type": "reasoning-delta", "id": "r", "delta": "", "providerMetadata": METADATA},
    {"type": "reasoning-end", "id": "r"},
    {"type": "text-start", "id": "t", "providerMetadata": {"openai": {"itemId": "m"}}},
    {"type": "text-delta", "id": "t", "delta": "a"},
    {"type": "source-url", "sourceId": "s", "url": "https://e.com"},
    {"type": "text-delta", "id": "t", "delta": "b"},
    {"type": "text-end", "id": "t"},
    {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA=="},
    {
        "type": "tool-input-start",
        "toolCallId": "s1",
        "toolName": "web_search",
        "providerExecuted": True,
    },
    {
        "type": "tool-input-available",
        "toolCallId": "s1",
        "toolName": "web_search",
        "input": {"q": 1},
        "providerExecuted": True,
    },
    {
        "type": "tool-output-available",
        "toolCallId": "s1",
        "output": [1],
        "preliminary": True,
        "providerExecuted": True,
    },
    {"type": "tool-output-available", "toolCallId": "s1", "output": [2], "providerExecuted": True},
    {
        "type": "tool-input-available",
        "toolCallId": "s2",
        "toolName": "web_search",
        "input": {"q": 2},
        "providerExecuted": True,
    },
    {
        "type": "tool-output-error",
        "toolCallId": "s2",
        "errorText": "no",
        "providerExecuted": True,
    },
    {
        "type": "tool-input-available",
        "toolCallId": "c1",
        "toolName": "weather",
        "input": {"city": "Paris"},
        "providerMetadata": {"openai": {"itemId": "fc"}},
    },
    {"type": "tool-input-available", "toolCallId": "c2", "toolName": "weather", "input": {}},
    {"type": "tool-input-available", "toolCallId": "c3", "toolName": "fails", "input": {}},
    {"type": "tool-input-available", "toolCallId": "c4", "toolName": "fly", "input": {"x": 1}},
    {"type": "text-start", "id": "e"},
    {"type": "text-end", "id": "e"},
    done("tool-calls"),
]


async def told_now_and_later(model: Any, messages: Any = HI) -> tuple[Any, Any]:
    """Return the messages of an answer as the loop has them, and as its message converts."""
    stream = stream_text(model, messages=messages, tools=[weather, fails, delete, ask])
    fold = MessageFold(message_id="m")
    async for chunk in stream:
        fold.apply(chunk)
    return list(stream.new_messages), convert_to_model_messages([fold.message])


@pytest.mark.parametrize(
    "scripts",
    [
        [says("Hello")],
        [says("")],
        [RICH, says("Done.")],
        [calls("weather", "fails", weather={"city": "P"}), calls("delete", "weather", "ask")],
    ],
    ids=["text", "empty", "rich", "approval"],
)
async def test_a_scripted_answer_is_told_alike(scripts: list[Any]) -> None:
    now, later = await told_now_and_later(Scripted(*scripts))

    assert sorted_requests(now) == sorted_requests(later)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", ["thinking", "tools", "refusal"])
async def test_an_answer_of_the_real_packages_is_told_alike(
    provider: Any, wire: Any, name: str
) -> None:
    now, later = await told_now_and_later(model_on(provider, wire, name))

    assert sorted_requests(now) == sorted_requests(later)


async def test_an_answer_of_the_demo_is_told_alike() -> None:
    said: list[Any] = [{"role": "user", "content": '/tool weather {"city": "Rome"}'}]

    now, later = await told_now_and_later(Demo(pace_s=0), said)

    assert now == later
    assert len(now) == 3
    assert ToolSpec("weather").runs == weather.spec.runs


def sorted_requests(messages: list[Any]) -> list[Any]:
    """Return messages with the questions for approval at the end, as no model is told of them."""
    return [
        {**m, "content": sorted(m["content"], key=lambda p: p["type"] == "tool-approval-request")}
        for m in messages
    ]
