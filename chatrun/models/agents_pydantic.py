"""What pydantic-ai's agents tell of a run → chunks.

Understood are the events of `run_stream_events` and `iter`, the growing responses of
`run_stream`, and results of whole runs. Source: `pydantic_ai.messages`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from chatrun.errors import ProviderTruncated
from chatrun.models.agents import plain, text_of
from chatrun.models.base import ModelFinish, Usage
from chatrun.models.converting import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from chatrun.models.agents import Telling
    from chatrun.wire.chunks import Chunk, FinishReason

_REASONS: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_call": "tool-calls",
    "error": "error",
}
_SPOKEN: Final[Mapping[str, str]] = {"text": "text", "thinking": "reasoning"}
_CALLS: Final = frozenset(("tool-call", "builtin-tool-call"))
# These say themselves that an answer is complete; pydantic-ai takes what broke off for whole.
_PROVIDERS_THAT_SAY_SO: Final = frozenset(("openai", "anthropic"))


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The end of a run that has no event for it."""

    messages: Iterable[Any]
    output: object


@dataclass(slots=True)
class _Open:
    """A part that is being told of."""

    id: str
    part: Any
    """The part as far as it is known."""
    told: int = 0
    """How many characters of it were told."""


class PydanticAIReader:
    """The reader of one run; see `agents.Reader`."""

    def __init__(self, telling: Telling) -> None:
        self._tell = telling
        self._open: dict[int, _Open] = {}
        self._ended: set[int] = set()
        """The parts of the response that have ended."""
        self._after_tools = False
        self._streamed = False

    def feed(self, item: Any) -> list[Chunk]:
        """Return the chunks of an event, a response or a result."""
        event = getattr(item, "event_kind", None)
        if event is not None:
            handler = _EVENTS.get(event)
            return handler(self, item) if handler is not None else []
        if getattr(item, "kind", None) == "response":
            return self._grown(item)
        if isinstance(item, RunEnded):
            return self._run_ended(item.messages, item.output)
        if hasattr(item, "new_messages"):
            return self._run_ended(item.new_messages(), getattr(item, "output", None))
        return []

    def close(self) -> list[Chunk]:
        """Return the ends of open parts and of the step."""
        return [*self._end_parts(), *self._tell.end_step()]

    # --- parts of a response ----------------------------------------------------------------

    def _part_start(self, event: Any) -> list[Chunk]:
        self._streamed = True
        before = self._step_for(event.index)
        part, kind = event.part, event.part.part_kind
        if kind in _SPOKEN or kind in _CALLS:
            opened = self._open[event.index] = _Open(self._tell.new_id(), part)
            return [*before, *_started(opened, self._tell), *self._more(opened)]
        if kind == "builtin-tool-return":
            return [*before, *self._result_of(part, providerExecuted=True)]
        if kind == "file":
            file = {"type": "file", "url": part.content.data_uri}
            return [*before, cast("Chunk", {**file, "mediaType": part.content.media_type})]
        return before

    def _step_for(self, index: int) -> list[Chunk]:
        """Begin a step where a new response begins: behind tools, or at a place taken before."""
        if not self._after_tools and index not in self._ended:
            return self._tell.begin_step()
        self._after_tools = False
        ends = [*self._end_parts(), *self._tell.end_step()]
        self._ended.clear()
        return [*ends, *self._tell.begin_step()]

    def _more(self, opened: _Open) -> list[Chunk]:
        """Return what the part holds beyond what was told of it."""
        whole = getattr(opened.part, "content", None) or getattr(opened.part, "args", None)
        if not isinstance(whole, str):
            return []
        piece, opened.told = whole[opened.told :], len(whole)
        return self._piece(opened, piece)

    def _piece(self, opened: _Open, piece: object) -> list[Chunk]:
        if not piece or not isinstance(piece, str):
            return []
        if opened.part.part_kind in _CALLS:
            return self._tell.call_piece(opened.part.tool_call_id, piece)
        kind = f"{_SPOKEN[opened.part.part_kind]}-delta"
        return [cast("Chunk", {"type": kind, "id": opened.id, "delta": piece})]

    def _part_delta(self, event: Any) -> list[Chunk]:
        opened, delta = self._open.get(event.index), event.delta
        if opened is None:
            return []
        piece = getattr(delta, "content_delta", None) or getattr(delta, "args_delta", None)
        return self._piece(opened, piece)

    def _part_end(self, event: Any) -> list[Chunk]:
        opened = self._open.pop(event.index, None)
        self._ended.add(event.index)
        if opened is None:
            return []
        opened.part = event.part
        return self._end_of(opened)

    def _end_of(self, opened: _Open) -> list[Chunk]:
        part = opened.part
        if part.part_kind in _CALLS:
            flags = _flags(part)
            return self._tell.call_input(
                part.tool_call_id, part.tool_name, part.args, **flags, **_metadata(part)
            )
        end = {"type": f"{_SPOKEN[part.part_kind]}-end", "id": opened.id}
        return [cast("Chunk", {**end, **_metadata(part)})]

    def _end_parts(self) -> list[Chunk]:
        ends = [chunk for opened in self._open.values() for chunk in self._end_of(opened)]
        self._ended |= self._open.keys()
        self._open.clear()
        return ends

    def _grown(self, response: Any) -> list[Chunk]:
        """Return what a response holds beyond what was told; `run_stream` gives it again and again.

        A part is complete when the next one is there.
        """
        chunks: list[Chunk] = []
        for index, part in enumerate(response.parts):
            opened = self._open.get(index)
            if opened is not None:
                opened.part = part
                chunks += self._more(opened)
            elif index not in self._ended:
                chunks += self._end_parts()
                chunks += self._part_start(_Started(index, part))
                if index not in self._open:
                    self._ended.add(index)
        return chunks

    # --- tools ------------------------------------------------------------------------------

    def _call(self, event: Any) -> list[Chunk]:
        """Return the input of a call that is about to run, unless it was told already."""
        self._after_tools = True
        part = event.part
        ends = self._end_parts()
        if self._tell.knows(part.tool_call_id):
            return [*ends, *self._tell.call_input(part.tool_call_id, part.tool_name, part.args)]
        return [*ends, *(self._tell.announce(part.tool_call_id, part.tool_name, part.args) or ())]

    def _tool_result(self, event: Any) -> list[Chunk]:
        self._after_tools = True
        return self._result_of(event.part)

    def _result_of(self, part: Any, **fields: object) -> list[Chunk]:
        outcome = getattr(part, "outcome", "failed")  # a retry prompt has none
        error = text_of(part.content) if outcome in ("failed", "retried") else None
        return self._tell.result(
            part.tool_call_id,
            part.content,
            error=error,
            denied=outcome == "denied",
            name=part.tool_name,
            **fields,
        )

    def _custom(self, event: Any) -> list[Chunk]:
        """Return an event of the user's own as a data part."""
        if not getattr(event, "ui", True):
            return []
        return [self._tell.data(event.name, event.to_payload())]

    # --- the end ----------------------------------------------------------------------------

    def _result_event(self, event: Any) -> list[Chunk]:
        return self._run_ended(event.result.new_messages(), event.result.output)

    def _run_ended(self, messages: Iterable[Any], output: object) -> list[Chunk]:
        """Return what of a run was not streamed, and the questions that it ended with."""
        told = list(messages)
        chunks = self._end_parts() if self._streamed else self._whole(told)
        self._tell.finishes += [_finish(message) for message in told if message.kind == "response"]
        if type(output).__name__ == "DeferredToolRequests":
            for part in cast("Any", output).approvals:
                chunks += self._tell.approval(part.tool_call_id, part.tool_name, part.args)
        return chunks

    def _whole(self, messages: Iterable[Any]) -> list[Chunk]:
        """Return the messages of a run that nothing was streamed of."""
        chunks: list[Chunk] = []
        for message in messages:
            if message.kind == "response":
                chunks += [*self._grown(message), *self._end_parts()]
                continue
            for part in message.parts:
                if part.part_kind in ("tool-return", "retry-prompt") and part.tool_name:
                    self._after_tools = True
                    chunks += self._result_of(part)
            self._ended.clear()
        return chunks


@dataclass(frozen=True, slots=True)
class _Started:
    """The start of a part that no event told of."""

    index: int
    part: Any


_EVENTS: Final[dict[str, Callable[[PydanticAIReader, Any], list[Chunk]]]] = {
    "part_start": PydanticAIReader._part_start,
    "part_delta": PydanticAIReader._part_delta,
    "part_end": PydanticAIReader._part_end,
    "function_tool_call": PydanticAIReader._call,
    "output_tool_call": PydanticAIReader._call,
    "function_tool_result": PydanticAIReader._tool_result,
    "output_tool_result": PydanticAIReader._tool_result,
    "custom": PydanticAIReader._custom,
    "agent_run_result": PydanticAIReader._result_event,
}


def _started(opened: _Open, telling: Telling) -> list[Chunk]:
    part = opened.part
    if part.part_kind in _CALLS:
        return [telling.call_start(part.tool_call_id, part.tool_name, **_flags(part))]
    start = {"type": f"{_SPOKEN[part.part_kind]}-start", "id": opened.id}
    return [cast("Chunk", {**start, **_metadata(part)})]


def _flags(part: Any) -> dict[str, object]:
    return {"providerExecuted": True} if part.part_kind == "builtin-tool-call" else {}


def _metadata(part: Any) -> dict[str, object]:
    """Return what pydantic-ai needs to read the part back, in the form of its own adapter."""
    keys = ("id", "signature", "provider_name", "provider_details")
    found = {key: plain(getattr(part, key, None)) for key in keys}
    known = {key: value for key, value in found.items() if value is not None}
    return {"providerMetadata": {"pydantic_ai": known}} if known else {}


def _finish(response: Any) -> ModelFinish:
    """Return how one model call of the run ended.

    Raises:
        ProviderTruncated: Its provider never said that the answer is complete.
    """
    raw = (response.provider_details or {}).get("finish_reason")
    model = response.model_name or response.provider_name
    if raw is None and response.provider_name in _PROVIDERS_THAT_SAY_SO:
        raise ProviderTruncated(f"the answer of {model} broke off", model=str(model))
    called = any(part.part_kind == "tool-call" for part in response.parts)
    calm: FinishReason = "tool-calls" if called else "stop"
    reason = _REASONS.get(response.finish_reason or "", calm)
    return ModelFinish(
        reason=calm if reason == "stop" else reason,
        usage=_usage(response.usage),
        response_id=response.provider_response_id,
        model=response.model_name,
        raw_reason=raw,
    )


def _usage(usage: Any) -> Usage:
    if getattr(usage, "unmeasured_requests", 0):
        return Usage()
    return counted(
        all_input=usage.input_tokens,
        read=usage.cache_read_tokens,
        written=usage.cache_write_tokens,
        output=usage.output_tokens,
        thought=getattr(usage, "output_reasoning_tokens", None),
    )
