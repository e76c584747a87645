"""Watches model calls and tools: how long they take and how they end, told as events and spans.

Events never hold what was said. What is watched goes on the same whether or not anybody listens.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from chatrun.ai import otel
from chatrun.ai.otel_content import as_json, instructions_json, messages_json, tools_json
from chatrun.ai.scope import current_scope
from chatrun.ai.step import StepContent
from chatrun.errors import ChatrunError, ProviderTruncated
from chatrun.models.base import ModelFinish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

    from chatrun.ai.scope import TurnScope
    from chatrun.ai.step import Call
    from chatrun.ai.tools import Tool
    from chatrun.models.base import Model, ModelItem, ModelRequest

CANCELLED = "cancelled"
"""The kind of error of what was stopped; nothing is wrong with it."""


def error_type(error: BaseException) -> str:
    """Return the kind of an error: the code of one of ours, else the name of its class."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return CANCELLED
    if isinstance(error, ChatrunError):
        return error.code
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


class StepWatch:
    """One call of a model, with its retries, from the first request to the end of its stream.

    A context to be entered round all of it. The `with` may hold a `yield`: nothing of it stays
    current in between.
    """

    def __init__(
        self, scope: TurnScope | None, model: Model, request: ModelRequest, *, number: int
    ) -> None:
        self._scope = scope
        self._model = model
        self._request = request
        self._number = number
        self._finish: ModelFinish | None = None
        self._first_chunk_s: float | None = None
        self._content: StepContent | None = None
        provider, _, name = model.name.partition(":")
        self._named = {otel.PROVIDER_NAME: provider, otel.REQUEST_MODEL: name or provider}

    def __enter__(self) -> StepWatch:
        self._began = time.monotonic()
        subject = self._named[otel.REQUEST_MODEL]
        asked = {**self._named, **_asked(self._request, self._named[otel.PROVIDER_NAME])}
        self._span = otel.open_span(otel.CHAT, subject, kind="CLIENT", attributes=asked)
        if self._span.is_recording and otel.wants_content():
            self._content = StepContent()
            self._span.set(_shown(self._request))
        return self

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[AsyncIterator[ModelItem]]:
        """Send the request and yield what comes back; what sends it belongs to the span."""
        async with AsyncExitStack() as stack:
            with self._span.entered():
                items = await stack.enter_async_context(self._model.stream(self._request))
            yield items

    def heard(self, item: ModelItem) -> None:
        """Take note of an item of the stream."""
        if isinstance(item, ModelFinish):
            self._finish = item
            return
        if self._first_chunk_s is None:
            self._first_chunk_s = time.monotonic() - self._began
        if self._content is not None:
            self._content.add(item)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        failure = None if error is None else error_type(error)
        if error is None and self._finish is None:
            failure = ProviderTruncated.code
        took_s = time.monotonic() - self._began
        self._end_span(failure)
        self._measure(took_s, failure)
        if self._scope is not None:
            self._scope.report("step-ended", **self._facts(took_s, failure))

    def _facts(self, took_s: float, failure: str | None) -> dict[str, Any]:
        finish = self._finish
        return {
            "step": self._number,
            "model": self._model.name,
            "ok": failure is None,
            "took_s": round(took_s, 4),
            "first_chunk_s": None if self._first_chunk_s is None else round(self._first_chunk_s, 4),
            "finish_reason": finish.reason if finish is not None else None,
            "usage": finish.usage.to_json() if finish is not None else {},
            "error_type": failure,
        }

    def _end_span(self, failure: str | None) -> None:
        finish, span = self._finish, self._span
        if span.is_recording:
            span.set({otel.RESPONSE_TIME_TO_FIRST_CHUNK: self._first_chunk_s})
            span.set({otel.RESPONSE_FINISH_REASONS: [_reason(finish)]})
            if finish is not None:
                span.set(otel.usage_attributes(finish.usage))
                span.set({otel.RESPONSE_ID: finish.response_id, otel.RESPONSE_MODEL: finish.model})
            if self._content is not None:
                answer = self._content.messages()
                span.set(
                    {otel.OUTPUT_MESSAGES: messages_json(answer, finish_reason=_reason(finish))}
                )
        if failure is not None:
            span.fail(failure, is_fault=failure != CANCELLED)
        span.end()

    def _measure(self, took_s: float, failure: str | None) -> None:
        finish = self._finish
        about: dict[str, Any] = {otel.OPERATION_NAME: otel.CHAT, **self._named}
        if finish is not None:
            about[otel.RESPONSE_MODEL] = finish.model
            otel.count_tokens(finish.usage, about)
        if self._first_chunk_s is not None:
            otel.record_duration(otel.CHAT_TIME_TO_FIRST_CHUNK, self._first_chunk_s, about)
        otel.record_duration(otel.CHAT_DURATION, took_s, {**about, otel.ERROR_TYPE: failure})


class ToolWatch:
    """One run of a tool; a context to be entered round it, in the `asyncio.Task` that runs it."""

    def __init__(self, tool: Tool, call: Call) -> None:
        self._tool = tool
        self._call = call

    def __enter__(self) -> None:
        self._began = time.monotonic()
        attributes = {
            otel.TOOL_NAME: self._tool.name,
            otel.TOOL_CALL_ID: self._call.tool_call_id,
            otel.TOOL_TYPE: "function",
            otel.TOOL_DESCRIPTION: self._tool.spec.description,
        }
        self._span = otel.open_span(
            otel.EXECUTE_TOOL, self._tool.name, kind="INTERNAL", attributes=attributes
        )
        # The tool's task ends with it, and so does what is current in it.
        self._span.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        took_s = time.monotonic() - self._began
        failure = None if error is None else error_type(error)
        if self._span.is_recording and otel.wants_content():
            said = {otel.TOOL_CALL_ARGUMENTS: self._call.input}
            if self._call.result is not None:
                said[otel.TOOL_CALL_RESULT] = self._call.result
            self._span.set({name: as_json(value) for name, value in said.items()})
        if failure is not None:
            self._span.fail(failure, is_fault=failure != CANCELLED)
        self._span.end()
        about = {otel.OPERATION_NAME: otel.EXECUTE_TOOL, otel.TOOL_NAME: self._tool.name}
        otel.record_duration(otel.TOOL_DURATION, took_s, {**about, otel.ERROR_TYPE: failure})
        scope = current_scope()
        if scope is not None:
            facts = {"ok": failure is None, "took_s": round(took_s, 4), "error_type": failure}
            scope.report("tool-ended", name=self._tool.name, **facts)


def _reason(finish: ModelFinish | None) -> str:
    """Return the provider's own word for how it ended; the conventions' one where it did not."""
    if finish is None:
        return "error"
    return finish.raw_reason or finish.reason


def _asked(request: ModelRequest, provider: str) -> dict[str, Any]:
    """Return what a request asks for, without what it says."""
    return {
        otel.REQUEST_STREAM: True,
        otel.REQUEST_MAX_TOKENS: request.max_output_tokens,
        otel.REQUEST_TEMPERATURE: request.temperature,
        otel.REQUEST_TOP_P: request.top_p,
        otel.REQUEST_REASONING_LEVEL: _effort(request.provider_options.get(provider, {})),
    }


def _effort(options: Mapping[str, Any]) -> str | None:
    """Return how hard the model is told to think, in either provider's parameters."""
    found = options.get("reasoning_effort")
    for group in ("reasoning", "output_config"):
        inner = options.get(group)
        if isinstance(inner, dict):
            found = inner.get("effort", found)
    return found if isinstance(found, str) else None


def _shown(request: ModelRequest) -> dict[str, str | None]:
    system, tools = request.system, request.tools
    return {
        otel.INPUT_MESSAGES: messages_json(request.messages),
        otel.SYSTEM_INSTRUCTIONS: instructions_json(system) if system is not None else None,
        otel.TOOL_DEFINITIONS: tools_json(tools) if tools else None,
    }
