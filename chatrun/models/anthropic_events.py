"""Events of Anthropic's Messages API → chunks.

Events are told apart by their `type`: the package labels what it does not know with the class of
another event. What is unknown here is passed over. Events that the package's `MessageStream` adds
to the wire's own (`text`, `thinking`, `input_json`, ...) are passed over as well.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

from chatrun.models import anthropic_server_tools as server_tools
from chatrun.models import faults
from chatrun.models.base import ModelFinish, Usage
from chatrun.models.converting import call_end, counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.wire.chunk_types import TextEndChunk, ToolInputStartChunk
    from chatrun.wire.chunks import Chunk, FinishReason

logger = logging.getLogger(__name__)

PROVIDER: Final = "anthropic"
_SEARCHED: Final = "web_search_result_location"

_REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool-calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content-filter",
}


@dataclass(slots=True)
class _Block:
    """A content block that is open."""

    kind: str
    id: str
    name: str = ""
    input: list[str] = field(default_factory=list)
    given: object = None
    """Input that stood in the block itself."""
    server: bool = False
    caller: dict[str, object] | None = None
    citations: list[dict[str, object]] = field(default_factory=list)


class AnthropicEvents:
    """The converter of one answer; see `reading.Converter`."""

    def __init__(self, *, model: str, id_prefix: str = "") -> None:
        self.ended = False
        self.finish: ModelFinish | None = None
        self._model = model
        self._prefix = id_prefix
        self._blocks: dict[int, _Block] = {}
        self._counts: dict[str, Any] = {}
        self._head = ModelFinish(reason="other")
        self._searched = False
        """Whether a search has shown the pages that it found."""

    def feed(self, event: Mapping[str, Any]) -> list[Chunk]:
        """Return the chunks of one event."""
        match event.get("type"):
            case "content_block_delta":
                return self._delta(event)
            case "content_block_start":
                return self._block_start(event)
            case "content_block_stop":
                return self._block_stop(event)
            case "message_start":
                return self._message_start(event)
            case "message_delta":
                return self._message_delta(event)
            case "message_stop":
                return self._message_stop()
            case "error":
                raise faults.event_error(event.get("error") or event, model=self._model)
            case _:
                return []

    def close(self) -> list[Chunk]:
        """Return the ends of text and reasoning that are still open; open calls stay open."""
        ends = [chunk for block in self._blocks.values() for chunk in _end_of_text(block)]
        self._blocks.clear()
        return ends

    def _message_start(self, event: Mapping[str, Any]) -> list[Chunk]:
        message = event["message"]
        self._count(message.get("usage"))
        self._head = replace(self._head, response_id=message.get("id"), model=message.get("model"))
        return []

    def _message_delta(self, event: Mapping[str, Any]) -> list[Chunk]:
        self._count(event.get("usage"))
        raw = (event.get("delta") or {}).get("stop_reason")
        if raw:
            reason = _REASONS.get(raw, "other")
            self._head = replace(self._head, reason=reason, raw_reason=raw)
            self.finish = replace(self._head, usage=_usage(self._counts))
        return []

    def _message_stop(self) -> list[Chunk]:
        self.ended = True
        self.finish = replace(self._head, usage=_usage(self._counts))
        return self.close()

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        """Take over what is told: the last event may carry the output tokens only."""
        self._counts |= {key: value for key, value in (usage or {}).items() if value is not None}

    def _block_start(self, event: Mapping[str, Any]) -> list[Chunk]:
        content = event["content_block"]
        kind = content["type"]
        block = _Block(kind, f"{self._prefix}{event['index']}")
        match kind:
            case "text" | "thinking" | "redacted_thinking":
                self._blocks[event["index"]] = block
                return self._text_start(block, content)
            case "tool_use" | "server_tool_use":
                self._blocks[event["index"]] = block
                return _call_start(block, content)
            case "mcp_tool_use":
                return [server_tools.mcp_call(content)]
            case _ if kind.endswith("_tool_result"):
                return self._ran(block, content)
            case _:
                logger.info("%s sent a block of the unknown type %r", self._model, kind)
                return []

    def _ran(self, block: _Block, content: Mapping[str, Any]) -> list[Chunk]:
        """Return what a tool that the provider ran has brought."""
        found = content.get("content")
        if block.kind == "web_search_tool_result" and isinstance(found, list) and found:
            self._searched = True
        return server_tools.result_chunks(content, id_prefix=f"{block.id}:")

    def _text_start(self, block: _Block, content: Mapping[str, Any]) -> list[Chunk]:
        """Return the opening of text or reasoning, with whatever stands in it already."""
        if block.kind == "text":
            start: Chunk = {"type": "text-start", "id": block.id}
            citations = content.get("citations") or ()
            return [start, *_text(block, content.get("text")), *self._cited(block, *citations)]
        if block.kind == "redacted_thinking":
            metadata = {PROVIDER: {"redactedData": content.get("data", "")}}
            return [{"type": "reasoning-start", "id": block.id, "providerMetadata": metadata}]
        return [
            {"type": "reasoning-start", "id": block.id},
            *_thought(block, content.get("thinking")),
            *_signature(block, content.get("signature")),
        ]

    def _delta(self, event: Mapping[str, Any]) -> list[Chunk]:
        block = self._blocks.get(event["index"])
        if block is None:
            return []
        delta = event["delta"]
        match delta["type"]:
            case "text_delta":
                return _text(block, delta["text"])
            case "thinking_delta":
                return _thought(block, delta["thinking"])
            case "signature_delta":
                return _signature(block, delta["signature"])
            case "input_json_delta":
                return _call_delta(block, delta["partial_json"])
            case "citations_delta":
                return self._cited(block, delta["citation"])
            case _:
                return []

    def _cited(self, block: _Block, *citations: dict[str, object]) -> list[Chunk]:
        """Keep citations for the end of the text; the page is shown their sources at once.

        What is cited of a search was shown when it was found.
        """
        block.citations += citations
        fresh = [c for c in citations if not (self._searched and c.get("type") == _SEARCHED)]
        return server_tools.source_chunks(fresh, id_prefix=f"{block.id}:{len(block.citations)}:")

    def _block_stop(self, event: Mapping[str, Any]) -> list[Chunk]:
        block = self._blocks.pop(event["index"], None)
        if block is None:
            return []
        return _call_end(block) if block.name else _end_of_text(block)


def _text(block: _Block, text: str | None) -> list[Chunk]:
    return [{"type": "text-delta", "id": block.id, "delta": text}] if text else []


def _thought(block: _Block, text: str | None) -> list[Chunk]:
    return [{"type": "reasoning-delta", "id": block.id, "delta": text}] if text else []


def _signature(block: _Block, signature: str | None) -> list[Chunk]:
    """Return the proof that the reasoning is the model's own; without it, it cannot be replayed."""
    if not signature:
        return []
    metadata = cast("dict[str, dict[str, object]]", {PROVIDER: {"signature": signature}})
    return [{"type": "reasoning-delta", "id": block.id, "delta": "", "providerMetadata": metadata}]


def _end_of_text(block: _Block) -> list[Chunk]:
    if block.kind == "text":
        end: TextEndChunk = {"type": "text-end", "id": block.id}
        if block.citations:
            end["providerMetadata"] = {PROVIDER: {"citations": block.citations}}
        return [end]
    return [{"type": "reasoning-end", "id": block.id}] if "thinking" in block.kind else []


def _call_start(block: _Block, content: Mapping[str, Any]) -> list[Chunk]:
    block.id, block.name = content["id"], content["name"]
    block.server = block.kind == "server_tool_use"
    block.given = content.get("input")
    block.caller = server_tools.caller_metadata(content.get("caller"))
    start: ToolInputStartChunk = {
        "type": "tool-input-start",
        "toolCallId": block.id,
        "toolName": block.name,
    }
    if block.server:
        start["providerExecuted"] = True
    return [start]


def _call_delta(block: _Block, piece: str) -> list[Chunk]:
    if not piece:
        return []
    block.input.append(piece)
    return [{"type": "tool-input-delta", "toolCallId": block.id, "inputTextDelta": piece}]


def _call_end(block: _Block) -> list[Chunk]:
    """Return the call with its whole input, or with the reason that it has none."""
    text = "".join(block.input)
    common: dict[str, Any] = {"toolCallId": block.id, "toolName": block.name}
    if block.server:
        common["providerExecuted"] = True
    if block.caller:
        common["providerMetadata"] = {PROVIDER: {"caller": block.caller}}
    return [call_end(common, text, block.given)]


def _usage(counts: Mapping[str, Any]) -> Usage:
    read, written = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
    fresh = counts.get("input_tokens")
    return counted(
        all_input=None if fresh is None else fresh + (read or 0) + (written or 0),
        read=read,
        written=written,
        output=counts.get("output_tokens"),
        thought=(counts.get("output_tokens_details") or {}).get("thinking_tokens"),
    )
