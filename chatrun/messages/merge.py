"""What a client's copy of an assistant message may add to the one that is kept.

A client answers tool calls and approvals by sending the message back, often with nothing in it
but those answers. Its copy is believed about them and about nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chatrun.messages.types import is_tool_part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.messages.types import ToolApproval, ToolUIPart, UIMessage, UIPart

_FINAL: Final = ("output-available", "output-error", "output-denied")
_ANSWERS: Final = (*_FINAL, "approval-responded")


def overlay(stored: UIMessage, incoming: UIMessage) -> UIMessage:
    """Return `stored` with the answers that `incoming` brings to its tool calls.

    Calls are matched by their id. Only `state`, `output`, `errorText` and `approval` change, and
    only of a call that has no final state yet; an answer to an approval must name the approval
    that was asked for. Where nothing changes, `stored` itself comes back.
    """
    answers = {
        call_id: part
        for part in incoming["parts"]
        # What a client sends may lack anything.
        if is_tool_part(part)
        and part.get("state") in _ANSWERS
        and isinstance(call_id := part.get("toolCallId"), str)
    }
    parts = [_answered(part, answers) for part in stored["parts"]]
    changed = any(new is not old for new, old in zip(parts, stored["parts"], strict=True))
    return {**stored, "parts": parts} if changed else stored


def _answered(part: UIPart, answers: Mapping[str, ToolUIPart]) -> UIPart:
    """Return a stored part with its answer, or the part itself where there is none to take."""
    if not is_tool_part(part) or part["state"] in _FINAL:
        return part
    answer = answers.get(part["toolCallId"])
    if answer is None or answer["state"] == part["state"]:
        return part
    state = answer["state"]
    approval = _approval(part, answer)
    if approval is None and state in ("approval-responded", "output-denied"):
        return part
    updated: ToolUIPart = {**part, "state": state}
    if approval is not None:
        updated["approval"] = approval
    if state == "output-available":
        updated["output"] = answer.get("output")
    elif state == "output-error":
        updated["errorText"] = str(answer.get("errorText") or "The tool failed.")
    return updated


def _approval(part: ToolUIPart, answer: ToolUIPart) -> ToolApproval | None:
    """Return the stored approval with the user's decision, None where there is none to take.

    What was asked stays as the server wrote it: the tool will run on the strength of it.
    """
    asked, given = part.get("approval"), answer.get("approval")
    if asked is None or not isinstance(given, dict) or given.get("id") != asked["id"]:
        return None
    approved, reason = given.get("approved"), given.get("reason")
    if not isinstance(approved, bool):
        return None
    decided: ToolApproval = {**asked, "approved": approved}
    if isinstance(reason, str):
        decided["reason"] = reason
    return decided
