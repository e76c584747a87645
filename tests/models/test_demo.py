"""The demo model: always alike, at a model's pace, and honest about what it is."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from chatrun.errors import ProviderUnavailable
from chatrun.models.base import ModelRequest, ToolSpec
from chatrun.models.demo import Demo
from chatrun.wire.chunks import check_chunk
from tests.support.models import answer_of, brief
from tests.support.prompts import SCHEMA, assistant, call, result, tools, user

DEMO = Demo(pace_s=0)
WEATHER = ToolSpec("weather", input_schema=SCHEMA)
DELETE = ToolSpec("delete", runs="after-approval")
ASK = ToolSpec("ask", runs="in-client")


def conversation(text: str) -> list[Any]:
    return [user(text)]


async def said(*messages: Any, **request: Any) -> str:
    chunks, _ = await answer_of(DEMO, messages=messages, **request)
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")


async def test_it_reasons_and_answers_to_what_was_said() -> None:
    chunks, finish = await answer_of(DEMO, messages=[user("What is 2 + 2?")])

    (_, thought), (_, answer) = brief(chunks)
    assert "message 1 of the chat" in thought
    assert answer.startswith('You said: "What is 2 + 2?"\n\nI am chatrun\'s demo model.')
    assert "put ANTHROPIC_API_KEY=... or OPENAI_API_KEY=... into .env" in answer
    assert finish.reason == "stop"
    assert finish.usage.output_tokens == len(f"{thought} {answer}".split())


async def test_it_answers_though_nothing_was_said() -> None:
    assert (await said()).startswith("You sent a message without text.")
    assert (await said(user())).startswith("You sent a message without text.")


async def test_a_long_question_is_quoted_in_part() -> None:
    assert f'You said: "{"x" * 200}..."' in await said(user("x" * 300))


async def test_it_answers_alike_every_time() -> None:
    first, second = [await answer_of(DEMO, messages=[user("Hi")]) for _ in range(2)]

    assert first == second


async def test_it_knows_how_far_the_chat_has_come() -> None:
    chunks, _ = await answer_of(DEMO, messages=[user("a"), assistant("b"), user("c")])

    assert "message 2 of the chat" in brief(chunks)[0][1]


async def test_its_reasoning_is_not_signed_so_that_no_real_model_is_shown_it() -> None:
    chunks, _ = await answer_of(DEMO)

    assert not [chunk for chunk in chunks if "providerMetadata" in chunk]


@pytest.mark.parametrize(
    "command", ["", "hi", "/long", "/slow", "/reason", "/source", "/file", "/tool", "/ask", "/x"]
)
async def test_every_answer_is_made_of_chunks_that_clients_accept(command: str) -> None:
    chunks, finish = await answer_of(DEMO, messages=[user(command)], tools=(WEATHER, ASK))

    assert [check_chunk(chunk) for chunk in chunks] == chunks
    assert finish.reason in ("stop", "tool-calls")


async def test_commands_show_what_a_page_must_show() -> None:
    async def kinds(command: str) -> set[str]:
        chunks, _ = await answer_of(DEMO, messages=[user(command)])
        return {chunk["type"] for chunk in chunks}

    assert "source-url" in await kinds("/source")
    assert "file" in await kinds("/file")
    assert len((await said(user("/long"))).splitlines()) == 100


async def test_it_fails_on_command_after_a_few_words() -> None:
    spoken: list[Any] = []
    with pytest.raises(ProviderUnavailable, match="because you said /error"):
        async with DEMO.stream(ModelRequest(messages=conversation("/error"))) as items:
            async for item in items:
                spoken.append(item)

    assert brief(spoken) == [["text", "I am about to fail, as asked:"]]


@pytest.mark.parametrize(
    ("command", "tool", "given"),
    [
        ("/tool", "weather", {"city": "demo"}),
        ('/tool weather {"city": "Paris"}', "weather", {"city": "Paris"}),
        ("/tool weather nonsense", "weather", {"city": "demo"}),
        ("/tool delete", "delete", {}),
        ("/approve", "delete", {}),
        ("/ask", "ask", {}),
    ],
)
async def test_it_calls_the_tool_that_fits_the_command(
    command: str, tool: str, given: object
) -> None:
    chunks, finish = await answer_of(DEMO, messages=[user(command)], tools=(WEATHER, DELETE, ASK))

    assert finish.reason == "tool-calls"
    assert chunks[-1] == {
        "type": "tool-input-available",
        "toolCallId": "demo_call_1",
        "toolName": tool,
        "input": given,
    }


async def test_without_a_fitting_tool_it_says_which_one_it_would_need() -> None:
    assert await said(user("/approve"), tools=(WEATHER,)) == (
        "For /approve I would need a tool that needs approval, and the task offers none such (it "
        "offers: weather). Declare one with @tool(needs_approval=True) and give it to the task."
    )
    assert 'the tool "clock"' in await said(user("/tool clock"))


async def test_it_tells_what_a_tool_answered() -> None:
    made = assistant(call("c1"), call("c2", name="clock"))
    told = tools(result("c1", "sunny"), result("c2", {"type": "json", "value": [1]}, name="clock"))

    assert await said(user("/tool"), made, told) == "weather answered: sunny\nclock answered: [1]"


async def test_the_simplest_input_fits_the_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 6},
            "count": {"type": "integer", "minimum": 3},
            "ratio": {"type": "number"},
            "flag": {"type": "boolean"},
            "kind": {"enum": ["a", "b"]},
            "only": {"const": 7},
            "size": {"type": "integer", "default": 5},
            "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "nothing": {"type": "null"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "place": {"$ref": "#/$defs/Place"},
            "left_out": {"type": "string"},
        },
        "required": [
            *("name", "count", "ratio", "flag", "kind", "only", "size"),
            *("maybe", "nothing", "tags", "place"),
        ],
        "$defs": {
            "Place": {"properties": {"x": {"type": "number"}}, "required": ["x"]},
        },
    }

    chunks, _ = await answer_of(
        DEMO, messages=[user("/tool")], tools=(ToolSpec("t", input_schema=schema),)
    )

    assert chunks[-1]["input"] == {
        "name": "demooo",
        "count": 3,
        "ratio": 1,
        "flag": True,
        "kind": "a",
        "only": 7,
        "size": 5,
        "maybe": "demo",
        "nothing": None,
        "tags": ["demo"],
        "place": {"x": 1},
    }


async def test_its_pace_is_that_of_a_model() -> None:
    began = time.monotonic()
    arrived: list[float] = []
    async with Demo().stream(ModelRequest(messages=conversation("Hi"))) as items:
        async for _ in items:
            arrived.append(time.monotonic() - began)
            if len(arrived) == 12:
                break

    assert arrived[0] > 0.03
    assert arrived[-1] - arrived[0] > 9 * 0.02


async def test_stopping_it_takes_no_time() -> None:
    waiting = asyncio.create_task(answer_of(Demo(pace_s=10)))
    await asyncio.sleep(0.01)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(1):
            await waiting
