"""The scripted model: it says what was written down, in the form real models say it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from chatrun.ai.stream_text import stream_text
from chatrun.ai.tools import tool
from chatrun.errors import ProviderRejected, ProviderUnavailable
from chatrun.models.base import Model, ModelFinish, ModelRequest, Usage
from chatrun.testing import ScriptedModel, call

if TYPE_CHECKING:
    from collections.abc import Sequence

HI: list[Any] = [{"role": "user", "content": "Hi"}]
USAGE = Usage(input_tokens=10, output_tokens=5)


async def answer_of(model: Model, prefix: str = "") -> Sequence[Any]:
    async with model.stream(ModelRequest(messages=HI, id_prefix=prefix)) as items:
        return [item async for item in items]


async def test_text_is_streamed_word_by_word_with_the_ids_that_were_asked_for() -> None:
    assert await answer_of(ScriptedModel(["It is  red. "]), "p:") == [
        {"type": "text-start", "id": "p:0"},
        {"type": "text-delta", "id": "p:0", "delta": "It"},
        {"type": "text-delta", "id": "p:0", "delta": " is"},
        {"type": "text-delta", "id": "p:0", "delta": "  red."},
        {"type": "text-delta", "id": "p:0", "delta": " "},
        {"type": "text-end", "id": "p:0"},
        ModelFinish(reason="stop", usage=USAGE),
    ]


async def test_a_call_brings_its_input_in_pieces_and_then_as_a_whole() -> None:
    model = ScriptedModel([call("look", {"at": "sky"}), [call("look"), call("see")]])

    first = await answer_of(model)
    second = await answer_of(model)

    assert first == [
        {"type": "tool-input-start", "toolCallId": "call_1", "toolName": "look"},
        {"type": "tool-input-delta", "toolCallId": "call_1", "inputTextDelta": '{"at":'},
        {"type": "tool-input-delta", "toolCallId": "call_1", "inputTextDelta": '"sky"}'},
        {
            "type": "tool-input-available",
            "toolCallId": "call_1",
            "toolName": "look",
            "input": {"at": "sky"},
        },
        ModelFinish(reason="tool-calls", usage=USAGE),
    ]
    calls = [item for item in second[:-1] if item["type"] == "tool-input-available"]
    assert [(made["toolCallId"], made["toolName"], made["input"]) for made in calls] == [
        ("call_2", "look", {}),
        ("call_3", "see", {}),
    ]


async def test_pieces_of_an_answer_follow_each_other_and_neighbouring_texts_are_one() -> None:
    source = {"type": "source-url", "sourceId": "s", "url": "https://example.com"}
    end = ModelFinish(reason="length", usage=Usage(output_tokens=1))

    items = await answer_of(ScriptedModel([["One", " two", source, "three", end, "never"]]))

    assert items == [
        {"type": "text-start", "id": "0"},
        {"type": "text-delta", "id": "0", "delta": "One"},
        {"type": "text-delta", "id": "0", "delta": " two"},
        {"type": "text-end", "id": "0"},
        source,
        {"type": "text-start", "id": "3"},
        {"type": "text-delta", "id": "3", "delta": "three"},
        {"type": "text-end", "id": "3"},
        end,
    ]


async def test_an_exception_refuses_the_request_or_breaks_the_answer_off_at_its_place() -> None:
    refusal = ProviderRejected("no", model="scripted")
    broken = ProviderUnavailable("gone", model="scripted")
    model = ScriptedModel([refusal, ["half", broken]])

    with pytest.raises(ProviderRejected):
        async with model.stream(ModelRequest(messages=HI)):
            raise AssertionError("it was entered")
    said: list[Any] = []
    with pytest.raises(ProviderUnavailable):
        async with model.stream(ModelRequest(messages=HI)) as items:
            async for item in items:
                said.append(item["type"])  # type: ignore[index]

    assert said == ["text-start", "text-delta", "text-end"]
    assert model.answering == 0


async def test_a_function_answers_by_what_it_is_asked() -> None:
    async def later(request: ModelRequest) -> str:
        return f"{len(request.messages)} later"

    model = ScriptedModel([lambda request: [f"{request.messages[0]['content']}!"], later])

    assert await stream_text(model, messages=HI).text() == "Hi!"
    assert await stream_text(model, messages=HI).text() == "1 later"


async def test_an_answer_that_stands_alone_is_given_every_time() -> None:
    model = ScriptedModel("Again.")

    answers = [await stream_text(model, messages=HI).text() for _ in range(3)]

    assert answers == ["Again."] * 3
    assert [request.messages for request in model.requests] == [HI] * 3


async def test_a_model_that_is_asked_too_often_says_so() -> None:
    model = ScriptedModel(["One."], name="short")
    await stream_text(model, messages=HI).text()

    with pytest.raises(AssertionError, match="short was asked 2 times, for 1 answers"):
        await stream_text(model, messages=HI).text()


async def test_a_gate_lets_out_one_chunk_at_a_time() -> None:
    gate = asyncio.Semaphore(0)
    model = ScriptedModel(["One two"], gate=gate.acquire)

    async with asyncio.timeout(5), model.stream(ModelRequest(messages=HI)) as items:
        first = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0.005)
        held_back = not first.done()
        gate.release()
        begun: Any = await first
        for _ in range(3):
            gate.release()
        rest = [item async for item in items]

    assert (held_back, begun["type"], len(rest)) == (True, "text-start", 4)


async def test_an_event_among_the_pieces_is_waited_for_at_its_place() -> None:
    go_on = asyncio.Event()
    model = ScriptedModel([["One", go_on, " two"]])

    async with asyncio.timeout(5), model.stream(ModelRequest(messages=HI)) as items:
        begun: list[Any] = [await anext(items), await anext(items)]
        waiting = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0.005)
        held_back = not waiting.done()
        go_on.set()
        follows: Any = await waiting

    assert [item["type"] for item in begun] == ["text-start", "text-delta"]
    assert (held_back, follows) == (True, {"type": "text-delta", "id": "0", "delta": " two"})


async def test_the_tools_a_script_calls_are_run_and_their_results_asked_about() -> None:
    @tool
    async def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    model = ScriptedModel([["Let me see.", call("add", {"a": 1, "b": 2})], "It is 3."])
    stream = stream_text(model, messages=HI, tools=[add])
    text = await stream.text()

    assert text == "It is 3."
    assert stream.usage == Usage(input_tokens=20, output_tokens=10)
    assert model.requests[1].messages[-1] == {
        "role": "tool",
        "content": [
            {
                "type": "tool-result",
                "toolCallId": "call_1",
                "toolName": "add",
                "output": {"type": "json", "value": 3},
            }
        ],
    }


def test_a_scripted_model_is_a_model_and_tells_how_often_it_was_asked() -> None:
    model = ScriptedModel([])

    assert isinstance(model, Model)
    assert repr(model) == "<ScriptedModel 'scripted', asked 0 times>"
