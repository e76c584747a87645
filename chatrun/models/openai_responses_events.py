"""Events of OpenAI's Responses API → chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from chatrun.models import faults
from chatrun.models import openai_server_tools as server_tools
from chatrun.models.base import ModelFinish
from chatrun.models.converting import call_end, counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatrun.models.base import Usage
    from chatrun.wire.chunks import Chunk, FinishReason

PROVIDER: Final = "openai"

_CUT: Final[dict[str, FinishReason]] = {
    "max_output_tokens": "length",
    "content_filter": "content-filter",
}
# The search that shows what an annotation of this type cites.
_SEARCHES: Final = {"url_citation": "url", "file_citation": "file_search"}


@dataclass(slots=True)
class _Item:
    """An output item that is being told of."""

    kind: str
    id: str
    """The provider's id."""
    part: str
    """What the ids of its parts begin with."""
    metadata: dict[str, Any] = field(default_factory=dict)
    call_id: str = ""
    name: str = ""
    input: list[str] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)
    """Ids of the reasoning parts that are open."""
    annotations: list[dict[str, Any]] = field(default_factory=list)
    container: str | None = None
    """Where the code interpreter runs."""
    complete: bool = False
    """Whether the call of a tool that the provider runs has been told of in full."""


class ResponsesEvents:
    """The converter of one answer; see `reading.Converter`."""

    def __init__(self, *, model: str, id_prefix: str = "") -> None:
        self.ended = False
        self.finish: ModelFinish | None = None
        self._model = model
        self._prefix = id_prefix
        self._items: dict[object, _Item] = {}
        self._count = 0
        self._called = False
        self._refused = False
        self._sources: set[str] = set()
        """The pages and files that were shown as sources."""
        self._searched: set[str] = set()
        """What searches have shown sources of: "url", "file_search"."""

    def feed(self, event: Mapping[str, Any]) -> list[Chunk]:
        """Return the chunks of one event."""
        kind = event.get("type")
        if kind == "response.output_text.delta":
            return self._text(event)
        handler = _HANDLERS.get(kind or "")
        return handler(self, event) if handler is not None else []

    def close(self) -> list[Chunk]:
        """Return the ends of text and reasoning that are still open; open calls stay open."""
        ends: list[Chunk] = []
        for item in self._items.values():
            ends += _end_of_text(item) if item.kind == "message" else _end_of_reasoning(item)
        self._items.clear()
        return ends

    def _text(self, event: Mapping[str, Any]) -> list[Chunk]:
        item = self._items.get(event["output_index"])
        if item is None or not event["delta"]:
            return []
        return [{"type": "text-delta", "id": item.part, "delta": event["delta"]}]

    def _refusal(self, event: Mapping[str, Any]) -> list[Chunk]:
        self._refused = True
        return self._text(event)

    def _refusal_done(self, event: Mapping[str, Any]) -> list[Chunk]:
        self._refused = True
        return []

    # --- items ------------------------------------------------------------------------------

    def _added(self, event: Mapping[str, Any]) -> list[Chunk]:
        told = event["item"]
        item = _Item(told["type"], told.get("id") or "", f"{self._prefix}{self._count}")
        self._count += 1
        match item.kind:
            case "message":
                item.metadata = {"itemId": item.id}
                if told.get("phase"):
                    item.metadata["phase"] = told["phase"]
                chunks = [_part("text-start", item.part, item.metadata)]
            case "reasoning":
                chunks = []
            case "function_call" | "custom_tool_call":
                self._called = True
                item.call_id, item.name = told["call_id"], told["name"]
                plain = {"inputEncoding": "text"} if item.kind == "custom_tool_call" else {}
                chunks = [_call("tool-input-start", item, **plain)]
            case kind if kind in server_tools.KINDS:
                item.complete = item.kind in server_tools.WHOLE
                item.container = told.get("container_id")
                chunks = server_tools.begun(told)
            case _:
                return []
        self._items[event["output_index"]] = item
        return chunks

    def _done(self, event: Mapping[str, Any]) -> list[Chunk]:
        item, told = self._items.pop(event["output_index"], None), event["item"]
        if item is None:
            return []
        match item.kind:
            case "message":
                if told.get("phase"):
                    item.metadata["phase"] = told["phase"]
                return _end_of_text(item)
            case "reasoning":
                # Only here is the encrypted content complete; `added` may hold a part of it.
                return self._reasoning_done(item, told)
            case kind if kind in server_tools.KINDS:
                return self._ran(item, told)
            case "custom_tool_call":
                text = told.get("input") or "".join(item.input)
                return [_call("tool-input-available", item, input=text, **_item_id(item))]
            case _:
                text = told.get("arguments") or "".join(item.input)
                common = {"toolCallId": item.call_id, "toolName": item.name, **_item_id(item)}
                return [call_end(common, text)]

    def _arguments(self, event: Mapping[str, Any]) -> list[Chunk]:
        item, piece = self._items.get(event["output_index"]), event["delta"]
        if item is None or not piece:
            return []
        item.input.append(piece)
        return [{"type": "tool-input-delta", "toolCallId": item.call_id, "inputTextDelta": piece}]

    def _ran(self, item: _Item, told: Mapping[str, Any]) -> list[Chunk]:
        """Return what a tool that the provider ran has brought, and where it found it."""
        call = [] if item.complete else server_tools.called(told)
        chunks = [*call, *server_tools.ended(told)]
        for source in server_tools.found(told):
            self._searched.add(source["type"])
            chunks += self._source(source)
        return chunks

    def _code(self, event: Mapping[str, Any]) -> list[Chunk]:
        item = self._items.get(event["output_index"])
        piece = event["delta"]
        return [server_tools.input_piece(item.id, piece)] if item is not None and piece else []

    def _code_done(self, event: Mapping[str, Any]) -> list[Chunk]:
        """Return the call of the interpreter; its input comes ahead of what it says itself."""
        item = self._items.get(event["output_index"])
        if item is None:
            return []
        item.complete = True
        return server_tools.code_called(item.id, item.container, event["code"])

    def _partial_image(self, event: Mapping[str, Any]) -> list[Chunk]:
        item = self._items.get(event["output_index"])
        if item is None:
            return []
        return [server_tools.partial_image(item.id, event.get("partial_image_b64"))]

    # --- reasoning --------------------------------------------------------------------------

    def _summary_added(self, event: Mapping[str, Any]) -> list[Chunk]:
        item = self._items.get(event["output_index"])
        return [] if item is None else self._reasoning_start(item)

    def _reasoning_start(self, item: _Item) -> list[Chunk]:
        """Open the next part of reasoning; the one before ends, its encrypted content unknown."""
        ends = _end_of_reasoning(item)
        part_id = f"{item.part}:{self._count}"
        self._count += 1
        item.summaries.append(part_id)
        return [*ends, _part("reasoning-start", part_id, {"itemId": item.id})]

    def _thought(self, event: Mapping[str, Any]) -> list[Chunk]:
        item = self._items.get(event["output_index"])
        if item is None or not event["delta"]:
            return []
        start = [] if item.summaries else self._reasoning_start(item)
        delta = {"type": "reasoning-delta", "id": item.summaries[-1], "delta": event["delta"]}
        return [*start, cast("Chunk", delta)]

    def _reasoning_done(self, item: _Item, told: Mapping[str, Any]) -> list[Chunk]:
        """Close reasoning with its proof; reasoning without a summary is one empty part."""
        encrypted = told.get("encrypted_content")
        start = [] if item.summaries or not encrypted else self._reasoning_start(item)
        if encrypted:
            item.metadata["reasoningEncryptedContent"] = encrypted
        return [*start, *_end_of_reasoning(item)]

    # --- sources ----------------------------------------------------------------------------

    def _annotation(self, event: Mapping[str, Any]) -> list[Chunk]:
        item, told = self._items.get(event["output_index"]), event["annotation"]
        if item is None:
            return []
        item.annotations.append(dict(told))
        # What is cited of a search was shown when it was found.
        if _SEARCHES.get(str(told.get("type"))) in self._searched:
            return []
        return self._source(told)

    def _source(self, told: Mapping[str, Any]) -> list[Chunk]:
        """Return the source that an annotation or a search names, unless it was shown before."""
        key = told.get("url") or told.get("file_id")
        if not key or key in self._sources:
            return []
        self._sources.add(key)
        source_id = f"{self._prefix}s{self._count}"
        self._count += 1
        return [server_tools.source(told, source_id)]

    # --- the end ----------------------------------------------------------------------------

    def _ended(self, event: Mapping[str, Any]) -> list[Chunk]:
        response = event["response"]
        raw = (response.get("incomplete_details") or {}).get("reason")
        calm: FinishReason = "tool-calls" if self._called else "stop"
        reason: FinishReason
        if raw:
            reason = _CUT.get(raw) or ("tool-calls" if self._called else "other")
        else:
            reason = "content-filter" if self._refused and not self._called else calm
        self.ended = True
        self.finish = ModelFinish(
            reason=reason,
            usage=_usage(response.get("usage") or {}),
            response_id=response.get("id"),
            model=response.get("model"),
            raw_reason=raw or response.get("status"),
        )
        return self.close()

    def _failed(self, event: Mapping[str, Any]) -> list[Chunk]:
        response = event.get("response")
        error = response.get("error") if isinstance(response, Mapping) else event.get("error")
        raise faults.event_error(error or event, model=self._model)


_HANDLERS: Final[dict[str, Callable[[ResponsesEvents, Mapping[str, Any]], list[Chunk]]]] = {
    "response.output_item.added": ResponsesEvents._added,
    "response.output_item.done": ResponsesEvents._done,
    "response.refusal.delta": ResponsesEvents._refusal,
    "response.refusal.done": ResponsesEvents._refusal_done,
    "response.output_text.annotation.added": ResponsesEvents._annotation,
    "response.reasoning_summary_part.added": ResponsesEvents._summary_added,
    "response.reasoning_summary_text.delta": ResponsesEvents._thought,
    "response.reasoning_text.delta": ResponsesEvents._thought,
    "response.function_call_arguments.delta": ResponsesEvents._arguments,
    "response.custom_tool_call_input.delta": ResponsesEvents._arguments,
    "response.code_interpreter_call_code.delta": ResponsesEvents._code,
    "response.code_interpreter_call_code.done": ResponsesEvents._code_done,
    "response.image_generation_call.partial_image": ResponsesEvents._partial_image,
    "response.completed": ResponsesEvents._ended,
    "response.incomplete": ResponsesEvents._ended,
    "response.failed": ResponsesEvents._failed,
    "error": ResponsesEvents._failed,
}


def _part(kind: str, part_id: str, metadata: Mapping[str, Any]) -> Chunk:
    chunk = {"type": kind, "id": part_id, "providerMetadata": {PROVIDER: dict(metadata)}}
    return cast("Chunk", chunk)


def _call(kind: str, item: _Item, **fields: Any) -> Chunk:
    call = {"type": kind, "toolCallId": item.call_id, "toolName": item.name, **fields}
    return cast("Chunk", call)


def _item_id(item: _Item) -> dict[str, Any]:
    return {"providerMetadata": {PROVIDER: {"itemId": item.id}}} if item.id else {}


def _end_of_text(item: _Item) -> list[Chunk]:
    noted = {"annotations": item.annotations} if item.annotations else {}
    return [_part("text-end", item.part, {**item.metadata, **noted})]


def _end_of_reasoning(item: _Item) -> list[Chunk]:
    metadata = {"itemId": item.id, **item.metadata}
    ends = [_part("reasoning-end", part_id, metadata) for part_id in item.summaries]
    item.summaries.clear()
    return ends


def _usage(usage: Mapping[str, Any]) -> Usage:
    details = usage.get("input_tokens_details") or {}
    return counted(
        all_input=usage.get("input_tokens"),
        read=details.get("cached_tokens"),
        written=details.get("cache_write_tokens"),
        output=usage.get("output_tokens"),
        thought=(usage.get("output_tokens_details") or {}).get("reasoning_tokens"),
    )
