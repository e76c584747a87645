"""What a model's answer looks like on each of the three wires, as server-sent events."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Stop = Literal["stop", "tool-calls", "length", "content-filter"]
WireName = Literal["anthropic", "chat", "responses"]


def sse(data: dict[str, Any] | str, event: str | None = None) -> bytes:
    """Return one server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {text}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of an answer; `pieces` are the fragments that its input streams in."""

    id: str
    name: str
    pieces: tuple[str, ...] = ("{}",)


class Wire(Protocol):
    """Renders one answer, event by event, in the order the methods are called."""

    name: WireName

    def open(self) -> bytes:
        """Return what comes before any content."""

    def reason(self, *pieces: str) -> bytes:
        """Return one whole block of reasoning."""

    def begin_text(self) -> bytes:
        """Return the opening of a block of text."""

    def text(self, piece: str) -> bytes:
        """Return one fragment of the open block of text."""

    def end_text(self) -> bytes:
        """Return the end of the open block of text."""

    def call(self, call: Call) -> bytes:
        """Return one whole tool call."""

    def close(self, stop: Stop = "stop") -> bytes:
        """Return the terminal events: reason and usage."""

    def failure(self) -> bytes:
        """Return an error in mid-stream: the provider is overloaded."""

    def beat(self) -> bytes:
        """Return a sign of life that says nothing."""

    def noise(self) -> bytes:
        """Return what a client must pass over: pings, comments and unknown events."""


class AnthropicWire:
    """The Messages API."""

    name: WireName = "anthropic"
    _STOPS: dict[Stop, str] = {
        "stop": "end_turn",
        "tool-calls": "tool_use",
        "length": "max_tokens",
        "content-filter": "refusal",
    }

    def __init__(self, model: str) -> None:
        self.model = model
        self.index = -1

    def event(self, type_: str, **fields: Any) -> bytes:
        """Return one event of this wire."""
        return sse({"type": type_, **fields}, type_)

    def block(self, block: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
        """Return one whole content block."""
        self.index += 1
        frames = [self.event("content_block_start", index=self.index, content_block=block)]
        frames += [self.event("content_block_delta", index=self.index, delta=d) for d in deltas]
        return b"".join([*frames, self.event("content_block_stop", index=self.index)])

    def open(self) -> bytes:
        usage = {"input_tokens": 12, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 4}
        message: dict[str, Any] = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": self.model,
        }
        message |= {"content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
        return self.event("message_start", message=message)

    def reason(self, *pieces: str) -> bytes:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
        signature = {"type": "signature_delta", "signature": "c2lnbmF0dXJl"}
        return self.block({"type": "thinking", "thinking": "", "signature": ""}, *deltas, signature)

    def begin_text(self) -> bytes:
        self.index += 1
        block = {"type": "text", "text": ""}
        return self.event("content_block_start", index=self.index, content_block=block)

    def text(self, piece: str) -> bytes:
        delta = {"type": "text_delta", "text": piece}
        return self.event("content_block_delta", index=self.index, delta=delta)

    def end_text(self) -> bytes:
        return self.event("content_block_stop", index=self.index)

    def call(self, call: Call) -> bytes:
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in call.pieces]
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        return self.block(block, *deltas)

    def close(self, stop: Stop = "stop") -> bytes:
        delta = {"stop_reason": self._STOPS[stop], "stop_sequence": None}
        last = self.event("message_delta", delta=delta, usage={"output_tokens": 7})
        return last + self.event("message_stop")

    def failure(self) -> bytes:
        return self.event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    def beat(self) -> bytes:
        return self.event("ping")

    def noise(self) -> bytes:
        unknown = {"type": "brand_new_delta", "x": 1}
        return (
            self.event("ping")
            + b": a comment\n\n"
            + self.event("brand_new_event", x=1)
            + self.event("content_block_delta", index=self.index, delta=unknown)
            + self.block({"type": "brand_new_block", "x": 1})
        )


class ChatWire:
    """OpenAI's chat completions."""

    name: WireName = "chat"
    _STOPS: dict[Stop, str] = {
        "stop": "stop",
        "tool-calls": "tool_calls",
        "length": "length",
        "content-filter": "content_filter",
    }

    def __init__(self, model: str) -> None:
        self.model = model
        self.calls = 0

    def chunk(self, delta: dict[str, Any], finish: str | None = None, **fields: Any) -> bytes:
        """Return one chunk of this wire."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
        return sse({**head, "model": self.model, "choices": [choice], **fields})

    def open(self) -> bytes:
        return self.chunk({"role": "assistant", "content": ""})

    def reason(self, *pieces: str) -> bytes:
        return b"".join(self.chunk({"reasoning_content": piece}) for piece in pieces)

    def begin_text(self) -> bytes:
        return b""

    def text(self, piece: str) -> bytes:
        return self.chunk({"content": piece})

    def end_text(self) -> bytes:
        return b""

    def call(self, call: Call) -> bytes:
        index, self.calls = self.calls, self.calls + 1
        first = {"name": call.name, "arguments": ""}
        frames = [{"index": index, "id": call.id, "type": "function", "function": first}]
        frames += [{"index": index, "function": {"arguments": piece}} for piece in call.pieces]
        return b"".join(self.chunk({"tool_calls": [frame]}) for frame in frames)

    def close(self, stop: Stop = "stop") -> bytes:
        usage: dict[str, Any] = {"prompt_tokens": 19, "completion_tokens": 7, "total_tokens": 26}
        usage |= {"prompt_tokens_details": {"cached_tokens": 4}}
        usage |= {"completion_tokens_details": {"reasoning_tokens": 2}}
        last = self.chunk({}, self._STOPS[stop])
        return last + self.chunk({}, choices=[], usage=usage) + sse("[DONE]")

    def failure(self) -> bytes:
        error = {"message": "Overloaded", "type": "server_error", "code": "server_error"}
        return sse({"error": error})

    def beat(self) -> bytes:
        return b": keep-alive\n\n"

    def noise(self) -> bytes:
        return b": a comment\n\n" + self.chunk({}, choices=[], brand_new=1)


class ResponsesWire:
    """OpenAI's Responses."""

    name: WireName = "responses"

    def __init__(self, model: str) -> None:
        self.model = model
        self.index = -1
        self.number = -1
        self.said = ""

    def event(self, type_: str, **fields: Any) -> bytes:
        """Return one event of this wire."""
        self.number += 1
        return sse({"type": type_, "sequence_number": self.number, **fields}, type_)

    def item(self, moment: str, item: dict[str, Any]) -> bytes:
        """Return the opening or the end of an output item."""
        self.index += moment == "added"
        return self.event(f"response.output_item.{moment}", output_index=self.index, item=item)

    def response(self, status: str, **fields: Any) -> dict[str, Any]:
        """Return the response object that opening and terminal events carry."""
        head = {"id": "resp_1", "object": "response", "created_at": 1, "model": self.model}
        return {
            **head,
            "status": status,
            "output": [],
            "error": None,
            "incomplete_details": None,
            **fields,
        }

    def open(self) -> bytes:
        return self.event("response.created", response=self.response("in_progress"))

    def reason(self, *pieces: str) -> bytes:
        head = {"type": "reasoning", "id": "rs_1", "summary": []}
        frames = [self.item("added", head)]
        where = {"item_id": "rs_1", "output_index": self.index, "summary_index": 0}
        part = {"type": "summary_text", "text": ""}
        frames.append(self.event("response.reasoning_summary_part.added", **where, part=part))
        for piece in pieces:
            frames.append(self.event("response.reasoning_summary_text.delta", **where, delta=piece))
        part = {"type": "summary_text", "text": "".join(pieces)}
        frames.append(self.event("response.reasoning_summary_part.done", **where, part=part))
        done = {**head, "encrypted_content": "ZW5jcnlwdGVk", "summary": [part]}
        return b"".join([*frames, self.item("done", done)])

    def begin_text(self) -> bytes:
        self.said = ""
        opening = self.item("added", self.message("in_progress", index=self.index + 1))
        return opening + self.event("response.content_part.added", **self.where(), part=self.part())

    def text(self, piece: str) -> bytes:
        self.said += piece
        return self.event("response.output_text.delta", **self.where(), delta=piece, logprobs=[])

    def end_text(self) -> bytes:
        done = self.event("response.output_text.done", **self.where(), text=self.said, logprobs=[])
        done += self.event("response.content_part.done", **self.where(), part=self.part())
        return done + self.item("done", self.message("completed", self.part(), index=self.index))

    def where(self) -> dict[str, Any]:
        """Return which text an event is about."""
        item_id = f"msg_{self.index}"
        return {"item_id": item_id, "output_index": self.index, "content_index": 0}

    def part(self) -> dict[str, Any]:
        """Return the text as far as it has come."""
        return {"type": "output_text", "text": self.said, "annotations": [], "logprobs": []}

    def message(self, status: str, *content: dict[str, Any], index: int) -> dict[str, Any]:
        """Return the output item that the text is in."""
        head = {"type": "message", "id": f"msg_{index}", "role": "assistant"}
        return {**head, "status": status, "content": list(content)}

    def call(self, call: Call) -> bytes:
        head = {"type": "function_call", "id": f"fc_{call.id}", "call_id": call.id}
        head |= {"name": call.name, "arguments": "", "status": "in_progress"}
        frames = [self.item("added", head)]
        where = {"item_id": head["id"], "output_index": self.index}
        kind = "response.function_call_arguments"
        frames += [self.event(f"{kind}.delta", **where, delta=piece) for piece in call.pieces]
        arguments = "".join(call.pieces)
        frames.append(self.event(f"{kind}.done", **where, arguments=arguments))
        done = {**head, "arguments": arguments, "status": "completed"}
        return b"".join([*frames, self.item("done", done)])

    def close(self, stop: Stop = "stop") -> bytes:
        usage = {"input_tokens": 19, "input_tokens_details": {"cached_tokens": 4}}
        usage |= {"output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 2}}
        usage |= {"total_tokens": 26}
        cut = {"length": "max_output_tokens", "content-filter": "content_filter"}.get(stop)
        status = "incomplete" if cut else "completed"
        details = {"reason": cut} if cut else None
        response = self.response(status, usage=usage, incomplete_details=details)
        return self.event(f"response.{status}", response=response)

    def failure(self) -> bytes:
        fields = {"code": "server_error", "message": "Overloaded", "param": None}
        return self.event("error", **fields)

    def beat(self) -> bytes:
        return self.event("keepalive")

    def noise(self) -> bytes:
        response = self.response("in_progress")
        return (
            b": a comment\n\n"
            + self.event("response.in_progress", response=response)
            + self.event("response.brand_new", x=1)
        )


def wire_of(path: str, model: str) -> Wire:
    """Return the wire that is spoken at `path`; any path unknown is taken for chat completions."""
    if path.split("?")[0].endswith("/messages"):
        return AnthropicWire(model)
    return ResponsesWire(model) if path.endswith("/responses") else ChatWire(model)
