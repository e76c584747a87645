"""Going on after the user has said whether tools may run.

The answers stand in the last message. The user may give them one by one: what is answered is
settled at once, and the model is asked when nothing is left to be answered. What is run is what
the conversation says was asked for: the call, its tool and its input come from the assistant's
message, never from the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chatrun.ai.step import Call
from chatrun.messages.heal import is_stand_in

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

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
    """Whether other calls of the same answer wait for the user, or for the client's result."""

    @property
    def calls(self) -> list[Call]:
        """All of them."""
        return [*self.approved, *self.denied]


def answered_calls(
    messages: Sequence[ModelMessage], *, client_tools: Container[str] = ()
) -> Answered:
    """Return what the last message, when it is the tools', allows and denies.

    An answer to a question that was never asked is passed over, as is one for a call that has
    its result already or that the provider runs. Of two answers for one call the first counts.
    `client_tools` names the tools that the client runs: it has its time to answer, too.
    """
    answered = Answered(waiting=_waits(_behind_the_user(messages), client_tools))
    if not messages or messages[-1]["role"] != "tool":
        return answered
    answers = {
        part["approvalId"]: part
        for part in reversed(messages[-1]["content"])
        if part["type"] == "tool-approval-response"
    }
    if answers:
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
    asked = _questions(messages)
    for call_id, part in calls.items():
        answer = answers.get(asked.get(call_id, ""))
        if answer is None or call_id in settled or part.get("providerExecuted"):
            continue
        if answer["approved"]:
            answered.approved.append(_call(part))
        else:
            answered.denied.append(_denied(part, answer))


def _waits(answer: Sequence[ModelMessage], client_tools: Container[str]) -> bool:
    """Tell whether a call of the last answer is the user's or the client's to settle.

    What stands in the place of its result then says only that there is none (`messages.heal`).
    """
    asked = _questions(answer)
    replies = {p["approvalId"] for p in _told(answer) if p["type"] == "tool-approval-response"}
    outputs = {p["toolCallId"]: p["output"] for p in _told(answer) if p["type"] == "tool-result"}
    for part in _said(answer):
        if part["type"] != "tool-call" or part.get("providerExecuted"):
            continue
        call_id = part["toolCallId"]
        if call_id in asked:
            waits = asked[call_id] not in replies
        else:
            waits = part["toolName"] in client_tools
        if waits and is_stand_in(outputs.get(call_id)):
            return True
    return False


def _behind_the_user(messages: Sequence[ModelMessage]) -> Sequence[ModelMessage]:
    """Return the messages behind the last one that is not of an answer."""
    start = len(messages)
    while start and messages[start - 1]["role"] in ("assistant", "tool"):
        start -= 1
    return messages[start:]


def _questions(messages: Iterable[ModelMessage]) -> dict[str, str]:
    """Return what the user was asked: each call and its first question."""
    asked: dict[str, str] = {}
    for part in _said(messages):
        if part["type"] == "tool-approval-request":
            asked.setdefault(part["toolCallId"], part["approvalId"])
    return asked


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
