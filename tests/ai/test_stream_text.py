"""The step loop: model, tools, model, until there is an answer."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from chatrun.ai.scope import enter_scope
from chatrun.ai.settings import StepChanges, step_count, tool_called
from chatrun.ai.stream_text import stream_text
from chatrun.ai.tools import Tool, ToolCall, tool
from chatrun.errors import InvalidInput, ProviderTruncated, ProviderUnavailable
from chatrun.models.base import NamedTool, Usage
from chatrun.models.detect import chunks_of
from tests.support.models import HI, WIRES, brief, model_on
from tests.support.prompts import call, result
from tests.support.scripted import USAGE, Scripted, calls, done, says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from chatrun.ai.settings import NextStep
    from tests.support.provider import FakeProvider
    from tests.support.provider_wires import WireName


@tool
async def weather(city: str = "Paris") -> str:
    """Tell the weather."""
    return f"sunny in {city}"


@tool
async def broken() -> None:
    raise ValueError("it is broken")


@tool(client=True)
def ask() -> None: ...


async def run(model: Scripted, **options: Any) -> list[Any]:
    return [chunk async for chunk in stream_text(model, messages=HI, retry_delay_s=0, **options)]


async def test_an_answer_is_one_step_without_start_and_finish() -> None:
    stream = stream_text(Scripted(says("Hello", model="m", response_id="r")), messages=HI)

    chunks = [chunk async for chunk in stream]

    assert chunks == [
        {"type": "start-step"},
        {"type": "text-start", "id": "t"},
        {"type": "text-delta", "id": "t", "delta": "Hello"},
        {"type": "text-end", "id": "t"},
        {"type": "finish-step"},
    ]
    assert (stream.finish_reason, stream.usage) == ("stop", USAGE)
    (step,) = stream.steps
    assert (step.number, step.text, step.finish_reason, step.usage) == (0, "Hello", "stop", USAGE)
    assert stream.new_messages == [
        {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}
    ]


async def test_nothing_happens_before_it_is_iterated_and_then_only_once() -> None:
    model = Scripted(says("Hello"))
    stream = stream_text(model, messages=HI)
    assert model.requests == []

    assert await stream.text() == "Hello"

    with pytest.raises(InvalidInput, match="once only"):
        await stream.text()
    assert len(model.requests) == 1


async def test_an_answer_that_is_given_to_a_task_brings_its_finish_reason() -> None:
    stream = stream_text(Scripted(says("Hello", reason="length")), messages=HI)

    chunks = [chunk async for chunk in chunks_of(stream)]

    assert brief(chunks) == ["start-step", ["text", "Hello"], "finish-step", "finish"]
    assert chunks[-1] == {"type": "finish", "finishReason": "length"}


async def test_every_setting_reaches_the_model() -> None:
    model = Scripted(says(""))

    await stream_text(
        model,
        messages=HI,
        system="S",
        tools=[weather],
        tool_choice="weather",
        max_output_tokens=5,
        temperature=0.5,
        top_p=0.9,
        stop_sequences=["X"],
        provider_options={"openai": {"seed": 1}},
        max_retries=7,
        chunk_timeout_s=9,
    ).text()

    (request,) = model.requests
    assert [tool.name for tool in request.tools] == ["weather"]
    assert request.tool_choice == NamedTool("weather")
    assert (request.messages, request.system, request.max_output_tokens) == (HI, "S", 5)
    assert (request.temperature, request.top_p, request.stop_sequences) == (0.5, 0.9, ["X"])
    assert (request.provider_options, request.max_retries) == ({"openai": {"seed": 1}}, 7)
    assert request.chunk_timeout_s == 9


# --- tools ----------------------------------------------------------------------------------


async def test_a_tool_is_run_and_the_model_is_told_what_it_gave() -> None:
    model = Scripted(calls("weather", weather={"city": "Rome"}), says("Sunny."))
    stream = stream_text(model, messages=HI, tools=[weather])

    chunks = [chunk async for chunk in stream]

    assert chunks[1:4] == [
        {
            "type": "tool-input-available",
            "toolCallId": "c0",
            "toolName": "weather",
            "input": {"city": "Rome"},
        },
        {"type": "tool-output-available", "toolCallId": "c0", "output": "sunny in Rome"},
        {"type": "finish-step"},
    ]
    assert brief(chunks[4:]) == ["start-step", ["text", "Sunny."], "finish-step"]
    assert model.requests[1].messages == [
        *HI,
        {"role": "assistant", "content": [call("c0", {"city": "Rome"})]},
        {"role": "tool", "content": [result("c0", "sunny in Rome")]},
    ]
    assert stream.usage == USAGE + USAGE
    assert stream.finish_reason == "stop"


@pytest.mark.parametrize("wire", WIRES)
async def test_the_loop_works_through_the_real_packages(
    provider: FakeProvider, wire: WireName
) -> None:
    @tool
    async def clock(city: str) -> dict[str, Any]:
        return {"city": city, "time": 12}

    model = model_on(provider, wire, "tools")

    text = await stream_text(model, messages=HI, tools=[weather, clock]).text()

    assert text == 'Results: sunny in Paris; {"city":"Paris","time":12}'


@pytest.mark.parametrize("wire", WIRES)
async def test_an_input_that_is_no_json_is_told_to_the_model(
    provider: FakeProvider, wire: WireName
) -> None:
    stream = stream_text(model_on(provider, wire, "bad-input"), messages=HI, tools=[weather])

    assert "Invalid input for tool weather: it is not JSON" in await stream.text()
    assert len(stream.steps) == 2


async def test_tools_run_side_by_side_and_show_their_results_as_they_come() -> None:
    second_done = asyncio.Event()

    @tool
    async def first() -> str:
        await second_done.wait()
        return "1"

    @tool
    async def second() -> str:
        second_done.set()
        return "2"

    model = Scripted(calls("first", "second"), says(""))

    chunks = await run(model, tools=[first, second])

    shown = [chunk["output"] for chunk in chunks if chunk["type"] == "tool-output-available"]
    assert shown == ["2", "1"]
    told: Any = model.requests[1].messages[-1]["content"]
    assert told == [result("c0", "1", name="first"), result("c1", "2", name="second")]


async def test_no_more_tools_run_at_a_time_than_asked() -> None:
    running, most = 0, 0

    @tool
    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await run(Scripted(calls(*["work"] * 6), says("")), tools=[work], parallel_tools=2)

    assert most == 2


async def test_a_generators_outputs_are_preliminary_but_for_the_last() -> None:
    @tool
    async def steps() -> AsyncIterator[int]:
        yield 1
        yield 2

    @tool
    def nothing() -> Iterator[int]:
        yield from ()

    chunks = await run(Scripted(calls("steps", "nothing"), says("")), tools=[steps, nothing])

    told = [chunk for chunk in chunks if chunk["type"] == "tool-output-available"]
    head = {"type": "tool-output-available", "toolCallId": "c0"}
    assert [chunk for chunk in told if chunk["toolCallId"] == "c0"] == [
        {**head, "output": 1, "preliminary": True},
        {**head, "output": 2, "preliminary": True},
        {**head, "output": 2},
    ]
    assert [chunk["output"] for chunk in told if chunk["toolCallId"] == "c1"] == [None]


class Quitting(BaseException):
    """Not an `Exception`."""


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (ValueError("it is broken"), "it is broken"),
        (KeyError(), "KeyError"),
        (SystemExit(3), "3"),
        (Quitting("stop all"), "stop all"),
        (asyncio.CancelledError(), "the tool cancelled itself"),
    ],
)
async def test_what_a_tool_raises_is_told_to_page_and_model_alike(
    raised: BaseException, text: str
) -> None:
    @tool
    async def fails() -> None:
        raise raised

    model = Scripted(calls("fails", "weather"), says("Sorry."))

    chunks = await run(model, tools=[fails, weather])

    error = {"type": "tool-output-error", "toolCallId": "c0", "errorText": text}
    assert error in chunks
    told: Any = model.requests[1].messages[-1]["content"]
    assert told == [
        result("c0", {"type": "error-text", "value": text}, name="fails"),
        result("c1", "sunny in Paris"),
    ]


async def test_a_wrong_input_is_told_to_the_model_and_the_tool_is_not_run() -> None:
    model = Scripted(calls("weather", weather={"city": 7}), says("Sorry."))

    chunks = await run(model, tools=[weather])

    problem = "Invalid input for tool weather: city: Input should be a valid string"
    assert chunks[1:3] == [
        {
            "type": "tool-input-error",
            "toolCallId": "c0",
            "toolName": "weather",
            "input": {"city": 7},
            "errorText": problem,
        },
        {"type": "finish-step"},
    ]
    told: Any = model.requests[1].messages[-1]["content"]
    assert told == [result("c0", {"type": "error-text", "value": problem})]


@pytest.mark.parametrize(
    ("tools", "offer"),
    [([weather], "Available tools: weather."), ([], "No tools are available.")],
)
async def test_a_tool_that_is_not_there_is_told_to_the_model(tools: list[Tool], offer: str) -> None:
    model = Scripted(calls("fly"), says("Sorry."))

    chunks = await run(model, tools=tools)

    assert chunks[1] == {
        "type": "tool-input-error",
        "toolCallId": "c0",
        "toolName": "fly",
        "input": {},
        "errorText": f"Model tried to call unavailable tool 'fly'. {offer}",
        "dynamic": True,
    }
    assert len(model.requests) == 2


async def test_a_call_for_the_client_ends_the_answer_and_stays_open() -> None:
    model = Scripted(calls("weather", "ask"))
    stream = stream_text(model, messages=HI, tools=[weather, ask])

    chunks = [chunk async for chunk in stream]

    assert [chunk["type"] for chunk in chunks] == [
        "start-step",
        "tool-input-available",
        "tool-input-available",
        "tool-output-available",
        "finish-step",
    ]
    assert stream.finish_reason == "tool-calls"
    assert [call.result is None for call in stream.steps[0].calls] == [False, True]


@pytest.mark.parametrize("reason", ["length", "content-filter", "other"])
async def test_calls_of_an_answer_that_was_cut_short_are_not_run(reason: str) -> None:
    script = [*calls("weather")[:-1], done(reason)]

    chunks = await run(Scripted(script), tools=[weather])

    assert [chunk["type"] for chunk in chunks] == [
        "start-step",
        "tool-input-available",
        "finish-step",
    ]


async def test_a_tool_knows_its_call_and_the_conversation() -> None:
    seen: list[ToolCall] = []

    @tool
    async def look(x: int, call: ToolCall) -> None:
        seen.append(call)

    await run(Scripted(calls("look", look={"x": 1}), says("")), tools=[look])

    assert seen == [ToolCall("c0", "look", {"x": 1}, [*HI, *seen[0].messages[1:]])]
    assert seen[0].messages[0] == HI[0]


# --- steps ----------------------------------------------------------------------------------


async def test_ids_of_parts_differ_between_steps_and_answers() -> None:
    models = [Scripted(calls("weather"), says("")) for _ in range(2)]
    for model in models:
        await run(model, tools=[weather])

    prefixes = [request.id_prefix for model in models for request in model.requests]
    assert len(set(prefixes)) == 4
    assert all(prefixes)


@pytest.mark.parametrize(
    ("stop_when", "steps"),
    [
        (step_count(2), 2),
        ([step_count(5), tool_called("broken")], 3),
        (tool_called(), 1),
        (lambda steps: len(steps) == 4, 4),
        (None, 6),
    ],
)
async def test_the_loop_stops_when_it_is_told_to(stop_when: Any, steps: int) -> None:
    scripts = [calls("weather"), calls("weather"), calls("broken"), calls("weather")]
    model = Scripted(*scripts, calls("weather"), says("Done."))

    await run(model, tools=[weather, broken], stop_when=stop_when)

    assert len(model.requests) == steps


async def test_a_condition_may_take_its_time() -> None:
    async def stop(steps: Any) -> bool:
        await asyncio.sleep(0)
        return True

    model = Scripted(calls("weather"))

    await run(model, tools=[weather], stop_when=stop)

    assert len(model.requests) == 1


async def test_by_default_the_loop_stops_after_twenty_steps() -> None:
    model = Scripted(*[calls("weather")] * 30)

    await run(model, tools=[weather])

    assert len(model.requests) == 20


async def test_a_model_that_pauses_is_asked_to_go_on() -> None:
    model = Scripted(says("Let me", raw_reason="pause_turn"), says(" see."))
    stream = stream_text(model, messages=HI)

    assert brief([chunk async for chunk in stream]) == [
        *("start-step", ["text", "Let me"], "finish-step"),
        *("start-step", ["text", " see."], "finish-step"),
    ]
    assert model.requests[1].messages[-1]["content"] == [{"type": "text", "text": "Let me"}]


async def test_the_next_step_can_be_changed() -> None:
    other = Scripted(says("Done."))
    seen: list[NextStep] = []

    async def prepare(step: NextStep) -> StepChanges | None:
        seen.append(step)
        if step.number == 0:
            said: Any = {"role": "user", "content": "changed"}
            return StepChanges(messages=[said], system="S", temperature=0.1)
        return StepChanges(model=other, tool_choice="none", active_tools=[])

    model = Scripted(calls("weather"))
    await run(model, tools=[weather], prepare_step=prepare, system="old")

    first, second = *model.requests, *other.requests
    assert [step.number for step in seen] == [0, 1]
    assert (first.messages[0]["content"], first.system) == ("changed", "S")
    assert (first.temperature, second.temperature) == (0.1, None)
    assert (second.messages[0]["content"], second.system) == ("changed", "S")
    assert (second.tool_choice, second.tools) == ("none", ())
    assert len(second.messages) == 3


async def test_preparing_nothing_changes_nothing() -> None:
    model = Scripted(says(""))

    await run(model, prepare_step=lambda step: None, system="S")

    assert model.requests[0].system == "S"


async def test_a_tool_that_is_not_offered_cannot_be_chosen() -> None:
    with pytest.raises(InvalidInput, match="there is no tool 'fly' to choose"):
        await run(Scripted(says("")), tools=[weather], active_tools=["fly"])


async def test_metadata_of_the_message_is_sent_first_or_last() -> None:
    def used(stream: Any) -> dict[str, object]:
        return {"tokens": stream.usage.total_tokens}

    first = await run(Scripted(says("")), message_metadata={"model": "m"})
    last = await run(Scripted(says("")), message_metadata=used)
    none = await run(Scripted(says("")), message_metadata=lambda stream: None)

    assert first[0] == {"type": "message-metadata", "messageMetadata": {"model": "m"}}
    assert last[-1] == {"type": "message-metadata", "messageMetadata": {"tokens": 11}}
    assert none[-1] == {"type": "finish-step"}


# --- the turn -------------------------------------------------------------------------------


class Turn:
    """What the engine would be."""

    messages: list[Any] = HI
    tools = (weather,)
    system: str | None = None
    skill_tools: tuple[Any, ...] = ()

    def __init__(self) -> None:
        self.reported: list[Usage] = []
        self.events: list[str] = []

    def report_usage(self, usage: Usage) -> None:
        self.reported.append(usage)

    def report(self, event: str, **facts: object) -> None:
        self.events.append(event)

    async def at_step(self, messages: Sequence[Any], *, step: int) -> Sequence[Any]:
        return messages


async def test_the_turn_brings_messages_and_tools_and_is_told_what_was_used() -> None:
    model, turn = Scripted(calls("weather"), says("Done.")), Turn()
    enter_scope(turn)

    text = await stream_text(model).text()

    assert text == "Done."
    assert model.requests[0].messages == HI
    assert [tool.name for tool in model.requests[0].tools] == ["weather"]
    assert turn.reported == [USAGE, USAGE]
    assert turn.events == ["step-ended", "tool-ended", "step-ended"]


async def test_what_a_call_names_itself_comes_before_the_turns() -> None:
    model = Scripted(says(""))
    said: list[Any] = [{"role": "user", "content": "mine"}]
    enter_scope(Turn())

    await stream_text(model, messages=said, tools=[]).text()

    assert (model.requests[0].messages, model.requests[0].tools) == (said, ())


async def test_what_a_step_used_counts_though_it_is_stopped_in_its_tools() -> None:
    started = asyncio.Event()

    @tool
    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    turn = Turn()
    enter_scope(turn)
    running = asyncio.create_task(run(Scripted(calls("forever")), tools=[forever]))
    await started.wait()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert turn.reported == [USAGE]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"messages": None}, "needs messages"),
        ({"messages": [{"role": "user", "parts": []}]}, "message 0 is not .* turn.messages"),
        ({"messages": [{"text": "hi"}]}, 'message 0 is not .* "role" and "content"'),
        ({"messages": HI, "tools": [lambda: None]}, "is not a tool: decorate it with @tool"),
        ({"messages": HI, "tools": [weather, weather]}, "two tools with the name 'weather'"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_at_once(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem):
        stream_text(Scripted(), **options)


def test_an_unknown_model_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput, match="'gpt-4o' is not a model"):
        stream_text("gpt-4o", messages=HI)


# --- failing and stopping -------------------------------------------------------------------


def _overloaded() -> ProviderUnavailable:
    return ProviderUnavailable("overloaded", model="scripted")


async def test_a_step_that_fails_before_any_word_is_tried_again() -> None:
    model = Scripted([_overloaded()], [_overloaded()], says("Hello"))

    chunks = await run(model, max_retries=2)

    assert brief(chunks) == ["start-step", ["text", "Hello"], "finish-step"]


@pytest.mark.parametrize("wire", WIRES)
async def test_an_error_ahead_of_the_answer_is_survived_with_the_real_packages(
    provider: FakeProvider, wire: WireName
) -> None:
    model = model_on(provider, wire, "overloaded-at-once")

    text = await stream_text(model, messages=HI, retry_delay_s=0).text()

    assert text == "Hello, wörld 👋🏽!"


async def test_tries_end_with_the_error_itself() -> None:
    model = Scripted(*[[_overloaded()]] * 5)

    with pytest.raises(ProviderUnavailable, match="overloaded"):
        await run(model, max_retries=1)

    assert len(model.requests) == 2


async def test_after_the_first_word_nothing_is_tried_again() -> None:
    model = Scripted([*says("Hel")[:2], _overloaded()], says("Hello"))
    shown: list[Any] = []

    with pytest.raises(ProviderUnavailable):
        async for chunk in stream_text(model, messages=HI, retry_delay_s=0):
            shown.append(chunk)

    assert brief(shown) == ["start-step", ["text", "Hel"]]
    assert len(model.requests) == 1


async def test_a_refused_request_is_not_sent_again_by_the_loop(provider: FakeProvider) -> None:
    model = model_on(provider, "chat", "status-429")

    with pytest.raises(ProviderUnavailable, match="answered 429"):
        await stream_text(model, messages=HI, max_retries=1, retry_delay_s=0).text()

    assert len(provider.requests) == 2


async def test_a_model_that_never_says_how_it_ended_is_at_fault() -> None:
    with pytest.raises(ProviderTruncated):
        await run(Scripted(says("Hello")[:-1]))


@pytest.mark.parametrize("wire", WIRES)
async def test_cancelling_the_answer_closes_the_model(
    provider: FakeProvider, wire: WireName
) -> None:
    model = model_on(provider, wire, "hang")
    running = asyncio.create_task(stream_text(model, messages=HI).text())
    await provider.requested()
    await provider.spoken()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    await provider.disconnected()


async def test_leaving_the_answer_by_break_closes_the_model(provider: FakeProvider) -> None:
    stream = stream_text(model_on(provider, "chat", "hang"), messages=HI)

    async for chunk in stream:
        if chunk["type"] == "text-delta":
            break

    await provider.disconnected()


async def test_closing_the_answer_in_mid_step_closes_model_and_tools() -> None:
    model = Scripted(says("Hello"))
    stream = stream_text(model, messages=HI)
    chunks = aiter(stream)
    async for chunk in chunks:
        if chunk["type"] == "text-delta":
            break
    assert model.open == 1

    await stream.aclose()

    assert model.open == 0


async def test_closing_an_answer_that_never_began_does_nothing() -> None:
    model = Scripted()

    await stream_text(model, messages=HI).aclose()

    assert model.requests == []


async def test_closing_an_answer_that_is_over_does_nothing() -> None:
    stream = stream_text(Scripted(says("Hello")), messages=HI)
    await stream.text()

    await stream.aclose()

    assert stream.finish_reason == "stop"


async def test_cancelling_ends_the_tools_that_run() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    @tool
    async def forever() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.create_task(run(Scripted(calls("forever")), tools=[forever]))
    await started.wait()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert ended.is_set()


async def test_leaving_while_tools_run_ends_them() -> None:
    ended = asyncio.Event()

    @tool
    async def steps() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.set()

    stream = stream_text(Scripted(calls("steps")), messages=HI, tools=[steps])
    async with aclosing(aiter(stream)) as chunks:
        async for chunk in chunks:
            if chunk["type"] == "tool-output-available":
                break

    assert ended.is_set()
