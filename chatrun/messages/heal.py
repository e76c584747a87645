"""Model messages that every provider accepts: each tool call has its result.

A call stays without one when a turn was cut short, a page never answered, or the user wrote on
instead of approving. The AI SDK throws then, and the chat is stuck for good; here the model is
told what happened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chatrun.messages.types import (
        AssistantContent,
        AssistantModelMessage,
        ModelMessage,
        ToolApprovalResponsePart,
        ToolCallPart,
        ToolContent,
        ToolModelMessage,
        ToolResultOutput,
        ToolResultPart,
    )

    _Answer: TypeAlias = list[AssistantModelMessage | ToolModelMessage]

INTERRUPTED: Final = "The tool call was interrupted before it had a result."
"""What the model is told of a call that nobody finished."""
UNANSWERED: Final = "The tool call was not run: the user has not said whether it may."
"""What the model is told of a call that still waits for its approval."""


def is_stand_in(output: ToolResultOutput | None) -> bool:
    """Tell whether a call has no result of its own: none at all, or what `heal` has put there."""
    if output is None:
        return True
    return output["type"] == "error-text" and output["value"] in (INTERRUPTED, UNANSWERED)


def heal(messages: Iterable[ModelMessage]) -> list[ModelMessage]:
    """Return `messages` with a result for every tool call, and no result without its call.

    A call that was left open gets one that says so: an error, or a denial where the user had said
    no. Behind the last user message, calls whose approval has been answered stay open: whoever
    runs the tools has yet to run or deny them. A call that its provider was to run and never did
    is taken out once the user has written on. The messages given are not changed.

    What stands in for the result of a call that the user or the client may still settle is told
    apart by `is_stand_in`: `stream_text` waits for them instead of telling the model.
    """
    healed: list[ModelMessage] = []
    answer: _Answer = []
    for message in messages:
        if message["role"] == "assistant" or message["role"] == "tool":
            answer.append(message)
            continue
        healed.extend(_healed(answer, is_last=False))
        healed.append(message)
        answer = []
    healed.extend(_healed(answer, is_last=True))
    return healed


@dataclass(slots=True)
class _Calls:
    """What became of the tool calls of one answer."""

    made: set[str] = field(default_factory=set)
    with_result: set[str] = field(default_factory=set)
    approvals: dict[str, str] = field(default_factory=dict)
    """Approval → the call that waits for it."""
    decisions: dict[str, ToolApprovalResponsePart] = field(default_factory=dict)
    """Approval → what the user said."""

    def decision(self, call_id: str) -> ToolApprovalResponsePart | None:
        """Return what the user said to a call, None if nothing."""
        for approval_id, waiting in self.approvals.items():
            if waiting == call_id and approval_id in self.decisions:
                return self.decisions[approval_id]
        return None


def _calls(answer: _Answer) -> _Calls:
    calls = _Calls()
    for part in (part for message in answer for part in _content(message)):
        match part["type"]:
            case "tool-call":
                calls.made.add(part["toolCallId"])
            case "tool-result":
                calls.with_result.add(part["toolCallId"])
            case "tool-approval-request":
                calls.approvals[part["approvalId"]] = part["toolCallId"]
            case "tool-approval-response":
                calls.decisions[part["approvalId"]] = part
            case _:
                pass
    return calls


def _content(
    message: AssistantModelMessage | ToolModelMessage,
) -> Sequence[AssistantContent | ToolContent]:
    return [] if isinstance(message["content"], str) else message["content"]


def _healed(answer: _Answer, *, is_last: bool) -> Iterator[ModelMessage]:
    """Yield the messages between two of the user's. Results come right behind their call."""
    calls = _calls(answer)
    owed: list[ToolContent] = []
    for message in answer:
        if message["role"] == "tool":
            results = [part for part in message["content"] if _has_call(part, calls)]
            if owed or results:
                yield {**message, "content": [*owed, *results]}
            owed = []
            continue
        if owed:
            yield {"role": "tool", "content": owed}
        kept = message if is_last else _without_abandoned(message, calls)
        if kept["content"]:
            yield kept
        owed = [_result(call, calls) for call in _open(kept, calls, is_last=is_last)]
    if owed:
        yield {"role": "tool", "content": owed}


def _has_call(part: ToolContent, calls: _Calls) -> bool:
    return part["type"] != "tool-result" or part["toolCallId"] in calls.made


def _open(
    message: AssistantModelMessage, calls: _Calls, *, is_last: bool
) -> Iterator[ToolCallPart]:
    """Yield the calls of a message that must be given a result."""
    for part in _content(message):
        if part["type"] != "tool-call" or part.get("providerExecuted"):
            continue
        to_be_run = is_last and calls.decision(part["toolCallId"]) is not None
        if part["toolCallId"] not in calls.with_result and not to_be_run:
            yield part


def _without_abandoned(message: AssistantModelMessage, calls: _Calls) -> AssistantModelMessage:
    """Return a message without the calls that its provider was to run and never did."""
    if isinstance(message["content"], str):
        return message
    settled = calls.with_result | set(calls.approvals.values())
    content = [
        part
        for part in message["content"]
        if part["type"] != "tool-call"
        or not part.get("providerExecuted")
        or part["toolCallId"] in settled
    ]
    return {**message, "content": content}


def _result(call: ToolCallPart, calls: _Calls) -> ToolResultPart:
    return {
        "type": "tool-result",
        "toolCallId": call["toolCallId"],
        "toolName": call["toolName"],
        "output": _why_open(call["toolCallId"], calls),
    }


def _why_open(call_id: str, calls: _Calls) -> ToolResultOutput:
    decision = calls.decision(call_id)
    if decision is None:
        waiting = call_id in calls.approvals.values()
        return {"type": "error-text", "value": UNANSWERED if waiting else INTERRUPTED}
    if decision["approved"]:
        return {"type": "error-text", "value": INTERRUPTED}
    if decision.get("reason") is None:
        return {"type": "execution-denied"}
    return {"type": "execution-denied", "reason": decision["reason"]}
