"""Agents of the real pydantic-ai, returned from a task, with the fake provider as their model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from chatrun import Turn, chat
from chatrun.errors import ProviderRejected, ProviderTruncated, ProviderUnavailable
from chatrun.models.base import ModelFinish, Usage
from chatrun.models.detect import chunks_of
from chatrun.testing import harness
from tests.support.brought import brought
from tests.support.models import brief, named_alike

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.provider import FakeProvider

# The package warns of its own deprecations, and those of what it is built on, when imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

HELLO = "Hello, wörld 👋🏽!"
CALL = {"toolCallId": "call_0", "toolName": "weather"}


@pytest.fixture
async def make_agent(provider: FakeProvider) -> AsyncIterator[Callable[..., Any]]:
    """A function that makes an agent on a scenario, over one of the three wires."""
    ai = brought("pydantic_ai")
    openai_models = brought("pydantic_ai.models.openai")
    anthropic_models = brought("pydantic_ai.models.anthropic")
    ours: dict[str, Any] = {"api_key": "k", "max_retries": 0}
    to_openai = openai.AsyncOpenAI(base_url=provider.openai_url, **ours)
    to_anthropic = anthropic.AsyncAnthropic(
        base_url=provider.base_url, open_telemetry=False, **ours
    )
    by_openai = brought("pydantic_ai.providers.openai").OpenAIProvider(openai_client=to_openai)
    by_anthropic = brought("pydantic_ai.providers.anthropic").AnthropicProvider(
        anthropic_client=to_anthropic
    )

    def make(name: str, *, wire: str = "chat", **kept: Any) -> Any:
        if wire == "anthropic":
            model = anthropic_models.AnthropicModel(name, provider=by_anthropic)
        elif wire == "responses":
            model = openai_models.OpenAIResponsesModel(name, provider=by_openai)
        else:
            model = openai_models.OpenAIChatModel(name, provider=by_openai)
        return ai.Agent(model, **kept)

    yield make
    await to_openai.close()
    await to_anthropic.close()


FORMS: dict[str, Callable[[Any], Any]] = {
    "run_stream_events": lambda agent: agent.run_stream_events("Hi"),
    "run_stream": lambda agent: agent.run_stream("Hi"),
    "iter": lambda agent: agent.iter("Hi"),
    "run": lambda agent: agent.run("Hi"),
}
STREAMED = [form for form in FORMS if form != "run"]


def weather(city: str) -> str | None:
    """Tell the weather."""
    return None if city == "Paris" else city


async def told(value: Any, **kept: Any) -> list[Any]:
    return [chunk async for chunk in chunks_of(value, **kept)]


@pytest.mark.parametrize("form", STREAMED)
@pytest.mark.parametrize("wire", ["chat", "responses", "anthropic"])
async def test_thoughts_and_words_are_streamed_as_one_step_with_its_reason_and_usage(
    make_agent: Callable[..., Any], form: str, wire: str
) -> None:
    finished: list[ModelFinish] = []

    chunks = await told(FORMS[form](make_agent("thinking", wire=wire)), on_finish=finished.append)

    assert brief(chunks) == [
        *("start-step", ["reasoning", "Let me think."], ["text", "Done."]),
        *("finish-step", "finish"),
    ]
    assert chunks[-1] == {"type": "finish", "finishReason": "stop"}
    assert [(finish.reason, finish.usage.total_tokens) for finish in finished] == [("stop", 26)]


async def test_a_tool_is_told_from_its_input_to_its_output_even_if_that_is_nothing(
    make_agent: Callable[..., Any],
) -> None:
    finished: list[ModelFinish] = []
    agent = make_agent("tools", tools=[weather])

    chunks = await told(agent.run_stream_events("Hi"), on_finish=finished.append)

    assert named_alike(chunks) == [
        {"type": "start-step"},
        {"type": "tool-input-start", **CALL},
        *(
            {"type": "tool-input-delta", "toolCallId": "call_0", "inputTextDelta": piece}
            for piece in ('{"city"', ': "Pa', 'ris"}')
        ),
        {"type": "tool-input-available", **CALL, "input": {"city": "Paris"}},
        {"type": "tool-output-available", "toolCallId": "call_0", "output": None},
        {"type": "finish-step"},
        {"type": "start-step"},
        {"type": "text-start", "id": "0"},
        {"type": "text-delta", "id": "0", "delta": "Results: "},
        {"type": "text-end", "id": "0"},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop"},
    ]
    assert [finish.reason for finish in finished] == ["tool-calls", "stop"]
    assert finished[0].usage == Usage(
        input_tokens=19,
        no_cache_tokens=15,
        cache_read_tokens=4,
        cache_write_tokens=0,
        output_tokens=7,
        text_tokens=5,
        reasoning_tokens=2,
    )


@pytest.mark.parametrize("form", ["iter", "run"])
async def test_other_ways_to_run_an_agent_tell_its_tools_too(
    form: str,
) -> None:
    agent = brought("pydantic_ai").Agent(_scripted(), tools=[weather])

    chunks = await told(FORMS[form](agent))

    assert [chunk for chunk in chunks if chunk["type"].startswith("tool-output")] == [
        {"type": "tool-output-available", "toolCallId": "call_0", "output": None}
    ]
    assert brief(chunks)[-4:] == ["start-step", ["text", "Fine."], "finish-step", "finish"]


def _scripted() -> Any:
    """Return the package's own test model: it calls `weather`, then answers."""
    parts = brought("pydantic_ai.messages")
    function = brought("pydantic_ai.models.function")

    def whole(messages: list[Any], info: Any) -> Any:
        if len(messages) > 1:
            return parts.ModelResponse(parts=[parts.TextPart("Fine.")])
        call = parts.ToolCallPart("weather", {"city": "Paris"}, tool_call_id="call_0")
        return parts.ModelResponse(parts=[call])

    async def streamed(messages: list[Any], info: Any) -> AsyncIterator[Any]:
        if len(messages) > 1:
            yield "Fine."
        else:
            call = function.DeltaToolCall("weather", '{"city": "Paris"}', tool_call_id="call_0")
            yield {0: call}

    return function.FunctionModel(whole, stream_function=streamed)


async def test_a_tool_that_fails_shows_what_the_model_was_told(
    make_agent: Callable[..., Any],
) -> None:
    ai = brought("pydantic_ai")

    def weather(city: str) -> str:
        raise ai.ModelRetry(f"{city} has none")

    chunks = await told(make_agent("tools", tools=[weather]).run_stream_events("Hi"))

    assert {"type": "tool-output-error", "toolCallId": "call_0", "errorText": "Paris has none"} in (
        chunks
    )


async def test_an_approval_is_asked_for_and_the_call_stays_open(
    make_agent: Callable[..., Any],
) -> None:
    ai = brought("pydantic_ai")
    agent = make_agent(
        "tools",
        output_type=[str, ai.DeferredToolRequests],
        tools=[ai.Tool(weather, requires_approval=True)],
    )

    chunks = await told(agent.run_stream_events("Hi"))

    asked = [chunk for chunk in chunks if chunk["type"] == "tool-approval-request"]
    assert [chunk["toolCallId"] for chunk in asked] == ["call_0"]
    assert [c["type"] for c in chunks if c["type"].startswith("tool-output")] == []
    assert chunks[-1] == {"type": "finish", "finishReason": "tool-calls"}


@pytest.mark.parametrize("approved", [True, False])
async def test_a_run_goes_on_in_the_message_that_asked(
    make_agent: Callable[..., Any], approved: bool
) -> None:
    ai = brought("pydantic_ai")
    agent = make_agent(
        "tools",
        output_type=[str, ai.DeferredToolRequests],
        tools=[ai.Tool(weather, requires_approval=True)],
    )
    said: list[Any] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[Any]:
        parts: list[Any] = [*turn.ui_messages[-1]["parts"]]
        decisions = {
            part["toolCallId"]: part["approval"]["approved"]
            for part in parts
            if part.get("state") == "approval-responded"
        }
        results = ai.DeferredToolResults(approvals=decisions) if decisions else None
        prompt = None if decisions else turn.text
        async with agent.run_stream_events(
            prompt, message_history=list(said), deferred_tool_results=results
        ) as events:
            async for event in events:
                yield event
        said[:] = events.result.all_messages()

    async with harness(my_chat) as h:
        asked = (await h.send("Hi")).message
        assert asked is not None
        part: Any = asked["parts"][-1]
        answer = {**part["approval"], "approved": approved}
        answered = {**part, "state": "approval-responded", "approval": answer}
        done = await h.send({**asked, "parts": [*asked["parts"][:-1], answered]})
        kept = await h.messages()

    assert (done.outcome, done.error) == ("finished", None)
    assert len(kept) == 2
    state = "output-available" if approved else "output-denied"
    calls: list[Any] = [part for part in kept[1]["parts"] if part["type"] == "tool-weather"]
    assert [call["state"] for call in calls] == [state]
    assert kept[1]["parts"][-1]["type"] == "text"


async def test_a_result_of_a_call_that_the_page_never_saw_brings_the_call_along(
    make_agent: Callable[..., Any],
) -> None:
    ai = brought("pydantic_ai")
    agent = make_agent(
        "tools",
        output_type=[str, ai.DeferredToolRequests],
        tools=[ai.Tool(weather, requires_approval=True)],
    )
    async with agent.run_stream_events("Hi") as events:
        async for _ in events:
            pass
        asked = events.result
    allowed = ai.DeferredToolResults(approvals={"call_0": True})

    going_on = agent.run_stream_events(
        message_history=asked.all_messages(), deferred_tool_results=allowed
    )
    chunks = await told(going_on, earlier_call=lambda call_id: None)

    assert chunks[:3] == [
        {"type": "start-step"},
        {"type": "tool-input-available", **CALL, "input": {"city": "Paris"}},
        {"type": "tool-output-available", "toolCallId": "call_0", "output": None},
    ]


async def test_an_event_of_the_agents_own_is_a_data_part(make_agent: Callable[..., Any]) -> None:
    from dataclasses import dataclass

    ai = brought("pydantic_ai")

    @dataclass(kw_only=True)
    class Progress(ai.CustomEvent, name="progress"):  # type: ignore[misc,name-defined,call-arg]
        done: int

    async def weather(ctx: Any, city: str) -> str:
        await ctx.emit(Progress(done=1))
        return "sunny"

    weather.__annotations__["ctx"] = ai.RunContext
    agent = make_agent("tools", tools=[ai.Tool(weather, takes_ctx=True)])

    chunks = await told(agent.run_stream_events("Hi"))

    assert {"type": "data-progress", "data": {"done": 1}} in chunks


@pytest.mark.parametrize("form", STREAMED)
@pytest.mark.parametrize("wire", ["chat", "responses", "anthropic"])
async def test_stopping_closes_the_connection_of_the_agents_model(
    provider: FakeProvider, make_agent: Callable[..., Any], form: str, wire: str
) -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> Any:
        return FORMS[form](make_agent("hang", wire=wire))

    async with harness(my_chat) as h, h.begin("hi") as turn:
        await turn.until("text-delta")
        await h.stop()
        done = await turn.done()
        await provider.disconnected()
        kept = await h.messages()

    assert (done.outcome, done.text) == ("stopped", "Hel")
    last: Any = kept[1]["parts"][-1]
    assert (last["text"], last["state"]) == ("Hel", "done")


@pytest.mark.parametrize("wire", ["chat", "responses", "anthropic"])
@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        ("clean-cut", ProviderTruncated),
        ("overloaded", ProviderUnavailable),
        ("tcp-cut", ProviderUnavailable),
        ("status-404", ProviderRejected),
    ],
)
async def test_a_providers_failure_is_told_as_one(
    make_agent: Callable[..., Any], wire: str, scenario: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await told(make_agent(scenario, wire=wire).run_stream_events("Hi"))


@pytest.mark.parametrize("form", ["run_stream", "iter"])
async def test_a_failure_is_told_whichever_way_the_agent_runs(
    make_agent: Callable[..., Any], form: str
) -> None:
    with pytest.raises(ProviderTruncated, match="the answer of clean-cut broke off"):
        await told(FORMS[form](make_agent("clean-cut")))
    with pytest.raises(ProviderRejected, match="pydantic-ai answered 404"):
        await told(FORMS[form](make_agent("status-404")))


async def test_an_error_of_a_tool_is_the_users_own(make_agent: Callable[..., Any]) -> None:
    def weather(city: str) -> str:
        raise FileNotFoundError(city)

    with pytest.raises(FileNotFoundError, match="Paris"):
        await told(make_agent("tools", tools=[weather]).run_stream_events("Hi"))


async def test_the_turn_counts_what_the_agent_has_used(make_agent: Callable[..., Any]) -> None:
    used: list[Usage] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[Any]:
        yield make_agent("tools", tools=[weather]).run_stream_events(turn.text)
        used.extend((turn.usage, turn.last_usage))

    async with harness(my_chat) as h:
        assert (await h.send("Hi")).outcome == "finished"

    assert [usage.total_tokens for usage in used] == [52, 26]
