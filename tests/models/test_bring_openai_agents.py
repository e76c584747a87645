"""Runs of the real OpenAI Agents SDK, returned from a task, with the fake provider as model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from chatrun import Turn, chat
from chatrun.errors import ProviderRejected, ProviderUnavailable
from chatrun.models.detect import chunks_of
from chatrun.testing import harness
from tests.support.brought import brought
from tests.support.models import brief, named_alike

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from chatrun.models.base import ModelFinish
    from tests.support.provider import FakeProvider

# The package warns of deprecations in what it is built on when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WIRES = ["responses", "chat"]
CALL = {"toolCallId": "call_0", "toolName": "weather"}


@pytest.fixture
async def make_agent(provider: FakeProvider) -> AsyncIterator[Callable[..., Any]]:
    """A function that makes an agent on a scenario, over one of the two wires."""
    sdk = brought("agents")
    sdk.set_tracing_disabled(True)
    client = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="k", max_retries=0)
    models = {"responses": sdk.OpenAIResponsesModel, "chat": sdk.OpenAIChatCompletionsModel}

    def make(name: str, *tools: Any, wire: str = "responses") -> Any:
        return sdk.Agent(name="helper", model=models[wire](name, client), tools=list(tools))

    yield make
    await client.close()


def run(agent: Any, given: Any = "Hi") -> Any:
    return brought("agents").Runner.run_streamed(agent, given)


def tool(**options: Any) -> Any:
    @brought("agents").function_tool(**options)  # type: ignore[untyped-decorator,unused-ignore]
    def weather(city: str) -> str:
        return f"sunny in {city}"

    return weather


async def told(value: Any, **kept: Any) -> list[Any]:
    return [chunk async for chunk in chunks_of(value, **kept)]


@pytest.mark.parametrize("wire", WIRES)
async def test_thoughts_and_words_are_streamed_as_one_step_with_its_reason_and_usage(
    make_agent: Callable[..., Any], wire: str
) -> None:
    finished: list[ModelFinish] = []

    chunks = await told(run(make_agent("thinking", wire=wire)), on_finish=finished.append)

    assert brief(chunks) == [
        *("start-step", ["reasoning", "Let me think."], ["text", "Done."]),
        *("finish-step", "finish"),
    ]
    assert [(finish.reason, finish.usage.total_tokens) for finish in finished] == [("stop", 26)]


async def test_a_tool_is_told_from_its_input_to_its_output_in_the_step_that_calls_it(
    make_agent: Callable[..., Any],
) -> None:
    chunks = await told(run(make_agent("tools", tool(), wire="chat")))

    assert named_alike(chunks) == [
        {"type": "start-step"},
        {"type": "tool-input-start", **CALL},
        *(
            {"type": "tool-input-delta", "toolCallId": "call_0", "inputTextDelta": piece}
            for piece in ('{"city"', ': "Pa', 'ris"}')
        ),
        {"type": "tool-input-available", **CALL, "input": {"city": "Paris"}},
        {"type": "tool-output-available", "toolCallId": "call_0", "output": "sunny in Paris"},
        {"type": "finish-step"},
        {"type": "start-step"},
        {"type": "text-start", "id": "0"},
        {"type": "text-delta", "id": "0", "delta": "Results: "},
        {"type": "text-delta", "id": "0", "delta": "sunny in Paris"},
        {"type": "text-end", "id": "0"},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop"},
    ]


async def test_events_that_a_task_passes_on_are_understood(make_agent: Callable[..., Any]) -> None:
    async def task() -> AsyncIterator[Any]:
        yield {"type": "data-status", "data": "asking"}
        async for event in run(make_agent("tools", tool())).stream_events():
            yield event
        yield " Bye."

    assert brief(await told(task())) == [
        "data-status",
        *("start-step", "tool-input-start", *["tool-input-delta"] * 3, "tool-input-available"),
        *("tool-output-available", "finish-step"),
        *("start-step", ["text", "Results: sunny in Paris"], ["text", " Bye."], "finish-step"),
        "finish",
    ]


@pytest.mark.parametrize("wire", WIRES)
async def test_an_approval_is_asked_for_and_the_run_goes_on_in_the_message_that_asked(
    make_agent: Callable[..., Any], wire: str
) -> None:
    agent = make_agent("tools", tool(needs_approval=True), wire=wire)
    states: list[Any] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[Any]:
        state = states.pop() if states else None
        if state is not None:
            for asked in state.get_interruptions():
                state.approve(asked)
        result = run(agent, state or turn.text)
        yield result
        states.append(result.to_state())

    async with harness(my_chat) as h:
        asked = (await h.send("Hi")).message
        assert asked is not None
        part: Any = asked["parts"][-1]
        assert part["state"] == "approval-requested"
        answer = {**part["approval"], "approved": True}
        answered = {**part, "state": "approval-responded", "approval": answer}
        done = await h.send({**asked, "parts": [*asked["parts"][:-1], answered]})
        kept = await h.messages()

    assert (done.outcome, done.error) == ("finished", None)
    calls: list[Any] = [part for part in kept[1]["parts"] if part["type"] == "tool-weather"]
    assert [call["output"] for call in calls] == ["sunny in Paris"]
    assert kept[1]["parts"][-1]["type"] == "text"


async def test_a_call_that_was_refused_is_shown_as_refused(make_agent: Callable[..., Any]) -> None:
    agent = make_agent("tools", tool(needs_approval=True))
    result = run(agent)
    await told(result)
    state = result.to_state()
    state.reject(result.interruptions[0])
    refused = {"type": "tool-weather", "approval": {"id": "a", "approved": False}}

    chunks = await told(run(agent, state), earlier_call=lambda call_id: refused)

    assert chunks[0] == {"type": "tool-output-denied", "toolCallId": "call_0"}
    assert brief(chunks)[1] == "start-step"


async def test_a_result_of_a_call_that_the_page_never_saw_is_left_out(
    make_agent: Callable[..., Any],
) -> None:
    agent = make_agent("tools", tool(needs_approval=True))
    result = run(agent)
    await told(result)
    state = result.to_state()
    state.approve(result.interruptions[0])

    chunks = await told(run(agent, state), earlier_call=lambda call_id: None)

    assert brief(chunks) == [
        *("start-step", ["text", "Results: sunny in Paris"], "finish-step", "finish")
    ]


async def test_a_run_that_was_not_streamed_is_told_whole(make_agent: Callable[..., Any]) -> None:
    sdk = brought("agents")
    finished: list[ModelFinish] = []

    class Model(sdk.Model):  # type: ignore[misc,name-defined]
        """Answers as the fake provider does, in one piece."""

        calls = 0

        async def get_response(self, *args: Any, **kept: Any) -> Any:
            self.calls += 1
            items = brought("openai.types.responses")
            if self.calls == 1:
                call = items.ResponseFunctionToolCall(
                    arguments='{"city": "Paris"}',
                    call_id="call_0",
                    name="weather",
                    type="function_call",
                )
                return sdk.ModelResponse([call], _used(sdk), None)
            text = items.ResponseOutputText(annotations=[], text="Fine.", type="output_text")
            message = items.ResponseOutputMessage(
                id="m", content=[text], role="assistant", status="completed", type="message"
            )
            return sdk.ModelResponse([message], _used(sdk), None)

        def stream_response(self, *args: Any, **kept: Any) -> Any:
            raise NotImplementedError

    agent = sdk.Agent(name="helper", model=Model(), tools=[tool()])

    chunks = await told(sdk.Runner.run(agent, "Hi"), on_finish=finished.append)

    assert brief(chunks) == [
        *("start-step", "tool-input-start", "tool-input-available", "tool-output-available"),
        *("finish-step", "start-step", ["text", "Fine."], "finish-step", "finish"),
    ]
    assert [(f.reason, f.usage.total_tokens) for f in finished] == [("tool-calls", 3), ("stop", 3)]


def _used(sdk: Any) -> Any:
    return sdk.Usage(requests=1, input_tokens=1, output_tokens=2, total_tokens=3)


@pytest.mark.parametrize("wire", WIRES)
async def test_stopping_closes_the_connection_of_the_agents_model(
    provider: FakeProvider, make_agent: Callable[..., Any], wire: str
) -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> Any:
        return run(make_agent("hang", wire=wire))

    async with harness(my_chat) as h, h.begin("hi") as turn:
        await turn.until("text-delta")
        await h.stop()
        done = await turn.done()
        await provider.disconnected()

    assert (done.outcome, done.text) == ("stopped", "Hel")


async def test_a_reader_that_leaves_in_mid_stream_ends_the_run(
    provider: FakeProvider, make_agent: Callable[..., Any]
) -> None:
    chunks = chunks_of(run(make_agent("hang")))
    async for chunk in chunks:
        if chunk["type"] == "text-delta":
            break
    await chunks.aclose()

    await provider.disconnected()


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        ("overloaded", ProviderUnavailable),
        ("tcp-cut", ProviderUnavailable),
        ("status-404", ProviderRejected),
    ],
)
async def test_a_providers_failure_is_told_as_one(
    make_agent: Callable[..., Any], wire: str, scenario: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await told(run(make_agent(scenario, wire=wire)))


async def test_an_answer_that_broke_off_is_the_packages_own_error(
    make_agent: Callable[..., Any],
) -> None:
    with pytest.raises(brought("agents").exceptions.ModelBehaviorError, match="final response"):
        await told(run(make_agent("clean-cut")))
