"""OpenTelemetry: one trace for each turn, under the names of the GenAI conventions."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from chatrun import ChatTask, Turn, chat, stream_text, tool
from chatrun.errors import ProviderUnavailable
from chatrun.models.base import ModelFinish, Usage
from chatrun.testing import harness
from tests.support.scripted import Scripted, calls, says

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan


class Recorded:
    """What the user's exporters were given."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()

    def spans(self) -> list[ReadableSpan]:
        """The spans, in the order in which they ended."""
        return list(self.exporter.get_finished_spans())

    def span(self, name: str) -> ReadableSpan:
        """The one span with this name."""
        (span,) = [span for span in self.spans() if span.name == name]
        return span

    def points(self) -> dict[str, list[Any]]:
        """The data points, by metric."""
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    found = Recorded()
    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(SimpleSpanProcessor(found.exporter))
    numbers = MeterProvider([found.reader], shutdown_on_exit=False)
    # `set_tracer_provider` works once in a process, and would trace all tests that come after.
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", spans)
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", numbers)
    yield found
    spans.shutdown()
    numbers.shutdown()


def task_with(model: Any, *tools: Any, **options: Any) -> ChatTask[Any]:
    @chat.task("my-chat", tools=tools, **options)
    async def my_chat(turn: Turn[Any]) -> Any:
        return stream_text(model, max_output_tokens=100, max_retries=1)

    return my_chat


@tool
async def weather(city: str) -> str:
    """The weather in a city."""
    with trace.get_tracer("the-users").start_as_current_span("look out of the window"):
        return f"sunny in {city}"


def asks_for_weather() -> Scripted:
    model = Scripted(calls("weather", weather={"city": "Bern"}), says("Sunny."))
    model.name = "anthropic:claude"
    return model


def named(spans: list[ReadableSpan]) -> dict[int, str]:
    return {span.context.span_id: span.name for span in spans}


async def test_a_turn_is_one_trace_of_an_agent_its_model_calls_and_its_tools(
    recorded: Recorded,
) -> None:
    async with harness(task_with(asks_for_weather(), weather)) as h:
        await (await h.send("hi")).settled

    spans = recorded.spans()
    names = named(spans)
    assert [(s.name, names.get(s.parent.span_id) if s.parent else None) for s in spans] == [
        ("chat claude", "invoke_agent my-chat"),
        ("look out of the window", "execute_tool weather"),
        ("execute_tool weather", "invoke_agent my-chat"),
        ("chat claude", "invoke_agent my-chat"),
        ("invoke_agent my-chat", None),
    ]
    assert {span.context.trace_id for span in spans} == {spans[0].context.trace_id}


async def test_spans_have_the_attributes_of_the_conventions_and_nothing_that_was_said(
    recorded: Recorded,
) -> None:
    usage = Usage(
        input_tokens=12,
        output_tokens=3,
        cache_read_tokens=8,
        cache_write_tokens=2,
        reasoning_tokens=1,
    )
    finish = ModelFinish(
        reason="stop", usage=usage, response_id="r1", model="claude-5", raw_reason="end_turn"
    )
    model = Scripted(calls("weather", weather={"city": "Bern"}), [*says("Sunny.")[:-1], finish])
    model.name = "anthropic:claude"
    async with harness(task_with(model, weather), chat_id="c1") as h:
        await (await h.send("a secret")).settled
        session_id = h.session.id

    turn, call = recorded.span("invoke_agent my-chat"), recorded.span("execute_tool weather")
    answer = [span for span in recorded.spans() if span.name == "chat claude"][-1]
    about: dict[str, Any] = dict(answer.attributes or {})
    assert 0 < about.pop("gen_ai.response.time_to_first_chunk") < 20
    assert (answer.kind, about) == (
        SpanKind.CLIENT,
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude",
            "gen_ai.request.max_tokens": 100,
            "gen_ai.request.stream": True,
            "gen_ai.response.id": "r1",
            "gen_ai.response.model": "claude-5",
            "gen_ai.response.finish_reasons": ("end_turn",),
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 3,
            "gen_ai.usage.cache_read.input_tokens": 8,
            "gen_ai.usage.cache_write.input_tokens": 2,
            "gen_ai.usage.reasoning.output_tokens": 1,
        },
    )
    assert (call.kind, dict(call.attributes or {})) == (
        SpanKind.INTERNAL,
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "weather",
            "gen_ai.tool.call.id": "c0",
            "gen_ai.tool.type": "function",
            "gen_ai.tool.description": "The weather in a city.",
        },
    )
    about = dict(turn.attributes or {})
    assert str(about.pop("chatrun.run.id")).startswith("run_")
    assert (turn.kind, about) == (
        SpanKind.INTERNAL,
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.id": "my-chat",
            "gen_ai.agent.name": "my-chat",
            "gen_ai.conversation.id": "c1",
            "chatrun.session.id": session_id,
            "chatrun.turn": 0,
            "chatrun.trigger": "submit-message",
            "chatrun.outcome": "finished",
            "gen_ai.usage.input_tokens": 22,
            "gen_ai.usage.output_tokens": 4,
            "gen_ai.usage.cache_read.input_tokens": 8,
            "gen_ai.usage.cache_write.input_tokens": 2,
            "gen_ai.usage.reasoning.output_tokens": 1,
        },
    )


async def test_what_was_said_is_recorded_only_where_it_was_asked_for(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATRUN_OTEL_CONTENT", "1")
    async with harness(task_with(asks_for_weather(), weather)) as h:
        await (await h.send("How is it?")).settled

    first, second = (span for span in recorded.spans() if span.name == "chat claude")
    call = recorded.span("execute_tool weather").attributes or {}
    said = {key: json.loads(str((second.attributes or {})[key])) for key in CONTENT}
    asked = {"id": "c0", "name": "weather", "arguments": {"city": "Bern"}}
    output = {"type": "text", "value": "sunny in Bern"}
    assert said["gen_ai.input.messages"] == [
        {"role": "user", "parts": [{"type": "text", "content": "How is it?"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", **asked}]},
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "c0", "response": output}],
        },
    ]
    assert said["gen_ai.output.messages"] == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "Sunny."}],
            "finish_reason": "stop",
        }
    ]
    assert [t["name"] for t in said["gen_ai.tool.definitions"]] == ["weather"]
    assert "gen_ai.system_instructions" not in (first.attributes or {})
    assert json.loads(str(call["gen_ai.tool.call.arguments"])) == {"city": "Bern"}
    assert json.loads(str(call["gen_ai.tool.call.result"])) == output


CONTENT = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions")


async def test_a_call_that_is_tried_again_is_one_span_and_a_failed_one_says_how(
    recorded: Recorded,
) -> None:
    @tool
    async def broken() -> str:
        """Break."""
        raise KeyError("a secret")

    refused = ProviderUnavailable("a secret", model="m")
    model = Scripted([refused], calls("broken"), [refused], [refused])

    @chat.task("my-chat", tools=[broken])
    async def my_chat(turn: Turn[Any]) -> Any:
        return stream_text(model, max_retries=1, retry_delay_s=0.001)

    async with harness(my_chat) as h:
        await (await h.send("hi")).settled

    told = [
        (s.name, s.status.status_code, (s.attributes or {}).get("error.type"))
        for s in recorded.spans()
    ]
    assert told == [
        ("chat scripted", StatusCode.UNSET, None),
        ("execute_tool broken", StatusCode.ERROR, "KeyError"),
        ("chat scripted", StatusCode.ERROR, "provider_unavailable"),
        ("invoke_agent my-chat", StatusCode.ERROR, "provider_unavailable"),
    ]
    last = recorded.spans()[2].attributes or {}
    assert last["gen_ai.response.finish_reasons"] == ("error",)
    assert "a secret" not in "".join(span.to_json() for span in recorded.spans())


async def test_a_stopped_turn_ends_all_its_spans_and_is_no_fault(recorded: Recorded) -> None:
    speaking = asyncio.Event()

    async def wait() -> None:
        speaking.set()
        await asyncio.Event().wait()

    model = Scripted([*says("")[:1], wait])
    async with harness(task_with(model)) as h, h.begin("hi") as turn:
        await speaking.wait()
        await h.stop()
        await (await turn.done()).settled

    answer, whole = recorded.spans()
    assert (answer.attributes or {})["error.type"] == "cancelled"
    assert (whole.attributes or {})["chatrun.outcome"] == "stopped"
    assert {answer.status.status_code, whole.status.status_code} == {StatusCode.UNSET}


async def test_what_follows_an_approval_is_linked_to_the_turn_that_asked(
    recorded: Recorded,
) -> None:
    @tool(needs_approval=True)
    async def pay() -> str:
        """Pay."""
        return "paid"

    model = Scripted(calls("pay"), says("Done."), says("Bye."))
    async with harness(task_with(model, pay)) as h:
        await h.send("pay")
        await h.approve("c0")
        await (await h.send("bye")).settled

    asking, answering, after = (s for s in recorded.spans() if s.name == "invoke_agent my-chat")
    assert [link.context.span_id for link in answering.links] == [asking.context.span_id]
    assert (list(asking.links), list(after.links)) == ([], [])


async def test_side_by_side_turns_do_not_meet_in_a_trace(recorded: Recorded) -> None:
    async def talk(number: int) -> None:
        async with harness(task_with(asks_for_weather(), weather), chat_id=f"c{number}") as h:
            await (await h.send("hi")).settled

    await asyncio.gather(*map(talk, range(5)))

    traces = {span.context.trace_id for span in recorded.spans()}
    assert (len(recorded.spans()), len(traces)) == (25, 5)
    assert not trace.get_current_span().get_span_context().is_valid


async def test_a_hook_behind_the_turn_belongs_to_its_trace(recorded: Recorded) -> None:
    task = task_with(Scripted(says("hi")))

    @task.on_turn_complete
    async def save(event: Any) -> None:
        trace.get_tracer("the-users").start_span("save").end()

    async with harness(task) as h:
        await (await h.send("hi")).settled

    save_span, turn = recorded.span("save"), recorded.span("invoke_agent my-chat")
    assert save_span.parent is not None
    assert save_span.parent.span_id == turn.context.span_id


async def test_durations_and_tokens_are_measured(recorded: Recorded) -> None:
    async with harness(task_with(asks_for_weather(), weather)) as h:
        await (await h.send("hi")).settled

    points = recorded.points()
    about = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude",
    }
    counted = {name: [(p.value, dict(p.attributes)) for p in points.pop(name)] for name in TOKENS}
    measured = {
        name: [(p.count, p.explicit_bounds[-1], dict(p.attributes)) for p in found]
        for name, found in points.items()
    }
    assert counted == {TOKENS[0]: [(20, about)], TOKENS[1]: [(2, about)]}
    assert measured == {
        "gen_ai.client.inference.duration": [(2, 81.92, about)],
        "gen_ai.client.inference.time_to_first_chunk": [(2, 81.92, about)],
        "gen_ai.execute_tool.duration": [
            (1, 81.92, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather"})
        ],
        "gen_ai.invoke_agent.duration": [
            (1, 81.92, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "my-chat"})
        ],
    }


TOKENS = (
    "gen_ai.client.inference.usage.input_tokens",
    "gen_ai.client.inference.usage.output_tokens",
)


async def test_no_turn_fails_because_its_tracing_does(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            if span.name.startswith("chat"):
                raise RuntimeError("on start")

        def on_end(self, span: Any) -> None:
            raise RuntimeError("on end")

    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(Broken())
    async with harness(task_with(asks_for_weather(), weather)) as h:
        answer = await h.send("hi")
        await answer.settled

    # The user's own span is the user's own matter: the tool that opened it failed with it.
    assert (answer.outcome, answer.text) == ("finished", "Sunny.")
    assert "a span could not be begun" in caplog.text
    assert "a span could not be ended" in caplog.text


async def test_without_a_provider_of_the_users_nothing_is_traced() -> None:
    seen: list[bool] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        seen.append(trace.get_current_span().get_span_context().is_valid)
        return "hi"

    async with harness(my_chat) as h:
        await h.send("hi")

    assert seen == [False]
