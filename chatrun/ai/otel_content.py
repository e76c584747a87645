"""What was said, as the GenAI conventions of OpenTelemetry write it; only for who asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chatrun.messages.types import ModelMessage
    from chatrun.models.base import ToolSpec


def messages_json(messages: Sequence[ModelMessage], *, finish_reason: str | None = None) -> str:
    """Return messages as JSON; files are told of, and not contained.

    With a `finish_reason`, they are an answer that ended so.
    """
    ending = {"finish_reason": finish_reason} if finish_reason is not None else {}
    return as_json(
        [
            {"role": message["role"], "parts": list(_parts(message["content"])), **ending}
            for message in messages
        ]
    )


def instructions_json(system: str) -> str:
    """Return the model's instructions as JSON."""
    return as_json([{"type": "text", "content": system}])


def tools_json(tools: Iterable[ToolSpec]) -> str:
    """Return what a model is told of its tools, as JSON."""
    return as_json(
        [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.input_schema,
            }
            for tool in tools
        ]
    )


def as_json(value: object) -> str:
    """Return `value` as JSON; what JSON cannot hold is written as Python shows it."""
    try:
        return orjson.dumps(value, default=repr).decode()
    except TypeError:  # a lone surrogate, or keys that are no text
        return repr(value)


def _parts(content: str | Iterable[object]) -> Iterable[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [_part(cast("Mapping[str, Any]", part)) for part in content]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part; one that the user wrote may lack anything."""
    kind, call_id = part.get("type"), part.get("toolCallId")
    if kind in ("text", "reasoning"):
        return {"type": kind, "content": part.get("text")}
    if kind == "tool-call":
        called = {"id": call_id, "name": part.get("toolName")}
        return {"type": "tool_call", **called, "arguments": part.get("input")}
    if kind == "tool-result":
        return {"type": "tool_call_response", "id": call_id, "response": part.get("output")}
    return {"type": kind, "mime_type": part.get("mediaType")}
