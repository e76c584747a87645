"""One step of an answer: one call of a model, and what became of the tools it asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chatrun.messages.types import (
        AssistantContent,
        AssistantModelMessage,
        ModelMessage,
        ToolModelMessage,
        ToolResultOutput,
        ToolResultPart,
    )
    from chatrun.models.base import ModelFinish, Usage
    from chatrun.wire.chunks import Chunk, FinishReason


@dataclass(slots=True)
class Call:
    """A tool call of a step, and its result once there is one."""

    tool_call_id: str
    tool_name: str
    input: object
    result: ToolResultOutput | None = None
    approval_id: str | None = None
    """The question to the user that the call waits for."""
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is over."""

    number: int
    """From 0."""
    text: str
    reasoning: str
    calls: Sequence[Call]
    finish: ModelFinish
    messages: Sequence[ModelMessage]
    """What the step adds to the conversation: the assistant's message and the tools'."""

    @property
    def finish_reason(self) -> FinishReason:
        """Why the model ended."""
        return self.finish.reason

    @property
    def usage(self) -> Usage:
        """The tokens of this step."""
        return self.finish.usage


@dataclass(slots=True)
class _Part:
    """A part of the content, as far as it has come."""

    kind: str
    pieces: list[str] = field(default_factory=list)
    metadata: dict[str, Any] | None = None


class StepContent:
    """Collects the chunks of a step into the messages that the next step needs.

    They are the messages that the finished answer converts to later on, so that a model is told
    the same of a step in the next one and in the next turn.
    """

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        """The calls that are run here or by the client, in the order the model made them."""
        self._parts: list[_Part | dict[str, Any]] = []
        self._open: dict[tuple[str, str], _Part] = {}
        self._provided: dict[str, Call] = {}

    def add(self, chunk: Chunk) -> None:
        """Take in one chunk."""
        told = cast("Mapping[str, Any]", chunk)
        kind: str = told["type"]
        if kind.startswith("tool-"):
            self._add_tool(kind, told)
            return
        base, _, moment = kind.partition("-")
        if base not in ("text", "reasoning"):
            if kind == "file":
                self._add_file(told)
            return
        key = (base, told["id"])
        if moment == "start":
            self._parts.append(self._open.setdefault(key, _Part(base)))
        part = self._open[key]
        if moment == "delta" and told["delta"]:
            part.pieces.append(told["delta"])
        if told.get("providerMetadata") is not None:
            part.metadata = told["providerMetadata"]
        if moment == "end":
            del self._open[key]

    def _add_file(self, told: Mapping[str, Any]) -> None:
        part = {"type": "file", "mediaType": told["mediaType"], "data": told["url"]}
        self._parts.append(_with_options(part, told.get("providerMetadata")))

    def _add_tool(self, kind: str, told: Mapping[str, Any]) -> None:
        call_id = told["toolCallId"]
        if kind in ("tool-input-available", "tool-input-error"):
            self._add_call(told)
        elif kind == "tool-output-available" and call_id in self._provided:
            if not told.get("preliminary"):
                self._add_provided(call_id, {"type": "json", "value": told["output"]})
        elif kind == "tool-output-error" and call_id in self._provided:
            self._add_provided(call_id, {"type": "error-json", "value": told["errorText"]})

    def _add_call(self, told: Mapping[str, Any]) -> None:
        metadata = told.get("providerMetadata")
        call = Call(told["toolCallId"], told["toolName"], told["input"], metadata=metadata)
        if told["type"] == "tool-input-error":
            call.result = {"type": "error-text", "value": told["errorText"]}
        part: dict[str, Any] = {
            "type": "tool-call",
            "toolCallId": call.tool_call_id,
            "toolName": call.tool_name,
        }
        part["input"] = call.input
        if told.get("providerExecuted"):
            self._provided[call.tool_call_id] = call
            part["providerExecuted"] = True
        else:
            self.calls[call.tool_call_id] = call
        self._parts.append(_with_options(part, metadata))

    def _add_provided(self, call_id: str, output: dict[str, Any]) -> None:
        """Put the result of a tool that the provider ran right where it came."""
        call = self._provided[call_id]
        call.result = cast("ToolResultOutput", output)
        self._parts.append(cast("dict[str, Any]", result_part(call)))

    def text(self, kind: str = "text") -> str:
        """Return the text, or with "reasoning" the reasoning, of the step."""
        parts = [part for part in self._parts if isinstance(part, _Part) and part.kind == kind]
        return "".join(piece for part in parts for piece in part.pieces)

    def messages(self) -> list[ModelMessage]:
        """Return the assistant's message, and the tools' where there is a result."""
        content = [_content(part) for part in self._parts]
        content += [
            cast("AssistantContent", _request(call))
            for call in self.calls.values()
            if call.approval_id
        ]
        results = [result_part(call) for call in self.calls.values() if call.result is not None]
        messages: list[ModelMessage] = []
        if content:
            said: AssistantModelMessage = {"role": "assistant", "content": content}
            messages.append(said)
        if results:
            answered: ToolModelMessage = {"role": "tool", "content": [*results]}
            messages.append(answered)
        return messages


def _content(part: _Part | dict[str, Any]) -> AssistantContent:
    if isinstance(part, _Part):
        made = {"type": part.kind, "text": "".join(part.pieces)}
        part = _with_options(made, part.metadata)
    return cast("AssistantContent", part)


def _request(call: Call) -> dict[str, Any]:
    return {
        "type": "tool-approval-request",
        "approvalId": call.approval_id,
        "toolCallId": call.tool_call_id,
    }


def result_part(call: Call) -> ToolResultPart:
    """Return the result of a call as the model is told of it."""
    assert call.result is not None
    part = {
        "type": "tool-result",
        "toolCallId": call.tool_call_id,
        "toolName": call.tool_name,
        "output": call.result,
    }
    return cast("ToolResultPart", _with_options(part, call.metadata))


def _with_options(part: dict[str, Any], metadata: dict[str, Any] | None) -> dict[str, Any]:
    return part if metadata is None else {**part, "providerOptions": metadata}
