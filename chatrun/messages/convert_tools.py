"""From a tool part of a UI message to the call and the result that a model reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from chatrun.messages.parts import ABSENT
from chatrun.messages.types import tool_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chatrun.messages.types import (
        AssistantContent,
        ToolApproval,
        ToolApprovalRequestPart,
        ToolApprovalResponsePart,
        ToolCallPart,
        ToolContent,
        ToolResultOutput,
        ToolResultPart,
        ToolUIPart,
    )
    from chatrun.wire.chunks import Profile, ProviderMetadata

_OMITTED: Final = "Tool output omitted because the tool is no longer available."
_DENIED: Final = "Tool call execution denied."


class ToModelOutput(Protocol):
    """Turns what a tool returned into what the model is shown."""

    def __call__(self, output: object, *, input: object, tool_call_id: str) -> ToolResultOutput:
        """Return the model's view of `output`; `input` is what the tool was called with."""


def is_complete(part: ToolUIPart) -> bool:
    """Tell whether a tool call has a final result, or an answer to its approval."""
    if part["state"] == "output-available":
        return part.get("preliminary") is not True
    return part["state"] in ("approval-responded", "output-error", "output-denied")


@dataclass(frozen=True, slots=True)
class ToolConverter:
    """Converts one tool part at a time."""

    profile: Profile
    outputs: Mapping[str, ToModelOutput]
    """Tool name → how its output is shown to the model, where not by default."""

    def call(self, part: ToolUIPart) -> Iterator[AssistantContent]:
        """Yield what the assistant message says of the call.

        That is the call, the question whether it may run, and the result of a tool that the
        provider ran. Nothing while the input streams.
        """
        if part["state"] == "input-streaming":
            return
        yield _call(part)
        if part.get("approval") is not None:
            yield self._request(part, part["approval"])
        if part.get("providerExecuted") is True and part["state"] in (
            "output-available",
            "output-error",
        ):
            output = self._output(part, error="error-json")
            metadata = part.get("resultProviderMetadata")
            if metadata is None:
                metadata = part.get("callProviderMetadata")
            yield _result(part, output, metadata)

    def results(self, part: ToolUIPart) -> Iterator[ToolContent]:
        """Yield what the tool message says of the call: the user's answer, and the result."""
        approval = part.get("approval") or cast("ToolApproval", {})
        approved, by_provider = approval.get("approved"), part.get("providerExecuted") is True
        if approved is not None:
            yield _response(part, approval)
        metadata = part.get("callProviderMetadata")
        if self.profile == "v7" and part["state"] == "approval-responded" and approved is False:
            yield _result(part, _denied(approval), metadata)
        if by_provider:
            return
        if part["state"] == "output-denied":
            reason = approval.get("reason")
            text = _DENIED if reason is None else reason
            yield _result(part, {"type": "error-text", "value": text}, metadata)
        elif part["state"] in ("output-available", "output-error"):
            yield _result(part, self._output(part, error="error-text"), metadata)

    def _request(self, part: ToolUIPart, approval: ToolApproval) -> ToolApprovalRequestPart:
        request: ToolApprovalRequestPart = {
            "type": "tool-approval-request",
            "approvalId": approval["id"],
            "toolCallId": part["toolCallId"],
        }
        if "inputSchemaInput" in approval:
            request["inputSchemaInput"] = approval["inputSchemaInput"]
        if approval.get("signature") is not None:
            request["signature"] = approval["signature"]
        if self.profile == "v7":
            if approval.get("isAutomatic") is not None:
                request["isAutomatic"] = approval["isAutomatic"]
            if approval.get("requestReason") is not None:
                request["reason"] = approval["requestReason"]
        return request

    def _output(self, part: ToolUIPart, *, error: str) -> ToolResultOutput:
        if part["state"] == "output-error":
            text = part.get("errorText", "unknown error")
            return cast("ToolResultOutput", {"type": error, "value": text})
        output = part.get("output")
        to_model_output = self.outputs.get(tool_name(part))
        if to_model_output is not None:
            call_id = part["toolCallId"]
            return to_model_output(output, input=part.get("input"), tool_call_id=call_id)
        if part["type"] == "dynamic-tool" and part.get("dynamic") is False:
            # What the tool returned was to be shown through a tool that is gone: it may hold
            # more than the model was meant to see.
            return {"type": "text", "value": _OMITTED}
        if isinstance(output, str):
            return {"type": "text", "value": output}
        return {"type": "json", "value": output}


def _call(part: ToolUIPart) -> ToolCallPart:
    call: ToolCallPart = {
        "type": "tool-call",
        "toolCallId": part["toolCallId"],
        "toolName": tool_name(part),
    }
    value, metadata = part.get("input", ABSENT), part.get("callProviderMetadata")
    if part["state"] == "output-error":
        value = part.get("rawInput", ABSENT) if part.get("input") is None else value
        metadata = part.get("resultProviderMetadata") if metadata is None else metadata
    if value is not ABSENT:
        call["input"] = value
    if part.get("providerExecuted") is not None:
        call["providerExecuted"] = part["providerExecuted"]
    if metadata is not None:
        call["providerOptions"] = metadata
    return call


def _response(part: ToolUIPart, approval: ToolApproval) -> ToolApprovalResponsePart:
    response: ToolApprovalResponsePart = {
        "type": "tool-approval-response",
        "approvalId": approval["id"],
        "approved": approval["approved"],
    }
    if approval.get("reason") is not None:
        response["reason"] = approval["reason"]
    if part.get("providerExecuted") is not None:
        response["providerExecuted"] = part["providerExecuted"]
    return response


def _denied(approval: ToolApproval) -> ToolResultOutput:
    if approval.get("reason") is None:
        return {"type": "execution-denied"}
    return {"type": "execution-denied", "reason": approval["reason"]}


def _result(
    part: ToolUIPart, output: ToolResultOutput, metadata: ProviderMetadata | None
) -> ToolResultPart:
    result: ToolResultPart = {
        "type": "tool-result",
        "toolCallId": part["toolCallId"],
        "toolName": tool_name(part),
        "output": output,
    }
    if metadata is not None:
        result["providerOptions"] = metadata
    return result
