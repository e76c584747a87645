"""Going on after the user has said whether tools may run.

The answers stand in the last message. What is run is what the conversation says was asked for:
the call, its tool and its input come from the assistant's message, never from the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chatrun.ai.step import Call

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chatrun.messages.types import (
        AssistantContent,
        ModelMessage,
        ToolApprovalResponsePart,
        ToolCallPart,
        ToolContent,
    )


@dataclass(slots=True)
class Answered:
    """The calls that the user has answered for and that have no result yet, in model order."""

    approved: list[Call] = field(default_factory=list)
    denied: list[Call] = field(default_factory=list)
    waiting: bool = False
    """Whether the user still has to answer for other calls of the same message."""

    @property
    def calls(self) -> list[Call]:
        """All of them."""
        return [*self.approved, *self.denied]


def answered_calls(messages: Sequence[ModelMessage]) -> Answered:
    """Return what the last message, when it is the tools', allows and denies.

    An answer to a question that was never asked is passed over, as is one for a call that has
    its result already or that the provider runs. Of two answers for one call the first counts.
    """
    answered = Answered()
    if not messages or messages[-1]["role"] != "tool":
        return answered
    answers = {
        part["approvalId"]: part
        for part in reversed(messages[-1]["content"])
        if part["type"] == "tool-approval-response"
    }
    if not answers:
        return answered
    _sort(answered, messages, answers)
    return answered


def _sort(
    answered: Answered,
    messages: Sequence[ModelMessage],
    answers: dict[str, ToolApprovalResponsePart],
) -> None:
    calls = {p["toolCallId"]: p for p in _said(messages) if p["type"] == "tool-call"}
    # A denial that stands in the last message as a result has still to be shown to the page.
    settled = {p["toolCallId"] for p in _told(messages[:-1]) if p["type"] == "tool-result"}
    settled |= {
        p["toolCallId"]
        for p in _told(messages[-1:])
        if p["type"] == "tool-result" and p["output"]["type"] != "execution-denied"
    }
    asked: dict[str, str] = {}
    for part in _said(messages):
        if part["type"] == "tool-approval-request":
            asked.setdefault(part["toolCallId"], part["approvalId"])
    for call_id, part in calls.items():
        approval_id = asked.get(call_id)
        if approval_id is None or call_id in settled or part.get("providerExecuted"):
            continue
        answer = answers.get(approval_id)
        if answer is None:
            answered.waiting = True
        elif answer["approved"]:
            answered.approved.append(_call(part))
        else:
            answered.denied.append(_denied(part, answer))


def _call(part: ToolCallPart) -> Call:
    return Call(
        part["toolCallId"],
        part["toolName"],
        part.get("input"),
        metadata=part.get("providerOptions"),
    )


def _denied(part: ToolCallPart, answer: ToolApprovalResponsePart) -> Call:
    call = _call(part)
    call.result = {"type": "execution-denied"}
    if answer.get("reason") is not None:
        call.result = {"type": "execution-denied", "reason": answer["reason"]}
    return call


def _said(messages: Iterable[ModelMessage]) -> Iterator[AssistantContent]:
    for message in messages:
        if message["role"] == "assistant" and not isinstance(message["content"], str):
            yield from message["content"]


def _told(messages: Iterable[ModelMessage]) -> Iterator[ToolContent]:
    for message in messages:
        if message["role"] == "tool":
            yield from message["content"]
