"""Chunks of OpenAI's chat completions, and of the many servers that speak it, → our chunks.

Other servers take liberties: reasoning in fields of their own, calls without an index, an id or
a name, all of a call in one piece, input as an object, one index for several calls. All of that
is understood here.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from chatrun.models import faults
from chatrun.models.base import ModelFinish, Usage
from chatrun.models.converting import call_end, counted
from chatrun.models.prompt import to_json

if TYPE_CHECKING:
    from chatrun.wire.chunks import Chunk, FinishReason

_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
}


@dataclass(slots=True)
class _Call:
    """A tool call that is being told of, piece by piece."""

    id: str = ""
    name: str = ""
    input: list[str] = field(default_factory=list)
    started: bool = False
    index: object = None
    """Its place among the calls, where the server tells it."""


class ChatEvents:
    """The converter of one answer; see `reading.Converter`."""

    def __init__(self, *, model: str, id_prefix: str = "") -> None:
        self.ended = False
        self._model = model
        self._prefix = id_prefix
        self._parts = 0
        self._open: tuple[str, str] | None = None
        """The kind and id of the part that is open."""
        self._calls: list[_Call] = []
        self._by_index: dict[object, _Call] = {}
        self._head: dict[str, str] = {}
        self._raw: str | None = None
        self._refused = False
        self._usage = Usage()

    @property
    def finish(self) -> ModelFinish | None:
        """How the answer ended. The usage comes behind the reason, so this is read at the end."""
        if self._raw is None:
            return None
        reason = _REASONS.get(self._raw, "other")
        if self._refused and reason == "stop":
            reason = "content-filter"
        return ModelFinish(
            reason=reason,
            usage=self._usage,
            response_id=self._head.get("id"),
            model=self._head.get("model"),
            raw_reason=self._raw,
        )

    def feed(self, event: Mapping[str, Any]) -> list[Chunk]:
        """Return the chunks of one event."""
        if not self._head:
            self._head = {key: event[key] for key in ("id", "model") if event.get(key)}
        if usage := event.get("usage"):
            self._usage = _usage(usage)
        choices = event.get("choices")
        if not choices:
            self._check(event)
            return []
        choice = choices[0]
        if choice.get("finish_reason"):
            self._raw = choice["finish_reason"]
        delta = choice.get("delta")
        return self._delta(delta) if delta else []

    def close(self) -> list[Chunk]:
        """Return the end of the open part, and each call with its whole input."""
        calls = [call for call in self._calls if call.started]
        places = [call.index for call in calls]
        if all(isinstance(place, int) for place in places):
            calls.sort(key=lambda call: cast("int", call.index))
        return [*self._end_part(), *(_call_end(call) for call in calls)]

    def _check(self, event: Mapping[str, Any]) -> None:
        """Raise the error that an event without choices may be."""
        error = event.get("error")
        if error or event.get("object") == "error":
            found = error if isinstance(error, Mapping) else {**event, "message": error}
            raise faults.event_error(found if error else event, model=self._model)

    def _delta(self, delta: Mapping[str, Any]) -> list[Chunk]:
        chunks: list[Chunk] = []
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought and isinstance(thought, str):
            chunks += self._piece("reasoning", thought)
        if text := delta.get("content"):
            chunks += self._piece("text", text)
        if refusal := delta.get("refusal"):
            self._refused = True
            chunks += self._piece("text", refusal)
        for piece in delta.get("tool_calls") or ():
            chunks += self._call_piece(piece)
        for annotation in delta.get("annotations") or ():
            chunks += self._source(annotation)
        return chunks

    def _piece(self, kind: str, text: str) -> list[Chunk]:
        """Return a piece of text or reasoning, with the change of parts before it."""
        if self._open is not None and self._open[0] == kind:
            return [cast("Chunk", {"type": f"{kind}-delta", "id": self._open[1], "delta": text})]
        ends = self._end_part()
        part_id = f"{self._prefix}{self._parts}"
        self._parts += 1
        self._open = (kind, part_id)
        start = {"type": f"{kind}-start", "id": part_id}
        delta = {"type": f"{kind}-delta", "id": part_id, "delta": text}
        return [*ends, cast("Chunk", start), cast("Chunk", delta)]

    def _end_part(self) -> list[Chunk]:
        if self._open is None:
            return []
        (kind, part_id), self._open = self._open, None
        return [cast("Chunk", {"type": f"{kind}-end", "id": part_id})]

    def _call_piece(self, piece: Mapping[str, Any]) -> list[Chunk]:
        function = piece.get("function") or {}
        call = self._call_of(piece, function.get("name") or "")
        text = function.get("arguments") or ""
        if not isinstance(text, str):
            text = to_json(text)
        if text:
            call.input.append(text)
        if call.started:
            return [_input_delta(call, text)] if text else []
        if not call.name:
            return []
        call.started = True
        call.id = call.id or f"call_{secrets.token_hex(12)}"
        start = {"type": "tool-input-start", "toolCallId": call.id, "toolName": call.name}
        deltas = [_input_delta(call, "".join(call.input))] if call.input else []
        return [*self._end_part(), cast("Chunk", start), *deltas]

    def _call_of(self, piece: Mapping[str, Any], name: str) -> _Call:
        """Return the call that a piece belongs to, which may be a new one."""
        index, call_id = piece.get("index"), piece.get("id") or ""
        call = self._by_index.get(index) if index is not None else None
        if index is None:
            same = [call for call in self._calls if call.id == call_id] if call_id else self._calls
            call = same[-1] if same else None
        if call is None or (name and call_id and call.id and call_id != call.id):
            call = _Call(index=index)
            self._calls.append(call)
        self._by_index[index] = call
        call.id = call.id or call_id
        call.name = call.name or name
        return call

    def _source(self, annotation: Mapping[str, Any]) -> list[Chunk]:
        cited = annotation.get("url_citation")
        if not cited or not cited.get("url"):
            return []
        source_id = f"{self._prefix}s{self._parts}"
        self._parts += 1
        source = {"type": "source-url", "sourceId": source_id, "url": cited["url"]}
        if cited.get("title"):
            source["title"] = cited["title"]
        return [cast("Chunk", source)]


def _input_delta(call: _Call, text: str) -> Chunk:
    return {"type": "tool-input-delta", "toolCallId": call.id, "inputTextDelta": text}


def _call_end(call: _Call) -> Chunk:
    return call_end({"toolCallId": call.id, "toolName": call.name}, "".join(call.input))


def _usage(usage: Mapping[str, Any]) -> Usage:
    details = usage.get("prompt_tokens_details") or {}
    return counted(
        all_input=usage.get("prompt_tokens"),
        read=details.get("cached_tokens"),
        written=details.get("cache_write_tokens"),
        output=usage.get("completion_tokens"),
        thought=(usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
    )
