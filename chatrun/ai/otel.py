"""OpenTelemetry: the names of the GenAI conventions, and spans and numbers under them.

Source: github.com/open-telemetry/semantic-conventions-genai, all of it in development: names that
move are changed here and nowhere else. Nothing is imported and nothing costs anything until the
user's own code has set a tracer or meter provider.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.trace import Link, Span

    from chatrun.models.base import Usage

logger = logging.getLogger("chatrun.otel")

SCOPE: Final = "chatrun"
"""The name of our instrumentation."""
CONTENT_VARIABLE: Final = "CHATRUN_OTEL_CONTENT"

# Operations; a span is called by its operation and what it is done to.
INVOKE_AGENT: Final = "invoke_agent"
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"

# Attributes.
OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
AGENT_ID: Final = "gen_ai.agent.id"
AGENT_NAME: Final = "gen_ai.agent.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
ERROR_TYPE: Final = "error.type"

# Attributes that hold what was said; only where `wants_content`.
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"

# Attributes of our own.
SESSION_ID: Final = "chatrun.session.id"
RUN_ID: Final = "chatrun.run.id"
TURN: Final = "chatrun.turn"
TRIGGER: Final = "chatrun.trigger"
OUTCOME: Final = "chatrun.outcome"

# Metrics.
CHAT_DURATION: Final = "gen_ai.client.inference.duration"
CHAT_TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.inference.time_to_first_chunk"
TURN_DURATION: Final = "gen_ai.invoke_agent.duration"
TOOL_DURATION: Final = "gen_ai.execute_tool.duration"
USAGE_METRICS: Final = "gen_ai.client.inference."
"""What the names of the counters of tokens have before `usage.…`."""

_BUCKETS_S: Final = tuple(2**power / 100 for power in range(14))
"""The bounds that the conventions give for durations; the default ones are of milliseconds."""

Kind = Literal["INTERNAL", "CLIENT"]


class OpenSpan:
    """A span that was begun, or nothing at all where no tracer provider is set."""

    def __init__(self, span: Span | None) -> None:
        self._span = span

    @property
    def is_recording(self) -> bool:
        """Whether anybody will see what is set: it is sampled and not over."""
        return self._span is not None and self._span.is_recording()

    def set(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes; None is left out."""
        if self._span is not None:
            self._span.set_attributes(_known(attributes))

    def fail(self, kind: str, *, is_fault: bool = True) -> None:
        """Mark it as ended by an error of this kind; the text of errors is never recorded."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_attribute(ERROR_TYPE, kind)
            if is_fault:
                self._span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        """End it."""
        if self._span is not None:
            try:
                self._span.end()
            except Exception:  # of the user's span processor
                logger.exception("a span could not be ended")

    def enter(self) -> None:
        """Make it the parent of what the calling `asyncio.Task` begins from here to its end."""
        if self._span is not None:
            from opentelemetry import context, trace

            context.attach(trace.set_span_in_context(self._span))

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Within the block, it is the parent of what is begun.

        The block must not hold a `yield` of a generator: another task could go on behind it.
        """
        if self._span is None:
            yield
            return
        from opentelemetry import context, trace

        token = context.attach(trace.set_span_in_context(self._span))
        try:
            yield
        finally:
            context.detach(token)

    def traceparent(self) -> str | None:
        """Return its place in its trace as W3C writes it, None for a span that leads nowhere."""
        if self._span is None or not (found := self._span.get_span_context()).is_valid:
            return None
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def open_span(
    operation: str,
    subject: str,
    *,
    kind: Kind,
    attributes: Mapping[str, Any],
    follows: str | None = None,
) -> OpenSpan:
    """Begin a span beneath the current one; `follows` is the `traceparent` of one to link to.

    What the user's samplers and processors raise is logged: nothing fails because it is traced.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return OpenSpan(None)
    try:
        span = trace.get_tracer(SCOPE, _version()).start_span(
            f"{operation} {subject}",
            kind=trace.SpanKind[kind],
            # All that sampling may go by has to be there from the start.
            attributes=_known({OPERATION_NAME: operation, **attributes}),
            links=_links(follows),
        )
    except Exception:
        logger.exception("a span could not be begun")
        return OpenSpan(None)
    return OpenSpan(span)


def record_duration(metric: str, took_s: float, attributes: Mapping[str, Any]) -> None:
    """Record how long something took."""
    metrics = sys.modules.get("opentelemetry.metrics")
    if metrics is not None:
        histogram = metrics.get_meter(SCOPE, _version()).create_histogram(
            metric, unit="s", explicit_bucket_boundaries_advisory=_BUCKETS_S
        )
        histogram.record(took_s, _known(attributes))


def count_tokens(usage: Usage, attributes: Mapping[str, Any]) -> None:
    """Count the tokens of one call of a model."""
    metrics = sys.modules.get("opentelemetry.metrics")
    if metrics is not None:
        meter = metrics.get_meter(SCOPE, _version())
        for name, count in _known(usage_attributes(usage)).items():
            metric = f"{USAGE_METRICS}{name.removeprefix('gen_ai.')}"
            meter.create_counter(metric, unit="{token}").add(count, _known(attributes))


def usage_attributes(usage: Usage) -> dict[str, int | None]:
    """Return what was used under the conventions' names; the input includes what was cached."""
    return {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_write.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }


def wants_content() -> bool:
    """Tell whether spans may hold what was said: people's own words, so only if asked for."""
    return os.environ.get(CONTENT_VARIABLE) == "1"


def _known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _links(traceparent: str | None) -> list[Link]:
    from opentelemetry.trace import Link, SpanContext, TraceFlags

    try:
        _, trace_id, span_id, flags = (traceparent or "").split("-")
        place = (int(trace_id, 16), int(span_id, 16), TraceFlags(int(flags, 16)))
    except ValueError:
        return []
    return [Link(SpanContext(place[0], place[1], is_remote=True, trace_flags=place[2]))]


def _version() -> str:
    from chatrun import __version__

    return __version__
