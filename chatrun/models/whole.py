"""Messages that are complete already, told again as the stream they could have come from."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chatrun.wire.chunks import Chunk

Event = dict[str, Any]


def chunks_of_message(message: Mapping[str, Any]) -> Iterator[Chunk]:
    """Yield the chunks that build the parts of a UI message; its id and role are not told."""
    token = secrets.token_hex(3)
    open_step = False
    if message.get("metadata") is not None:
        metadata = message["metadata"]
        yield {"type": "message-metadata", "messageMetadata": metadata}
    for number, part in enumerate(message["parts"]):
        if part["type"] == "step-start":
            if open_step:
                yield {"type": "finish-step"}
            open_step = True
            yield {"type": "start-step"}
        else:
            yield from (cast("Chunk", chunk) for chunk in _part_chunks(part, f"{token}{number}"))
    if open_step:
        yield {"type": "finish-step"}


def _part_chunks(part: Mapping[str, Any], part_id: str) -> Iterator[dict[str, Any]]:
    kind = part["type"]
    if kind in ("text", "reasoning"):
        metadata = _kept(part, "providerMetadata")
        yield {"type": f"{kind}-start", "id": part_id, **metadata}
        if part["text"]:
            yield {"type": f"{kind}-delta", "id": part_id, "delta": part["text"]}
        yield {"type": f"{kind}-end", "id": part_id}
    elif kind == "dynamic-tool" or kind.startswith("tool-"):
        yield from _call_chunks(part)
    else:
        yield {key: value for key, value in part.items() if value is not None}


def _call_chunks(part: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a tool call as far as it has come."""
    call: dict[str, Any] = {"toolCallId": part["toolCallId"]}
    flags = _kept(part, "providerExecuted")
    dynamic = part["type"] == "dynamic-tool"
    if dynamic:
        flags["dynamic"] = True
    name = part["toolName"] if dynamic else part["type"].removeprefix("tool-")
    named = {**call, "toolName": name, **flags, **_kept(part, "title")}
    state = part["state"]
    yield {"type": "tool-input-start", **named}
    if state == "input-streaming":
        return
    given = part.get("input", part.get("rawInput"))
    if part.get("callProviderMetadata") is not None:
        named["providerMetadata"] = part["callProviderMetadata"]
    yield {"type": "tool-input-available", **named, "input": given}
    if part.get("approval") is not None:
        yield {"type": "tool-approval-request", **call, "approvalId": part["approval"]["id"]}
    if state == "output-available":
        output = {"output": part.get("output"), **_kept(part, "preliminary")}
        yield {"type": "tool-output-available", **call, **flags, **output}
    elif state == "output-error":
        error = {"errorText": part.get("errorText") or ""}
        yield {"type": "tool-output-error", **call, **flags, **error}
    elif state == "output-denied":
        yield {"type": "tool-output-denied", **call}


def _kept(part: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: part[key] for key in keys if part.get(key) is not None}


def events_of_reply(reply: Mapping[str, Any]) -> Iterator[Event]:
    """Yield the events that a provider's whole reply could have been streamed as."""
    if reply.get("object") == "chat.completion":
        yield from _chat(reply)
    elif reply.get("object") == "response":
        yield from _response(reply)
    else:
        yield from _anthropic(reply)


def _anthropic(reply: Mapping[str, Any]) -> Iterator[Event]:
    yield {"type": "message_start", "message": reply}
    for index, block in enumerate(reply["content"]):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": reply.get("stop_reason")}
    yield {"type": "message_delta", "delta": delta, "usage": reply.get("usage")}
    yield {"type": "message_stop"}


def _chat(reply: Mapping[str, Any]) -> Iterator[Event]:
    head = {"id": reply.get("id"), "model": reply.get("model"), "object": "chat.completion.chunk"}
    for choice in reply["choices"][:1]:
        told = {"index": 0, "delta": choice["message"], "finish_reason": choice["finish_reason"]}
        yield {**head, "choices": [told], "usage": reply.get("usage")}


def _response(reply: Mapping[str, Any]) -> Iterator[Event]:
    for index, item in enumerate(reply["output"]):
        where = {"output_index": index}
        yield {"type": "response.output_item.added", **where, "item": item}
        for part in item.get("content") or () if item["type"] == "message" else ():
            kind = "refusal" if part["type"] == "refusal" else "output_text"
            text = part.get("text", part.get("refusal"))
            yield {"type": f"response.{kind}.delta", **where, "delta": text}
        for part in item.get("summary") or () if item["type"] == "reasoning" else ():
            yield {"type": "response.reasoning_summary_part.added", **where}
            delta = {"delta": part["text"]}
            yield {"type": "response.reasoning_summary_text.delta", **where, **delta}
        yield {"type": "response.output_item.done", **where, "item": item}
    status = reply.get("status") or "completed"
    yield {"type": f"response.{status}", "response": reply}
