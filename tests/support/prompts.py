"""Model messages that request builders are tested with."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]

SCHEMA: JSON = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="


def user(*content: JSON | str) -> JSON:
    """Return a user's message of texts and parts."""
    return {"role": "user", "content": [text(c) if isinstance(c, str) else c for c in content]}


def assistant(*content: JSON | str) -> JSON:
    """Return an assistant's message of texts and parts."""
    return {"role": "assistant", "content": [text(c) if isinstance(c, str) else c for c in content]}


def text(value: str, **options: JSON) -> JSON:
    """Return a text part; `options` are its provider options."""
    return with_options({"type": "text", "text": value}, options)


def reasoning(value: str, **options: JSON) -> JSON:
    """Return a reasoning part; `options` are its provider options."""
    return with_options({"type": "reasoning", "text": value}, options)


def file(media_type: str, data: Any, **fields: Any) -> JSON:
    """Return a file part."""
    return {"type": "file", "mediaType": media_type, "data": data, **fields}


def call(call_id: str, given: Any = None, *, name: str = "weather", **fields: Any) -> JSON:
    """Return a tool call."""
    given = {"city": "Paris"} if given is None else given
    head = {"type": "tool-call", "toolCallId": call_id, "toolName": name}
    return {**head, "input": given, **fields}


def result(call_id: str, output: JSON | str, *, name: str = "weather", **fields: Any) -> JSON:
    """Return a tool's result; a string is its text."""
    told = {"type": "text", "value": output} if isinstance(output, str) else output
    head = {"type": "tool-result", "toolCallId": call_id, "toolName": name}
    return {**head, "output": told, **fields}


def tools(*results: JSON) -> JSON:
    """Return the message with the results of tools."""
    return {"role": "tool", "content": list(results)}


def with_options(part: JSON, options: JSON) -> JSON:
    """Return a part with provider options, if there are any."""
    return {**part, "providerOptions": options} if options else part
