"""Messages of LangChain, in pieces and whole → chunks.

What a graph wraps around them is taken off in `agents_langgraph`. Source:
`langchain_core.messages`, whose content blocks are the same for all providers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from chatrun.errors import ProviderTruncated
from chatrun.models.agents import text_of
from chatrun.models.base import ModelFinish, Usage
from chatrun.models.converting import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chatrun.models.agents import Telling
    from chatrun.wire.chunks import Chunk, FinishReason

_REASON_KEYS: Final = ("finish_reason", "stop_reason", "done_reason", "status")
_REASONS: Final[Mapping[str, FinishReason]] = {
    "length": "length",
    "max_tokens": "length",
    "incomplete": "length",
    "content_filter": "content-filter",
    "refusal": "content-filter",
    "tool_calls": "tool-calls",
    "tool_use": "tool-calls",
}
# These say themselves that an answer is complete; LangChain takes what broke off for whole.
_PROVIDERS_THAT_SAY_SO: Final = frozenset(("openai", "anthropic"))


@dataclass(slots=True)
class _Call:
    """A tool call that is being told of, piece by piece."""

    id: str
    name: str
    input: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Message:
    """A message of a model that is coming in."""

    open: tuple[str, str] | None = None
    """The kind and id of the part that is open."""
    calls: dict[object, _Call] = field(default_factory=dict)
    """By their place in the message."""
    usage: Usage = field(default_factory=Usage)
    metadata: dict[str, Any] = field(default_factory=dict)


class Messages:
    """The messages of one run, whichever way they come."""

    def __init__(self, telling: Telling) -> None:
        self._tell = telling
        self._coming: dict[object, _Message] = {}
        """By their ids; models that run side by side have one each."""
        self._told: set[object] = set()
        self._waiting: dict[str, tuple[str, Any]] = {}
        """The calls without a result: their names and inputs."""

    def feed(self, message: Any) -> list[Chunk]:
        """Return the chunks of a message or of a piece of one; people's have none."""
        match message.type:
            case "AIMessageChunk":
                return self._piece(message)
            case "ai":
                return self._whole(message)
            case "tool":
                return self._result(message)
            case _:
                return []

    def whole(self, messages: Iterable[Any]) -> list[Chunk]:
        """Return the chunks of those of `messages` that were not told yet."""
        return [chunk for message in messages for chunk in self.feed(message)]

    def end(self) -> list[Chunk]:
        """Return the ends of all messages that are coming in."""
        return [chunk for key in list(self._coming) for chunk in self._end(key)]

    def fail(self, call_id: str, error: object) -> list[Chunk]:
        """Return the failure of a tool."""
        self._waiting.pop(call_id, None)
        return self._tell.result(call_id, error=str(error))

    def approval(self, name: object, given: object) -> list[Chunk] | None:
        """Return the question whether the call of this tool may run; None if there is none.

        Graphs name a call in question by its tool and its input only.
        """
        for call_id, call in self._waiting.items():
            if call == (name, given):
                del self._waiting[call_id]
                return self._tell.approval(call_id, call[0], given)
        return None

    # --- pieces -----------------------------------------------------------------------------

    def _piece(self, message: Any) -> list[Chunk]:
        chunks: list[Chunk] = []
        blocks = message.content_blocks
        if message.id not in self._coming and (blocks or _says_something(message)):
            chunks += self._begin(message.id)
        for block in blocks:
            chunks += self._block(self._coming[message.id], block)
        coming = self._coming.get(message.id)
        if coming is None:
            return chunks
        coming.metadata |= message.response_metadata
        coming.usage = coming.usage + _usage(message.usage_metadata)
        last = getattr(message, "chunk_position", None) == "last"
        return [*chunks, *self._end(message.id)] if last else chunks

    def _begin(self, message_id: object) -> list[Chunk]:
        """Begin a message, and a step with it unless another message is still coming in."""
        ends = [] if self._coming else self._tell.end_step()
        self._coming[message_id] = _Message()
        return [*ends, *self._tell.begin_step()]

    def _block(self, coming: _Message, block: Mapping[str, Any]) -> list[Chunk]:
        match block["type"]:
            case "text":
                sources = [c for a in block.get("annotations") or () for c in self._source(a)]
                return [*self._say(coming, "text", block.get("text")), *sources]
            case "reasoning":
                return self._say(coming, "reasoning", block.get("reasoning"))
            case "tool_call_chunk":
                return self._call_piece(coming, block)
            case "tool_call":
                ends = self._end_part(coming)
                return [*ends, *self._call(block["id"], block["name"], block["args"])]
            case _:
                return []

    def _say(self, coming: _Message, kind: str, text: object) -> list[Chunk]:
        if not text:
            return []
        start: list[Chunk] = []
        if coming.open is None or coming.open[0] != kind:
            start = self._end_part(coming)
            coming.open = (kind, self._tell.new_id())
            start.append(cast("Chunk", {"type": f"{kind}-start", "id": coming.open[1]}))
        delta = {"type": f"{kind}-delta", "id": coming.open[1], "delta": text}
        return [*start, cast("Chunk", delta)]

    def _end_part(self, coming: _Message) -> list[Chunk]:
        if coming.open is None:
            return []
        (kind, part_id), coming.open = coming.open, None
        return [cast("Chunk", {"type": f"{kind}-end", "id": part_id})]

    def _call_piece(self, coming: _Message, block: Mapping[str, Any]) -> list[Chunk]:
        chunks: list[Chunk] = []
        call = coming.calls.get(block.get("index"))
        if call is None or (block.get("id") and block["id"] != call.id):
            if not block.get("id") or not block.get("name"):
                return []
            call = coming.calls[block.get("index")] = _Call(block["id"], block["name"])
            chunks = [*self._end_part(coming), self._tell.call_start(call.id, call.name)]
        text = block.get("args") or ""
        call.input.append(text)
        return [*chunks, *self._tell.call_piece(call.id, text)]

    def _source(self, annotation: Mapping[str, Any]) -> list[Chunk]:
        if annotation.get("type") != "citation" or not annotation.get("url"):
            return []
        source = {"type": "source-url", "sourceId": self._tell.new_id(), "url": annotation["url"]}
        if annotation.get("title"):
            source["title"] = annotation["title"]
        return [cast("Chunk", source)]

    # --- wholes -----------------------------------------------------------------------------

    def _end(self, key: object) -> list[Chunk]:
        """End the message: its part, its calls with their whole input, and its place in the sum.

        Raises:
            ProviderTruncated: Its provider never said that the answer is complete.
        """
        coming = self._coming.pop(key)
        self._told.add(key)
        chunks = self._end_part(coming)
        for call in coming.calls.values():
            chunks += self._call(call.id, call.name, "".join(call.input))
        self._tell.finishes.append(_finish(coming, called=bool(coming.calls)))
        return chunks

    def _call(self, call_id: str, name: str, given: object) -> list[Chunk]:
        chunks = self._tell.call_input(call_id, name, given)
        for told in cast("list[Mapping[str, Any]]", chunks):
            if told["type"] == "tool-input-available":
                self._waiting[call_id] = (name, told["input"])
        return chunks

    def _whole(self, message: Any) -> list[Chunk]:
        """Return a whole message unless it came in pieces before."""
        if message.id in self._coming:
            return self._end(message.id)
        if message.id is not None and message.id in self._told:
            return []
        chunks = [*self.end(), *self._begin(message.id)]
        coming = self._coming[message.id]
        for block in message.content_blocks:
            chunks += self._block(coming, block)
        coming.metadata |= message.response_metadata
        coming.usage = _usage(message.usage_metadata)
        return [*chunks, *self._end(message.id)]

    def _result(self, message: Any) -> list[Chunk]:
        """Return what a tool has brought; it comes behind the message that calls it."""
        self._waiting.pop(message.tool_call_id, None)
        ends = self.end()
        error = text_of(message.content) if message.status == "error" else None
        name = getattr(message, "name", None)
        told = self._tell.result(message.tool_call_id, message.content, error=error, name=name)
        return [*ends, *told]


def _says_something(message: Any) -> bool:
    """Tell whether a piece without content tells how its message ended or what it has used."""
    reasons = [message.response_metadata.get(key) for key in _REASON_KEYS]
    return message.usage_metadata is not None or any(reasons)


def _finish(coming: _Message, *, called: bool) -> ModelFinish:
    metadata = coming.metadata
    raw = next((metadata[key] for key in _REASON_KEYS if metadata.get(key)), None)
    model = metadata.get("model_name") or metadata.get("model_provider")
    if raw is None and metadata.get("model_provider") in _PROVIDERS_THAT_SAY_SO:
        raise ProviderTruncated(f"the answer of {model} broke off", model=str(model))
    calm: FinishReason = "tool-calls" if called else "stop"
    return ModelFinish(
        reason=_REASONS.get(str(raw), calm), usage=coming.usage, model=model, raw_reason=raw
    )


def _usage(usage: Mapping[str, Any] | None) -> Usage:
    if not usage:
        return Usage()
    details = usage.get("input_token_details") or {}
    return counted(
        all_input=usage.get("input_tokens"),
        read=details.get("cache_read"),
        written=details.get("cache_creation"),
        output=usage.get("output_tokens"),
        thought=(usage.get("output_token_details") or {}).get("reasoning"),
    )
