"""What a page sends when its user has answered a tool call: only the part that was answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatrun.errors import InvalidInput
from chatrun.messages.types import is_tool_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chatrun.messages.types import ToolUIPart, UIMessage


def answer_to(
    messages: Iterable[UIMessage], tool_call_id: str, output: object
) -> dict[str, object]:
    """Return the message that gives a tool call of `messages` its output.

    Raises:
        InvalidInput: There is no such tool call.
    """
    message, part = _find(messages, tool_call_id)
    return _reply(message, part, {"state": "output-available", "output": output})


def approval_of(
    messages: Iterable[UIMessage], tool_call_id: str, *, approved: bool, reason: str | None
) -> dict[str, object]:
    """Return the message that allows or denies a tool call of `messages`.

    Raises:
        InvalidInput: There is no such tool call, or it waits for no approval.
    """
    message, part = _find(messages, tool_call_id)
    asked = part.get("approval")
    if part["state"] != "approval-requested" or asked is None:
        raise InvalidInput(
            f"tool call {tool_call_id!r} waits for no approval: it is {part['state']!r}"
        )
    approval: dict[str, object] = {"id": asked["id"], "approved": approved}
    if reason is not None:
        approval["reason"] = reason
    return _reply(message, part, {"state": "approval-responded", "approval": approval})


def _find(messages: Iterable[UIMessage], tool_call_id: str) -> tuple[UIMessage, ToolUIPart]:
    known: list[str] = []
    for message in messages:
        for part in message["parts"]:
            if is_tool_part(part):
                if part["toolCallId"] == tool_call_id:
                    return message, part
                known.append(part["toolCallId"])
    there_are = f"there are {', '.join(map(repr, known))}" if known else "there is none"
    raise InvalidInput(f"there is no tool call {tool_call_id!r} in the chat; {there_are}")


def _reply(
    message: UIMessage, part: ToolUIPart, answered: Mapping[str, object]
) -> dict[str, object]:
    kept = {"type": part["type"], "toolCallId": part["toolCallId"], **answered}
    return {"id": message["id"], "role": "assistant", "parts": [kept]}
